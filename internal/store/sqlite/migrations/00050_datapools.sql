-- +goose Up

CREATE TABLE datapools (
    id                TEXT    PRIMARY KEY,
    tenant_id         TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name              TEXT    NOT NULL,
    short_description TEXT    NOT NULL,
    description       TEXT    NOT NULL,
    tags              TEXT    NOT NULL, -- a JSON list
    created_at        INTEGER NOT NULL,
    UNIQUE (tenant_id, name)
) WITHOUT ROWID;

-- The contents are blobs.
CREATE TABLE datapool_files (
    id           TEXT    PRIMARY KEY,
    datapool_id  TEXT    NOT NULL REFERENCES datapools (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL, -- a path
    content_type TEXT    NOT NULL,
    size         INTEGER NOT NULL,
    sha256       TEXT    NOT NULL,
    blob         TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    UNIQUE (datapool_id, name)
) WITHOUT ROWID;
CREATE INDEX datapool_files_by_blob ON datapool_files (blob);

CREATE TABLE datapool_shares (
    id          TEXT    PRIMARY KEY,
    datapool_id TEXT    NOT NULL REFERENCES datapools (id) ON DELETE CASCADE,
    tenant_id   TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    tenant_kind TEXT    NOT NULL,
    role        TEXT    NOT NULL,
    valid_from  INTEGER NOT NULL, -- 0: no bound
    valid_until INTEGER NOT NULL, -- 0: no bound
    created_at  INTEGER NOT NULL,
    UNIQUE (datapool_id, tenant_id)
) WITHOUT ROWID;
CREATE INDEX datapool_shares_by_tenant ON datapool_shares (tenant_id);

CREATE TABLE datapool_uploads (
    id           TEXT    PRIMARY KEY,
    datapool_id  TEXT    NOT NULL REFERENCES datapools (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    content_type TEXT    NOT NULL,
    size         INTEGER NOT NULL,
    sha256       TEXT    NOT NULL, -- empty: any
    file_id      TEXT    NOT NULL, -- empty: not complete
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX datapool_uploads_by_pool ON datapool_uploads (datapool_id);
CREATE INDEX datapool_uploads_by_end ON datapool_uploads (expires_at);
