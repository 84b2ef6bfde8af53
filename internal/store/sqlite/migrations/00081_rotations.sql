-- +goose Up

-- Where new values of secrets come from.
CREATE TABLE secret_rotations (
    secret_seq INTEGER PRIMARY KEY REFERENCES secrets (seq) ON DELETE CASCADE,
    command    TEXT    NOT NULL, -- the name of a program, or empty
    webhook    TEXT    NOT NULL, -- an address, or empty
    every      INTEGER NOT NULL, -- microseconds; 0: on request only
    keep       INTEGER NOT NULL, -- microseconds
    set_by     TEXT    NOT NULL,
    due_at     INTEGER NOT NULL, -- 0: it has no schedule
    last_at    INTEGER NOT NULL, -- 0: never
    last_error TEXT    NOT NULL  -- why the last one failed; empty: it did not
);
CREATE INDEX secret_rotations_due ON secret_rotations (due_at) WHERE due_at > 0;
