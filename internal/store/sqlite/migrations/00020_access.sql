-- +goose Up

-- Who may call a platform. All times: microseconds since 1970, UTC; 0 is none.
-- Services are named by id only: they are another package's.

CREATE TABLE tenants (
    id           TEXT    PRIMARY KEY,
    kind         TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    display_name TEXT    NOT NULL,
    description  TEXT    NOT NULL,
    email        TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    UNIQUE (kind, name)
) WITHOUT ROWID;

-- Members of organizations. A user is the OWNER of its own tenant without a row.
CREATE TABLE members (
    organization_id TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    user_id         TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    role            TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (organization_id, user_id)
) WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user_id);

CREATE TABLE invitations (
    id              TEXT    PRIMARY KEY,
    organization_id TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    invitee_id      TEXT    NOT NULL, -- or empty
    inviter_id      TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    role            TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    digest          BLOB    UNIQUE,   -- SHA-256 of the one-time token, NULL once it is used
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX invitations_by_organization ON invitations (organization_id);
CREATE INDEX invitations_by_invitee ON invitations (invitee_id);

CREATE TABLE tokens (
    id         TEXT    PRIMARY KEY,
    user_id    TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    prefix     TEXT    NOT NULL,
    scopes     TEXT    NOT NULL, -- words
    digest     BLOB    NOT NULL UNIQUE, -- SHA-256 of the value
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tokens_by_user ON tokens (user_id);

CREATE TABLE applications (
    id         TEXT    PRIMARY KEY,
    tenant_id  TEXT    NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (tenant_id, name)
) WITHOUT ROWID;

CREATE TABLE access_keys (
    seq            INTEGER PRIMARY KEY,
    id             TEXT    NOT NULL UNIQUE,
    application_id TEXT    NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    digest         BLOB    NOT NULL, -- SHA-256 of the secret
    sealed         BLOB,             -- the secret, while it can be read
    reveal_until   INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    used_at        INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL
);
CREATE INDEX access_keys_by_application ON access_keys (application_id);
CREATE INDEX access_keys_revealed ON access_keys (reveal_until) WHERE sealed IS NOT NULL;

CREATE TABLE subscriptions (
    id             TEXT    PRIMARY KEY,
    application_id TEXT    NOT NULL REFERENCES applications (id) ON DELETE CASCADE,
    service_id     TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    UNIQUE (application_id, service_id)
) WITHOUT ROWID;
CREATE INDEX subscriptions_by_service ON subscriptions (service_id);

CREATE TABLE signing_keys (
    seq        INTEGER PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    public     BLOB    NOT NULL,
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL
);
