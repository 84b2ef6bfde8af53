-- +goose Up

-- Roles of other tenants in services, one each.
CREATE TABLE service_shares (
    id          TEXT    PRIMARY KEY,
    service_id  TEXT    NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    tenant_id   TEXT    NOT NULL,
    tenant_kind TEXT    NOT NULL,
    role        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    valid_from  INTEGER NOT NULL, -- 0: no bound
    valid_until INTEGER NOT NULL, -- 0: no bound
    UNIQUE (service_id, tenant_id)
) WITHOUT ROWID;
CREATE INDEX service_shares_by_tenant ON service_shares (tenant_id);
