-- +goose Up

-- Who has changed what. An entry is a JSON document, and names the hash of the one before
-- of its tenant. The chain of a tenant outlives it.
CREATE TABLE audit (
    tenant_id TEXT COLLATE "C"    NOT NULL,
    number    BIGINT NOT NULL, -- from 1
    entry     BYTEA    NOT NULL,
    hash      TEXT COLLATE "C"    NOT NULL, -- SHA-256 of entry, in hexadecimal
    PRIMARY KEY (tenant_id, number)
);
