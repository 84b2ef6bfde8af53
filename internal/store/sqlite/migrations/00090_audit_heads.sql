-- +goose Up

-- What vouches for the chain of each tenant: its last entry, and the last one that was
-- dropped because of its age, signed. anchored is the number that was last written to the
-- file of anchors.
CREATE TABLE audit_heads (
    tenant_id    TEXT    PRIMARY KEY,
    number       INTEGER NOT NULL,
    hash         TEXT    NOT NULL,
    start_number INTEGER NOT NULL,
    start_hash   TEXT    NOT NULL,
    broken       INTEGER NOT NULL,
    key          TEXT    NOT NULL,
    signature    BLOB    NOT NULL,
    anchored     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX audit_heads_due ON audit_heads (tenant_id) WHERE anchored <> number;

-- The public keys that have signed. Each is signed by a later key, so that it counts when
-- its version of the master key was retired.
CREATE TABLE audit_keys (
    id        TEXT    PRIMARY KEY,
    version   INTEGER NOT NULL, -- of the master key
    public    BLOB    NOT NULL,
    signed_by TEXT    NOT NULL,
    signature BLOB    NOT NULL
) WITHOUT ROWID;
