-- +goose Up

-- Where new values of secrets come from.
CREATE TABLE secret_rotations (
    secret_seq BIGINT PRIMARY KEY REFERENCES secrets (seq) ON DELETE CASCADE,
    command    TEXT COLLATE "C"    NOT NULL, -- the name of a program, or empty
    webhook    TEXT COLLATE "C"    NOT NULL, -- an address, or empty
    every      BIGINT NOT NULL, -- microseconds; 0: on request only
    keep       BIGINT NOT NULL, -- microseconds
    set_by     TEXT COLLATE "C"    NOT NULL,
    due_at     BIGINT NOT NULL, -- 0: it has no schedule
    last_at    BIGINT NOT NULL, -- 0: never
    last_error TEXT COLLATE "C"    NOT NULL  -- why the last one failed; empty: it did not
);
CREATE INDEX secret_rotations_due ON secret_rotations (due_at) WHERE due_at > 0;
