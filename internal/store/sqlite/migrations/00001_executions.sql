-- +goose Up

-- What is read and changed most stays small; all that is large or short-lived
-- has a table of its own. seq is the order of acceptance.
CREATE TABLE executions (
    seq                   INTEGER PRIMARY KEY,
    id                    TEXT    NOT NULL UNIQUE,
    service_id            TEXT    NOT NULL,
    service_revision      TEXT    NOT NULL,
    status                TEXT    NOT NULL,
    type                  TEXT    NOT NULL,
    created_at            INTEGER NOT NULL, -- all times: microseconds since 1970, UTC
    started_at            INTEGER,
    ended_at              INTEGER,
    tags                  TEXT    NOT NULL, -- JSON array, or empty
    service_definition_id TEXT    NOT NULL,
    application_id        TEXT    NOT NULL,
    cancel_requested      INTEGER NOT NULL DEFAULT 0,
    problem               TEXT,             -- JSON
    result                TEXT,             -- JSON
    owner                 TEXT,             -- set while claimed or running
    lease_expires_at      INTEGER
);

CREATE INDEX executions_by_service ON executions (service_id, seq);

-- The partial indexes hold what is alive or due, so that their size does not
-- grow with the number of executions that have ended.
CREATE INDEX executions_waiting ON executions (service_id, seq)
    WHERE status = 'PENDING' AND owner IS NULL;
CREATE INDEX executions_leased ON executions (lease_expires_at)
    WHERE owner IS NOT NULL;
CREATE INDEX executions_ended ON executions (ended_at)
    WHERE ended_at IS NOT NULL;

CREATE TABLE execution_requests (
    execution_seq INTEGER PRIMARY KEY REFERENCES executions (seq) ON DELETE CASCADE,
    payload       BLOB NOT NULL
);

CREATE TABLE execution_secrets (
    execution_seq INTEGER PRIMARY KEY REFERENCES executions (seq) ON DELETE CASCADE,
    sealed        BLOB NOT NULL
);

CREATE TABLE execution_tags (
    service_id    TEXT    NOT NULL,
    tag           TEXT    NOT NULL,
    execution_seq INTEGER NOT NULL REFERENCES executions (seq) ON DELETE CASCADE,
    PRIMARY KEY (service_id, tag, execution_seq)
) WITHOUT ROWID;
CREATE INDEX execution_tags_by_execution ON execution_tags (execution_seq);

CREATE TABLE execution_logs (
    execution_seq INTEGER NOT NULL REFERENCES executions (seq) ON DELETE CASCADE,
    sequence      INTEGER NOT NULL,
    severity      TEXT    NOT NULL,
    logged_at     INTEGER NOT NULL,
    message       TEXT    NOT NULL,
    PRIMARY KEY (execution_seq, sequence)
) WITHOUT ROWID;

CREATE TABLE idempotency_keys (
    service_id    TEXT    NOT NULL,
    idempotency_key TEXT  NOT NULL,
    mac           BLOB    NOT NULL, -- keyed: the body cannot be guessed from it
    execution_seq INTEGER NOT NULL REFERENCES executions (seq) ON DELETE CASCADE,
    PRIMARY KEY (service_id, idempotency_key)
) WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_execution ON idempotency_keys (execution_seq);

-- How much waits and runs, kept by triggers, so that the bounds of a deep queue
-- are checked without counting it.
CREATE TABLE service_load (
    service_id TEXT PRIMARY KEY,
    waiting    INTEGER NOT NULL, -- PENDING, no owner
    active     INTEGER NOT NULL  -- has an owner
) WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER executions_inserted AFTER INSERT ON executions
BEGIN
    INSERT INTO service_load (service_id, waiting, active)
    VALUES (NEW.service_id, NEW.status = 'PENDING' AND NEW.owner IS NULL, NEW.owner IS NOT NULL)
    ON CONFLICT (service_id) DO UPDATE
    SET waiting = waiting + excluded.waiting, active = active + excluded.active;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER executions_updated AFTER UPDATE OF status, owner ON executions
BEGIN
    UPDATE service_load
    SET waiting = waiting + (NEW.status = 'PENDING' AND NEW.owner IS NULL) - (OLD.status = 'PENDING' AND OLD.owner IS NULL),
        active  = active + (NEW.owner IS NOT NULL) - (OLD.owner IS NOT NULL)
    WHERE service_id = NEW.service_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER executions_deleted AFTER DELETE ON executions
WHEN OLD.owner IS NOT NULL OR OLD.status = 'PENDING'
BEGIN
    UPDATE service_load
    SET waiting = waiting - (OLD.status = 'PENDING' AND OLD.owner IS NULL),
        active  = active - (OLD.owner IS NOT NULL)
    WHERE service_id = OLD.service_id;
END;
-- +goose StatementEnd
