-- +goose Up

-- What vouches for the values of stored secrets as a set: their sum, signed. changes counts
-- the changes of the set; the signed heads of the audit log name it, too.
CREATE TABLE sealed_state (
    "only"    BIGINT PRIMARY KEY CHECK ("only" = 1),
    changes   BIGINT NOT NULL,
    sum       BYTEA    NOT NULL,
    key       TEXT COLLATE "C"    NOT NULL,
    signature BYTEA    NOT NULL
);
ALTER TABLE audit_heads ADD COLUMN sealed BIGINT NOT NULL DEFAULT 0;
