-- +goose Up

-- What jobs keep of their requests, without secrets: a JSON document.
CREATE TABLE execution_inputs (
    execution_seq BIGINT PRIMARY KEY REFERENCES executions (seq) ON DELETE CASCADE,
    document      BYTEA    NOT NULL
);

-- Servers of one service have no row in it.
CREATE INDEX executions_by_parent ON executions (parent_id)
    WHERE parent_id <> '';
