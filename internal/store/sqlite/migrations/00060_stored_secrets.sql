-- +goose Up

-- Sealed secrets of tenants, by names such as service/ID/environment: the secrets in the
-- environment of one version of a service.
CREATE TABLE stored_secrets (
    seq        INTEGER PRIMARY KEY,
    tenant_id  TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    changed_at INTEGER NOT NULL,
    UNIQUE (tenant_id, name)
);
