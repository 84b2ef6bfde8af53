package sqlite_test

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/secretstore/secretstoretest"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// secretWorld is a store with the things around secrets.
func secretWorld(t testing.TB, s *sqlite.Store) *secretstoretest.World {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	return &secretstoretest.World{
		Store: s.Secrets(),
		Tenant: func(name string) string {
			user := access.Tenant{ID: uuid.NewString(), Kind: access.User, Name: name, DisplayName: name, CreatedAt: time.Now()}
			must(s.Access().CreateUser(ctx, user))
			return user.ID
		},
		Service: func(tenant, name string) string {
			made := registry.Service{ID: uuid.NewString(), Tenant: tenant, Name: name, CreatedAt: time.Now()}
			must(s.CreateService(ctx, made, registry.Version{ID: uuid.NewString(), Service: made.ID, Version: "1.0.0", CreatedAt: time.Now()}))
			return made.ID
		},
		Subscription: func(tenant, name, service string) (string, string) {
			app := access.App{ID: uuid.NewString(), Tenant: tenant, Name: name, CreatedAt: time.Now()}
			must(s.Access().CreateApplication(ctx, app, access.StoredKey{Key: access.Key{ID: uuid.NewString(), Application: app.ID}, Tenant: tenant, Digest: []byte("x")}))
			made, err := s.Access().Subscribe(ctx, tenant, access.Subscription{ID: uuid.NewString(), Application: app, Service: service, CreatedAt: time.Now()})
			must(err)
			return app.ID, made.ID
		},
		Unsubscribe: func(tenant, subscription string) {
			_, err := s.Access().Unsubscribe(ctx, access.SubscriptionQuery{Tenant: tenant, ID: subscription})
			must(err)
		},
		DeleteService: func(id string) { must(s.DeleteService(ctx, id)) },
		Accept: func(service string, pins ...int64) (func(), error) {
			id := execution.NewID()
			_, err := s.Accept(ctx, store.NewExecution{Execution: execution.Execution{ID: id, ServiceID: service, Type: execution.Managed}, Pins: pins})
			return func() {
				_, err := s.Cancel(ctx, id)
				must(err)
			}, err
		},
		Reseal: func(visit store.Rewrapper) error {
			_, err := s.Reseal(ctx, visit)
			return err
		},
	}
}

func TestSecrets(t *testing.T) {
	secretstoretest.Run(t, func(t *testing.T) *secretstoretest.World {
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return secretWorld(t, s)
	})
}

// TestDestroyedVersionsLeaveTheFiles: after a scrub no file has the ciphertext of a
// version that was replaced or deleted.
func TestDestroyedVersionsLeaveTheFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "store.db"), sqlite.Options{ScrubAfter: time.Hour})
	w := secretWorld(t, s)
	tenant := w.Tenant("a")
	place := secretstore.Place{Kind: secretstore.OfTenant, Tenant: tenant, Name: "shared"}
	var all []vault.Sealed
	put := func(size int) {
		t.Helper()
		id := uuid.NewString()
		sealed, err := secretstoretest.Ring().Seal(place.Owner(id), vault.Secrets{"value": plaintext.New(bytes.Repeat([]byte("v"), size))})
		if err == nil {
			err = w.Put(t.Context(), []secretstore.NewVersion{{Place: place, ID: id, Sealed: sealed, SetAt: time.Now()}}, 10)
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, sealed)
	}
	put(700)
	put(60_000)
	put(3000)
	if holding(t, dir, all[1]) == 0 {
		t.Fatal("nothing to scrub: the test proves nothing")
	}
	if err := w.Delete(t.Context(), place, 0, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.Scrub(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i, sealed := range all {
		if n := holding(t, dir, sealed); n != 0 {
			t.Errorf("%d pieces of the ciphertext of version %d are left, want 0", n, i+1)
		}
	}
}
