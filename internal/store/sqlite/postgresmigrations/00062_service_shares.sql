-- +goose Up

-- Roles of other tenants in services, one each.
CREATE TABLE service_shares (
    id          TEXT COLLATE "C"    PRIMARY KEY,
    service_id  TEXT COLLATE "C"    NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    tenant_id   TEXT COLLATE "C"    NOT NULL,
    tenant_kind TEXT COLLATE "C"    NOT NULL,
    role        TEXT COLLATE "C"    NOT NULL,
    created_at  BIGINT NOT NULL,
    valid_from  BIGINT NOT NULL, -- 0: no bound
    valid_until BIGINT NOT NULL, -- 0: no bound
    UNIQUE (service_id, tenant_id)
);
CREATE INDEX service_shares_by_tenant ON service_shares (tenant_id);
