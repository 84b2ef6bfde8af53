-- +goose Up

-- What vouches for the chain of each tenant: its last entry, and the last one that was
-- dropped because of its age, signed. anchored is the number that was last written to the
-- file of anchors.
CREATE TABLE audit_heads (
    tenant_id    TEXT COLLATE "C"    PRIMARY KEY,
    number       BIGINT NOT NULL,
    hash         TEXT COLLATE "C"    NOT NULL,
    start_number BIGINT NOT NULL,
    start_hash   TEXT COLLATE "C"    NOT NULL,
    broken       BIGINT NOT NULL,
    key          TEXT COLLATE "C"    NOT NULL,
    signature    BYTEA    NOT NULL,
    anchored     BIGINT NOT NULL
);
CREATE INDEX audit_heads_due ON audit_heads (tenant_id) WHERE anchored <> number;

-- The public keys that have signed. Each is signed by a later key, so that it counts when
-- its version of the master key was retired.
CREATE TABLE audit_keys (
    id        TEXT COLLATE "C"    PRIMARY KEY,
    version   BIGINT NOT NULL, -- of the master key
    public    BYTEA    NOT NULL,
    signed_by TEXT COLLATE "C"    NOT NULL,
    signature BYTEA    NOT NULL
);
