package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/registry/registrytest"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// TestVersionSecretsAreResealed passes the secrets of versions through a change of the
// master key, under their owner.
func TestVersionSecretsAreResealed(t *testing.T) {
	t.Parallel()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	service := registry.Service{ID: "s", Tenant: "t", Name: "n"}
	if err := s.CreateService(t.Context(), service, registry.Version{ID: "v", Service: "s", Version: "1.0.0", Secrets: []byte("old")}); err != nil {
		t.Fatal(err)
	}
	var owners []vault.Owner
	changed, err := s.Reseal(t.Context(), func(owner vault.Owner, sealed vault.Sealed) (vault.Sealed, bool, error) {
		owners = append(owners, owner)
		return append(sealed, "-new"...), true, nil
	})
	if err != nil || changed != 1 || len(owners) != 1 || owners[0] != vault.SecretOwner("t", registry.SecretsName("v")) {
		t.Errorf("Reseal = %d, %v of %v, want one of the version", changed, err, owners)
	}
	if sealed, err := s.VersionSecrets(t.Context(), "v"); err != nil || string(sealed) != "old-new" {
		t.Errorf("VersionSecrets after Reseal = %q, %v, want old-new", sealed, err)
	}
	if err := s.DeleteService(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.Reseal(t.Context(), func(_ vault.Owner, sealed vault.Sealed) (vault.Sealed, bool, error) { return sealed, true, nil }); err != nil || changed != 0 {
		t.Errorf("Reseal after DeleteService = %d, %v, want none", changed, err)
	}
}

func TestRegistry(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) registry.Store {
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}
