-- +goose Up

-- What is looked for has a column, all else is in a JSON document.
CREATE TABLE services (
    id          TEXT    PRIMARY KEY,
    tenant_id   TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    publication TEXT    NOT NULL, -- INTERNAL, PUBLIC, or empty
    created_at  INTEGER NOT NULL,
    texts       TEXT    NOT NULL,
    UNIQUE (tenant_id, name)
) WITHOUT ROWID;
CREATE INDEX services_by_age ON services (tenant_id, created_at, id);
CREATE INDEX services_public ON services (created_at, id) WHERE publication = 'PUBLIC';

-- The id of a version is that of the engine's service.
CREATE TABLE service_versions (
    id              TEXT    PRIMARY KEY,
    service_id      TEXT    NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    version         TEXT    NOT NULL,
    active_revision TEXT    NOT NULL, -- empty: none
    source          TEXT    NOT NULL, -- the key of a blob, or empty
    created_at      INTEGER NOT NULL,
    settings        TEXT    NOT NULL,
    UNIQUE (service_id, version)
) WITHOUT ROWID;
CREATE INDEX service_versions_by_source ON service_versions (source);

CREATE TABLE service_revisions (
    id          TEXT    PRIMARY KEY,
    version_id  TEXT    NOT NULL REFERENCES service_versions (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    finished_at INTEGER,
    build       TEXT    NOT NULL,
    UNIQUE (version_id, number)
) WITHOUT ROWID;
CREATE INDEX service_revisions_by_source ON service_revisions (source);
CREATE INDEX service_revisions_working ON service_revisions (created_at) WHERE state = 'WORKING';

CREATE TABLE service_build_logs (
    revision_id TEXT    NOT NULL REFERENCES service_revisions (id) ON DELETE CASCADE,
    sequence    INTEGER NOT NULL,
    severity    TEXT    NOT NULL,
    logged_at   INTEGER NOT NULL,
    message     TEXT    NOT NULL,
    PRIMARY KEY (revision_id, sequence)
) WITHOUT ROWID;
