-- +goose Up

-- An execution that starts changes nothing about the load: a row that is
-- written all the same costs a page of the log.
DROP TRIGGER executions_updated;

-- +goose StatementBegin
CREATE TRIGGER executions_updated AFTER UPDATE OF status, owner ON executions
WHEN (NEW.owner IS NULL) <> (OLD.owner IS NULL) OR NEW.owner IS NULL AND NEW.status <> OLD.status
BEGIN
    UPDATE service_load
    SET waiting = waiting + (NEW.status = 'PENDING' AND NEW.owner IS NULL) - (OLD.status = 'PENDING' AND OLD.owner IS NULL),
        active  = active + (NEW.owner IS NOT NULL) - (OLD.owner IS NOT NULL)
    WHERE service_id = NEW.service_id;
END;
-- +goose StatementEnd
