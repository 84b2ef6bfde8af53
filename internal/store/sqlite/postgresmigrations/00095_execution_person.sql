-- +goose Up

-- The member of the tenant that has started an execution; empty: an application or an
-- execution has, or an older program accepted it.
ALTER TABLE executions ADD COLUMN person_id TEXT COLLATE "C" NOT NULL DEFAULT '';
