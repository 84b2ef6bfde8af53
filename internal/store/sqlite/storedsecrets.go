package sqlite

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// Secrets that other parts of a platform hold: in environments of versions, and tokens of
// providers. They are versions of secrets as all others.

const (
	// The newest version counts: a former one is not kept.
	selectHeld = `SELECT v.seq, v.id, v.number, v.sealed, ` + secretColumns + ` FROM secrets s JOIN secret_versions v ON v.seq = s.newest
	WHERE s.holder = $1 AND ($2 = '' OR s.tenant_id = $2) AND s.removed = 0 AND v.destroyed_at = 0 ORDER BY s.name`

	removeHeld = `UPDATE secrets SET removed = 1 WHERE holder = $1 AND removed = 0 AND name NOT IN (SELECT value FROM json_each($2))`

	// The table of former programs. The name is that of the row, for its owner.
	selectStoredSecretsFrom = `SELECT seq, tenant_id || '/' || name, sealed FROM stored_secrets WHERE seq > $1 ORDER BY seq LIMIT $2`
	selectStoredSecrets     = `SELECT seq, tenant_id, name, sealed FROM stored_secrets WHERE seq > $1 ORDER BY seq LIMIT 1`
	updateStoredSecret      = `UPDATE stored_secrets SET sealed = $1 WHERE seq = $2`
	deleteStoredSecret      = `DELETE FROM stored_secrets WHERE seq = $1`
	deleteSecretsOfTenant   = `DELETE FROM stored_secrets WHERE tenant_id = $1`

	selectServiceOfVersion = `SELECT s.id, s.tenant_id FROM service_versions v JOIN services s ON s.id = v.service_id WHERE v.id = $1`
)

// storedSecretOwner is the owner of a row of former programs, whose name begins with its
// tenant.
func storedSecretOwner(name string) vault.Owner {
	tenant, rest, _ := strings.Cut(name, "/")
	return vault.SecretOwner(tenant, rest)
}

// changeEnvironment keeps new secrets in the environment of a version, and removes those
// of variables that it has no more.
func changeEnvironment(t *tx, v registry.Version) error {
	names := make([]string, 0, len(v.Environment))
	for name := range v.Environment {
		names = append(names, name)
	}
	slices.Sort(names)
	text, err := listOf(names)
	if err != nil {
		return err
	}
	removed, err := t.exec(removeHeld, v.ID, text)
	if err == nil && removed > 0 {
		_, err = t.destroySecretVersions(destroyRemoved, stamp(t.now))
	}
	if err != nil || len(v.Secrets) == 0 {
		return err
	}
	var service, tenant string
	if err := t.row(selectServiceOfVersion, []any{v.ID}, &service, &tenant); err != nil {
		return err
	}
	for _, s := range v.Secrets {
		err := putVersion(t, secretstore.NewVersion{
			Place: secretstore.InEnvironment(tenant, service, v.ID, s.Name), ID: s.ID, Sealed: s.Sealed, SetBy: s.SetBy, SetAt: t.now,
			Override: secretstore.OverrideAny,
		}, math.MaxInt)
		if err != nil {
			return err
		}
	}
	return nil
}

// EnvironmentSecrets are the secrets in the environment of a version of a service.
func (s *Store) EnvironmentSecrets(ctx context.Context, version string) ([]secretstore.SealedVersion, error) {
	all, err := s.held(ctx, version, "")
	return all, ofRegistry("read the secrets of a version", err)
}

// held are the newest versions of the secrets that a holder has, of a tenant or of all.
func (s *Store) held(ctx context.Context, holder, tenant string) (all []secretstore.SealedVersion, err error) {
	err = s.read(ctx, selectHeld, []any{holder, tenant}, func(row scanner) error {
		v, err := scanSealedVersion(row)
		all = append(all, v)
		return err
	})
	return all, err
}

func scanSealedVersion(row scanner) (v secretstore.SealedVersion, err error) {
	var sealed []byte
	err = row.Scan(append([]any{&v.Pin, &v.ID, &v.Number, &sealed}, placeInto(&v.Place)...)...)
	v.Sealed = bytes.Clone(sealed)
	return v, err
}

// PutProviderToken implements [access.ProviderTokens].
func (a accessStore) PutProviderToken(ctx context.Context, tenant string, token access.SealedToken) error {
	return a.change(ctx, "keep the token of a provider", func(t *tx) error {
		return putVersion(t, secretstore.NewVersion{
			Place: secretstore.ForProvider(tenant, string(token.Provider)), ID: token.ID, Sealed: token.Sealed, SetBy: token.SetBy, SetAt: t.now,
			Override: secretstore.OverrideNone,
		}, math.MaxInt)
	})
}

// ProviderTokens implements [access.ProviderTokens].
func (a accessStore) ProviderTokens(ctx context.Context, tenant string) ([]access.SealedToken, error) {
	all, err := a.s.held(ctx, secretstore.ForProvider("", "").Holder, tenant)
	tokens := make([]access.SealedToken, 0, len(all))
	for _, v := range all {
		tokens = append(tokens, access.SealedToken{Provider: access.Provider(v.Place.Name), ID: v.ID, Sealed: v.Sealed})
	}
	return tokens, forAccess("read the tokens of providers", err)
}

// DeleteProviderToken implements [access.ProviderTokens].
func (a accessStore) DeleteProviderToken(ctx context.Context, tenant string, provider access.Provider) error {
	return a.change(ctx, "remove the token of a provider", func(t *tx) error {
		seq, err := t.secretSeq(secretstore.ForProvider(tenant, string(provider)))
		if err != nil {
			return err
		}
		return t.removeSecret(seq, t.now)
	})
}
