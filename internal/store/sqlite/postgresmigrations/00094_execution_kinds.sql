-- +goose Up

-- Lists of what a tenant has started, the newest first. The index by kind has one entry for
-- each execution that has ended, so a list finds the few of a kind among many: it asks for
-- each service, application and final state. Its condition differs from that of the other
-- index, so that SQLite cannot take that one instead.
DROP INDEX executions_by_caller;
CREATE INDEX executions_by_caller ON executions (tenant_id, created_at)
    WHERE tenant_id <> '';
CREATE INDEX executions_by_kind ON executions (tenant_id, service_id, application_id, status, created_at)
    WHERE tenant_id > '' AND ended_at IS NOT NULL;

ALTER TABLE execution_tags ADD COLUMN tenant_id TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE execution_tags ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0;
UPDATE execution_tags SET
    tenant_id = (SELECT tenant_id FROM executions WHERE seq = execution_seq),
    created_at = (SELECT created_at FROM executions WHERE seq = execution_seq);
CREATE INDEX execution_tags_by_caller ON execution_tags (tenant_id, tag, created_at, execution_seq)
    WHERE tenant_id <> '';
