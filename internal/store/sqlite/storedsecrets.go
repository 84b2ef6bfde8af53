package sqlite

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

const (
	selectStoredSecret = `SELECT sealed FROM stored_secrets WHERE tenant_id = $1 AND name = $2`

	upsertStoredSecret = `INSERT INTO stored_secrets (tenant_id, name, sealed, changed_at) VALUES ($1, $2, $3, $4)
	ON CONFLICT (tenant_id, name) DO UPDATE SET sealed = excluded.sealed, changed_at = excluded.changed_at`

	selectStoredNames = `SELECT name FROM stored_secrets WHERE tenant_id = $1 AND substr(name, 1, length($2)) = $2 ORDER BY name`

	deleteSecretsOfTenant = `DELETE FROM stored_secrets WHERE tenant_id = $1`

	deleteStoredSecret = `DELETE FROM stored_secrets WHERE tenant_id = $1 AND name = $2`

	// The name is that of the row, for its owner.
	selectStoredSecretsFrom = `SELECT seq, tenant_id || '/' || name, sealed FROM stored_secrets WHERE seq > $1 ORDER BY seq LIMIT $2`

	updateStoredSecret = `UPDATE stored_secrets SET sealed = $1 WHERE seq = $2`

	selectTenantOfVersion = `SELECT s.tenant_id FROM service_versions v JOIN services s ON s.id = v.service_id WHERE v.id = $1`

	deleteSecretsOfService = `DELETE FROM stored_secrets WHERE tenant_id = (SELECT tenant_id FROM services WHERE id = $1)
	AND name IN (SELECT 'service/' || id || '/environment' FROM service_versions WHERE service_id = $1)`
)

// storedSecretOwner is the owner of a row, whose name begins with its tenant.
func storedSecretOwner(name string) vault.Owner {
	tenant, rest, _ := strings.Cut(name, "/")
	return vault.SecretOwner(tenant, rest)
}

// putStoredSecret keeps a sealed secret; nil removes it.
func putStoredSecret(t *tx, tenant, name string, sealed []byte) error {
	t.destroyed = true // there may have been another one
	if len(sealed) == 0 {
		_, err := t.exec(deleteStoredSecret, tenant, name)
		return err
	}
	_, err := t.exec(upsertStoredSecret, tenant, name, sealed, micros(t.now))
	return err
}

// putVersionSecrets keeps the sealed secrets of a version.
func putVersionSecrets(t *tx, version string, sealed []byte) error {
	var tenant string
	if err := t.row(selectTenantOfVersion, []any{version}, &tenant); err != nil {
		return err
	}
	return putStoredSecret(t, tenant, registry.SecretsName(version), sealed)
}

// versionSecretsIn are the sealed secrets of a version; nil if it has none.
func versionSecretsIn(t *tx, version string) (sealed []byte, err error) {
	var tenant string
	if err := t.row(selectTenantOfVersion, []any{version}, &tenant); err != nil {
		return nil, err
	}
	err = t.row(selectStoredSecret, []any{tenant, registry.SecretsName(version)}, &sealed)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return sealed, err
}

// VersionSecrets implements [registry.Store].
func (s *Store) VersionSecrets(ctx context.Context, version string) ([]byte, error) {
	var tenant string
	if err := s.readOne(ctx, selectTenantOfVersion, []any{version}, &tenant); err != nil {
		return nil, ofRegistry("read the secrets of a version", err)
	}
	var sealed []byte
	err := s.readOne(ctx, selectStoredSecret, []any{tenant, registry.SecretsName(version)}, &sealed)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return bytes.Clone(sealed), ofRegistry("read the secrets of a version", err)
}

// PutSecret implements [access.StoredSecrets].
func (a accessStore) PutSecret(ctx context.Context, tenant, name string, sealed []byte) error {
	return a.change(ctx, "keep a secret", func(t *tx) error { return putStoredSecret(t, tenant, name, sealed) })
}

// Secret implements [access.StoredSecrets].
func (a accessStore) Secret(ctx context.Context, tenant, name string) ([]byte, error) {
	var sealed []byte
	err := a.s.readOne(ctx, selectStoredSecret, []any{tenant, name}, &sealed)
	return bytes.Clone(sealed), forAccess("read a secret", err)
}

// SecretNames implements [access.StoredSecrets].
func (a accessStore) SecretNames(ctx context.Context, tenant, prefix string) ([]string, error) {
	names := []string{}
	err := a.s.read(ctx, selectStoredNames, []any{tenant, prefix}, func(row scanner) error {
		var name string
		err := row.Scan(&name)
		names = append(names, name)
		return err
	})
	return names, forAccess("list secrets", err)
}

// DeleteSecret implements [access.StoredSecrets].
func (a accessStore) DeleteSecret(ctx context.Context, tenant, name string) error {
	return a.change(ctx, "remove a secret", func(t *tx) error {
		t.destroyed = true
		return found(t.exec(deleteStoredSecret, tenant, name))
	})
}
