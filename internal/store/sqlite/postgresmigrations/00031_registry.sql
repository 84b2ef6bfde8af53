-- +goose Up

-- What is looked for has a column, all else is in a JSON document.
CREATE TABLE services (
    id          TEXT COLLATE "C"    PRIMARY KEY,
    tenant_id   TEXT COLLATE "C"    NOT NULL,
    name        TEXT COLLATE "C"    NOT NULL,
    publication TEXT COLLATE "C"    NOT NULL, -- INTERNAL, PUBLIC, or empty
    created_at  BIGINT NOT NULL,
    texts       TEXT COLLATE "C"    NOT NULL,
    UNIQUE (tenant_id, name)
);
CREATE INDEX services_by_age ON services (tenant_id, created_at, id);
CREATE INDEX services_public ON services (created_at, id) WHERE publication = 'PUBLIC';

-- The id of a version is that of the engine's service.
CREATE TABLE service_versions (
    id              TEXT COLLATE "C"    PRIMARY KEY,
    service_id      TEXT COLLATE "C"    NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    version         TEXT COLLATE "C"    NOT NULL,
    active_revision TEXT COLLATE "C"    NOT NULL, -- empty: none
    source          TEXT COLLATE "C"    NOT NULL, -- the key of a blob, or empty
    created_at      BIGINT NOT NULL,
    settings        TEXT COLLATE "C"    NOT NULL,
    UNIQUE (service_id, version)
);
CREATE INDEX service_versions_by_source ON service_versions (source);

CREATE TABLE service_revisions (
    id          TEXT COLLATE "C"    PRIMARY KEY,
    version_id  TEXT COLLATE "C"    NOT NULL REFERENCES service_versions (id) ON DELETE CASCADE,
    number      BIGINT NOT NULL,
    state       TEXT COLLATE "C"    NOT NULL,
    source      TEXT COLLATE "C"    NOT NULL,
    created_at  BIGINT NOT NULL,
    finished_at BIGINT,
    build       TEXT COLLATE "C"    NOT NULL,
    UNIQUE (version_id, number)
);
CREATE INDEX service_revisions_by_source ON service_revisions (source);
CREATE INDEX service_revisions_working ON service_revisions (created_at) WHERE state = 'WORKING';

CREATE TABLE service_build_logs (
    revision_id TEXT COLLATE "C"    NOT NULL REFERENCES service_revisions (id) ON DELETE CASCADE,
    sequence    BIGINT NOT NULL,
    severity    TEXT COLLATE "C"    NOT NULL,
    logged_at   BIGINT NOT NULL,
    message     TEXT COLLATE "C"    NOT NULL,
    PRIMARY KEY (revision_id, sequence)
);
