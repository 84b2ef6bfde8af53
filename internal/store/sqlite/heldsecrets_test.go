package sqlite

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// held has a service with a version, whose environment has secrets.
type held struct {
	*testing.T
	*Store
	ring *vault.Keyring
	blob string // the type of bytes in the database
}

func newHeld(t *testing.T) *held {
	t.Helper()
	h := &held{t, mustOpen(t, filepath.Join(t.TempDir(), "store.db")), keyring(t, firstKey), "BLOB"}
	t.Cleanup(func() { _ = h.Close() })
	h.must(h.SignAudit(t.Context(), audit.NewSigner(h.ring), nil, true))
	h.must(h.CreateService(t.Context(), registry.Service{ID: "s", Tenant: "t", Name: "n"}, h.version("v", "a1")))
	return h
}

func (h *held) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// version is one with the secret SECRET_A, of which id is the version.
func (h *held) version(version, id string) registry.Version {
	return registry.Version{
		ID: version, Service: "s", Version: version, Secrets: []registry.Secret{h.secret(version, "SECRET_A", id)},
		Settings: registry.Settings{Environment: map[string]string{"SECRET_A": "", "SECRET_B": "", "MODE": "fast"}},
	}
}

func (h *held) secret(version, name, id string) registry.Secret {
	h.Helper()
	sealed, err := h.ring.Seal(secretstore.InEnvironment("t", "s", version, name).Owner(id), secretstore.Sealable(plaintext.FromString("value "+id)))
	h.must(err)
	return registry.Secret{Name: name, ID: id, SetBy: "user", Sealed: sealed}
}

// want compares the values in the environment of a version, which open.
func (h *held) want(version string, want ...string) {
	h.Helper()
	all, err := h.EnvironmentSecrets(h.Context(), version)
	h.must(err)
	var got []string
	for _, v := range all {
		value, err := v.Open(h.ring)
		h.must(err)
		got = append(got, v.Place.Name+" "+string(value.Reveal()))
	}
	if !slices.Equal(got, want) {
		h.Errorf("EnvironmentSecrets(%s) = %q, want %q", version, got, want)
	}
	use, err := store.FindSealed(h.Context(), h.Store, h.ring)
	h.must(err)
	if len(use.Damaged)+len(use.Missing) > 0 {
		h.Errorf("FindSealed() = %v, want no damage", use)
	}
	if err := h.CheckSealed(h.Context(), audit.NewSigner(h.ring)); err != nil {
		h.Errorf("CheckSealed() = %v, want nil", err)
	}
}

// TestSecretsOfVersions changes those in the environment of a version with its settings.
func TestSecretsOfVersions(t *testing.T) {
	t.Parallel()
	h := newHeld(t)
	h.want("v", "SECRET_A value a1")
	change := func(what string, want error, change func(v *registry.Version)) {
		t.Helper()
		_, err := h.ChangeVersion(t.Context(), "v", func(v *registry.Version) error {
			if v.Secrets != nil {
				t.Errorf("ChangeVersion has %d secrets, want none", len(v.Secrets))
			}
			change(v)
			return want
		})
		if !errors.Is(err, want) {
			t.Errorf("ChangeVersion(%s) = %v, want %v", what, err, want)
		}
	}
	change("another", nil, func(v *registry.Version) { v.Secrets = []registry.Secret{h.secret("v", "SECRET_B", "b1")} })
	h.want("v", "SECRET_A value a1", "SECRET_B value b1")
	change("a new value", nil, func(v *registry.Version) { v.Secrets = []registry.Secret{h.secret("v", "SECRET_A", "a2")} })
	h.want("v", "SECRET_A value a2", "SECRET_B value b1")
	change("an error", registry.ErrInvalid, func(v *registry.Version) { v.Secrets = []registry.Secret{h.secret("v", "SECRET_A", "a3")} })
	h.want("v", "SECRET_A value a2", "SECRET_B value b1")
	h.must(h.AddVersion(t.Context(), h.version("w", "w1")))
	change("a variable is taken away", nil, func(v *registry.Version) { delete(v.Environment, "SECRET_A") })
	h.want("v", "SECRET_B value b1")
	h.want("w", "SECRET_A value w1")
	if _, err := h.ChangeVersion(t.Context(), "v", func(v *registry.Version) error {
		v.Secrets = []registry.Secret{{Name: "SECRET_B", ID: "x", Sealed: []byte("plain")}}
		return nil
	}); err == nil {
		t.Error("ChangeVersion(a value that is not sealed) = no error, want one")
	}
	n, err := store.Rewrap(t.Context(), h.Store, keyring(t, firstKey+","+secondKey))
	if n != 2 || err != nil {
		t.Errorf("Rewrap() = %d, %v, want both values", n, err)
	}
	all, total, err := h.Store.Secrets().Secrets(t.Context(), secretstore.Query{Tenant: "t", Kind: secretstore.OfEnvironment, Now: time.Now()})
	if err != nil || total != 2 || all[0].Holder != "v" || all[0].Newest.SetBy != "user" {
		t.Errorf("Secrets(ENVIRONMENT) = %v, %d, %v, want two", all, total, err)
	}
	h.must(h.DeleteService(t.Context(), "s"))
	h.want("v")
	h.want("w")
	if n, err := h.Store.Secrets().Sweep(t.Context(), h.writer.now()); n != 0 || err != nil {
		t.Errorf("Sweep() after DeleteService = %d, %v, want no value that is left", n, err)
	}
}

// TestProviderTokensAreStoredSecrets has the place of a token name the owner that package
// access has sealed it for.
func TestProviderTokensAreStoredSecrets(t *testing.T) {
	t.Parallel()
	h := newHeld(t)
	tokens := h.Access()
	for _, id := range []string{"1", "2"} {
		sealed, err := h.ring.Seal(secretstore.ForProvider("t", "IBM").Owner(id), vault.Secrets{"QISKIT_IBM_TOKEN": plaintext.FromString("token " + id)})
		h.must(err)
		h.must(tokens.PutProviderToken(t.Context(), "t", access.SealedToken{Provider: "IBM", ID: id, SetBy: "u", Sealed: sealed}))
	}
	all, err := tokens.ProviderTokens(t.Context(), "t")
	if err != nil || len(all) != 1 || all[0].ID != "2" {
		t.Errorf("ProviderTokens() = %v, %v, want the second", all, err)
	}
	if none, err := tokens.ProviderTokens(t.Context(), "other"); len(none) != 0 || err != nil {
		t.Errorf("ProviderTokens(another tenant) = %v, %v, want none", none, err)
	}
	h.want("v", "SECRET_A value a1")
	// A secret of the tenant may have the same name.
	putSecret(t, h.Store, h.ring, "IBM", "own")
	h.must(tokens.DeleteProviderToken(t.Context(), "t", "IBM"))
	if err := tokens.DeleteProviderToken(t.Context(), "t", "IBM"); !errors.Is(err, access.ErrNotFound) {
		t.Errorf("DeleteProviderToken(again) = %v, want %v", err, access.ErrNotFound)
	}
	if _, total, err := h.Store.Secrets().Secrets(t.Context(), secretstore.Query{Tenant: "t", Kind: secretstore.OfTenant, Now: time.Now()}); total != 1 || err != nil {
		t.Errorf("Secrets(TENANT) = %d, %v, want the other one", total, err)
	}
	h.want("v", "SECRET_A value a1")
}

// TestFormerSecretsMove reads what former programs have kept. A set that does not open
// stays, and is moved once its key is there.
func TestFormerSecretsMove(t *testing.T) {
	t.Parallel()
	h := newHeld(t)
	h.must(h.AddVersion(t.Context(), registry.Version{ID: "f", Service: "s", Version: "f"}))
	later := keyring(t, firstKey+","+secondKey)
	for name, ring := range map[string]*vault.Keyring{"service/f/environment": h.ring, "provider/IBM": later, "service/gone/environment": h.ring} {
		sealed, err := ring.Seal(vault.SecretOwner("t", name), vault.Secrets{"SECRET_A": plaintext.FromString("former a"), "SECRET_B": plaintext.FromString("former b")})
		h.must(err)
		h.must(h.writer.do(t.Context(), survivesPowerLoss, func(t *tx) error {
			_, err := t.exec("INSERT INTO stored_secrets (tenant_id, name, sealed, changed_at) VALUES ('t', $1, $2, 1)", name, []byte(sealed))
			return err
		}))
	}
	move := func(ring *vault.Keyring) (int, error) {
		return h.MoveFormerSecrets(t.Context(), func(f secretstore.FormerSet) ([]secretstore.NewVersion, error) { return f.Split(ring) })
	}
	if n, err := move(h.ring); n != 2 || err == nil {
		t.Errorf("MoveFormerSecrets() = %d, %v, want two sets, and an error about the third", n, err)
	}
	h.ring = later
	h.want("f", "SECRET_A former a", "SECRET_B former b")
	for _, n := range []int{1, 0} {
		if moved, err := move(later); moved != n || err != nil {
			t.Errorf("MoveFormerSecrets(all keys) = %d, %v, want %d", moved, err, n)
		}
	}
	all, err := h.Access().ProviderTokens(t.Context(), "t")
	if err != nil || len(all) != 1 {
		t.Fatalf("ProviderTokens() = %v, %v, want one", all, err)
	}
	opened, err := later.Open(secretstore.ForProvider("t", "IBM").Owner(all[0].ID), all[0].Sealed)
	if err != nil || string(opened["SECRET_A"].Reveal()) != "former a" {
		t.Errorf("the moved token opens with %v", err)
	}
	h.want("f", "SECRET_A former a", "SECRET_B former b")
}
