-- +goose Up

CREATE TABLE datapools (
    id                TEXT COLLATE "C"    PRIMARY KEY,
    tenant_id         TEXT COLLATE "C"    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name              TEXT COLLATE "C"    NOT NULL,
    short_description TEXT COLLATE "C"    NOT NULL,
    description       TEXT COLLATE "C"    NOT NULL,
    tags              TEXT COLLATE "C"    NOT NULL, -- a JSON list
    created_at        BIGINT NOT NULL,
    UNIQUE (tenant_id, name)
);

-- The contents are blobs.
CREATE TABLE datapool_files (
    id           TEXT COLLATE "C"    PRIMARY KEY,
    datapool_id  TEXT COLLATE "C"    NOT NULL REFERENCES datapools (id) ON DELETE CASCADE,
    name         TEXT COLLATE "C"    NOT NULL, -- a path
    content_type TEXT COLLATE "C"    NOT NULL,
    size         BIGINT NOT NULL,
    sha256       TEXT COLLATE "C"    NOT NULL,
    blob         TEXT COLLATE "C"    NOT NULL,
    version      BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    UNIQUE (datapool_id, name)
);
CREATE INDEX datapool_files_by_blob ON datapool_files (blob);

CREATE TABLE datapool_shares (
    id          TEXT COLLATE "C"    PRIMARY KEY,
    datapool_id TEXT COLLATE "C"    NOT NULL REFERENCES datapools (id) ON DELETE CASCADE,
    tenant_id   TEXT COLLATE "C"    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    tenant_kind TEXT COLLATE "C"    NOT NULL,
    role        TEXT COLLATE "C"    NOT NULL,
    valid_from  BIGINT NOT NULL, -- 0: no bound
    valid_until BIGINT NOT NULL, -- 0: no bound
    created_at  BIGINT NOT NULL,
    UNIQUE (datapool_id, tenant_id)
);
CREATE INDEX datapool_shares_by_tenant ON datapool_shares (tenant_id);

CREATE TABLE datapool_uploads (
    id           TEXT COLLATE "C"    PRIMARY KEY,
    datapool_id  TEXT COLLATE "C"    NOT NULL REFERENCES datapools (id) ON DELETE CASCADE,
    name         TEXT COLLATE "C"    NOT NULL,
    content_type TEXT COLLATE "C"    NOT NULL,
    size         BIGINT NOT NULL,
    sha256       TEXT COLLATE "C"    NOT NULL, -- empty: any
    file_id      TEXT COLLATE "C"    NOT NULL, -- empty: not complete
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX datapool_uploads_by_pool ON datapool_uploads (datapool_id);
CREATE INDEX datapool_uploads_by_end ON datapool_uploads (expires_at);
