-- +goose Up

-- What vouches for the values of stored secrets as a set: their sum, signed. changes counts
-- the changes of the set; the signed heads of the audit log name it, too.
CREATE TABLE sealed_state (
    only      INTEGER PRIMARY KEY CHECK (only = 1),
    changes   INTEGER NOT NULL,
    sum       BLOB    NOT NULL,
    key       TEXT    NOT NULL,
    signature BLOB    NOT NULL
);
ALTER TABLE audit_heads ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;
