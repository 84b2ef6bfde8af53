-- +goose Up

-- Secrets that other parts of a platform hold: those in the environment of a version of a
-- service, by its id, and tokens of providers. Empty: an owner manages it as a stored
-- secret. The server moves what stored_secrets has when it starts.
ALTER TABLE secrets ADD COLUMN holder TEXT COLLATE "C" NOT NULL DEFAULT '';
DROP INDEX secrets_by_place;
CREATE UNIQUE INDEX secrets_by_place ON secrets (service_id, subscription_id, holder, tenant_id, name) WHERE removed = 0;
CREATE INDEX secrets_by_holder ON secrets (holder, tenant_id) WHERE holder <> '';
