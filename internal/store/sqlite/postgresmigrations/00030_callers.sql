-- +goose Up

-- Who has started an execution: a tenant, and the execution that it acts in. Servers
-- of one service leave both empty, so the index has no row of theirs.
ALTER TABLE executions ADD COLUMN tenant_id TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE executions ADD COLUMN parent_id TEXT COLLATE "C" NOT NULL DEFAULT '';

CREATE INDEX executions_by_caller ON executions (tenant_id, seq)
    WHERE tenant_id <> '';
