-- +goose Up

-- Secrets that services get, without their values. Ids that a kind lacks are empty.
-- removed: it counts no more, and goes when its last version is destroyed.
CREATE TABLE secrets (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    kind            TEXT    NOT NULL, -- SERVICE, SUBSCRIPTION, TENANT
    tenant_id       TEXT    NOT NULL,
    service_id      TEXT    NOT NULL,
    subscription_id TEXT    NOT NULL,
    application_id  TEXT    NOT NULL,
    name            TEXT    NOT NULL, -- of the parameter, or of a secret of the tenant
    override        TEXT    NOT NULL, -- NONE, OWN, ANY
    created_at      INTEGER NOT NULL,
    used_at         INTEGER NOT NULL,
    newest          INTEGER NOT NULL, -- the seq of its newest version
    expires_at      INTEGER NOT NULL, -- when that one expires
    removed         INTEGER NOT NULL
);
CREATE UNIQUE INDEX secrets_by_place ON secrets (service_id, subscription_id, tenant_id, name) WHERE removed = 0;
CREATE INDEX secrets_by_tenant ON secrets (tenant_id, kind, service_id, application_id, name) WHERE removed = 0;
CREATE INDEX secrets_by_subscription ON secrets (subscription_id);
CREATE INDEX secrets_by_end ON secrets (tenant_id, expires_at) WHERE removed = 0 AND expires_at > 0;
CREATE INDEX secrets_removed ON secrets (seq) WHERE removed = 1;

-- Their values. The number of a row, its seq, is never used again: executions pin it.
CREATE TABLE secret_versions (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    secret_seq   INTEGER NOT NULL REFERENCES secrets (seq) ON DELETE CASCADE,
    id           TEXT    NOT NULL, -- of the owner of the sealed value
    number       INTEGER NOT NULL,
    set_by       TEXT    NOT NULL,
    set_at       INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL, -- 0: never
    kept_until   INTEGER NOT NULL, -- 0: nothing has replaced it
    destroyed_at INTEGER NOT NULL, -- 0: it has its value
    used_at      INTEGER NOT NULL,
    used_by      TEXT    NOT NULL, -- the id of an execution, or empty
    sealed       BLOB,             -- NULL once it is destroyed
    UNIQUE (secret_seq, number)
);
CREATE INDEX secret_versions_kept ON secret_versions (kept_until) WHERE destroyed_at = 0 AND kept_until > 0;
CREATE INDEX secret_versions_expiring ON secret_versions (expires_at) WHERE destroyed_at = 0 AND expires_at > 0;

-- The versions that executions were accepted with.
CREATE TABLE execution_secret_pins (
    version_seq   INTEGER NOT NULL,
    execution_seq INTEGER NOT NULL REFERENCES executions (seq) ON DELETE CASCADE,
    PRIMARY KEY (version_seq, execution_seq)
) WITHOUT ROWID;
CREATE INDEX execution_secret_pins_by_execution ON execution_secret_pins (execution_seq);

-- Parameters that get a secret of the tenant.
CREATE TABLE secret_bindings (
    service_id TEXT    NOT NULL,
    parameter  TEXT    NOT NULL,
    secret_seq INTEGER NOT NULL REFERENCES secrets (seq) ON DELETE CASCADE,
    PRIMARY KEY (service_id, parameter)
) WITHOUT ROWID;
CREATE INDEX secret_bindings_by_secret ON secret_bindings (secret_seq);

-- What a secret belongs to takes it along.
-- +goose StatementBegin
CREATE TRIGGER secrets_of_subscription AFTER DELETE ON subscriptions BEGIN
    UPDATE secrets SET removed = 1 WHERE subscription_id = old.id AND removed = 0;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER secrets_of_service AFTER DELETE ON services BEGIN
    UPDATE secrets SET removed = 1 WHERE service_id = old.id AND removed = 0;
    DELETE FROM secret_bindings WHERE service_id = old.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER secrets_of_tenant AFTER DELETE ON tenants BEGIN
    UPDATE secrets SET removed = 1 WHERE tenant_id = old.id AND removed = 0;
END;
-- +goose StatementEnd
