package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// cachedSecret is a secret of an account that a service gets, in a store whose cache has it.
type cachedSecret struct {
	*testing.T
	store *Store
	ring  *vault.Keyring
	at    time.Time
}

func newCachedSecret(t *testing.T, path string) *cachedSecret {
	t.Helper()
	c := &cachedSecret{t, mustOpen(t, path), keyring(t, firstKey), time.Now()}
	t.Cleanup(func() { _ = c.store.Close() })
	c.exec(`INSERT INTO services (id, tenant_id, name, publication, created_at, texts) VALUES ('s', 't', 'n', '', 1, '{}')`)
	c.put(c.store, "one", time.Time{})
	c.must(c.store.Secrets().Bind(c.Context(), c.place(), secretstore.Binding{Service: "s", Parameter: "p"}, 10))
	c.want(c.at, 1)
	return c
}

func (c *cachedSecret) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *cachedSecret) exec(query string) {
	c.Helper()
	c.must(c.store.writer.do(c.Context(), survivesCrash, func(t *tx) error {
		_, err := t.exec(query)
		return err
	}))
}

func (c *cachedSecret) place() secretstore.Place {
	return secretstore.Place{Kind: secretstore.OfTenant, Tenant: "t", Name: "secret"}
}

func (c *cachedSecret) put(s *Store, id string, expires time.Time) {
	c.Helper()
	sealed, err := c.ring.Seal(c.place().Owner(id), vault.Secrets{"value": plaintext.FromString("value " + id)})
	c.must(err)
	ctx := audit.With(c.Context(), audit.NewRecord(audit.Entry{Tenant: "t", Action: "setSecret"}))
	c.must(s.Secrets().Put(ctx, []secretstore.NewVersion{{Place: c.place(), ID: id, Sealed: sealed, SetAt: c.at, Keep: time.Hour, ExpiresAt: expires}}, 10))
}

// want has the service get a version of the secret at a time; 0: none.
func (c *cachedSecret) want(at time.Time, number int) secretstore.Candidate {
	c.Helper()
	all, err := c.store.Secrets().Candidates(c.Context(), "s", "", at)
	c.must(err)
	if number == 0 && len(all) == 0 {
		return secretstore.Candidate{}
	}
	if len(all) != 1 || all[0].Number != number {
		c.Fatalf("Candidates() = %v, want version %d", all, number)
	}
	return all[0]
}

func (c *cachedSecret) cached() (offers, values int) {
	cache := &c.store.writer.secrets
	cache.mu.Lock()
	defer cache.mu.Unlock()
	return len(cache.candidates), len(cache.sealed)
}

// TestExecutionsKeepTheCache reads the secrets of a service once for many executions.
func TestExecutionsKeepTheCache(t *testing.T) {
	t.Parallel()
	c := newCachedSecret(t, filepath.Join(t.TempDir(), "store.db"))
	pin := c.want(c.at, 1).Pin
	if _, err := c.store.Secrets().Sealed(t.Context(), []int64{pin}); err != nil {
		t.Fatal(err)
	}
	id := execution.NewID()
	_, err := c.store.Accept(t.Context(), store.NewExecution{
		Execution: execution.Execution{ID: id, ServiceID: "s", Type: execution.Managed}, Pins: []int64{pin}, Claim: &store.Lease{Owner: "o", Lease: time.Hour},
	})
	c.must(err)
	_, err = c.store.Start(audit.WithUses(t.Context(), audit.Entry{Tenant: "t", Action: "readSecrets"}), id, "o")
	c.must(err)
	_, err = c.store.AppendLog(t.Context(), id)
	c.must(err)
	c.must(c.store.Secrets().MarkUsed(t.Context(), map[int64]secretstore.Use{pin: {At: c.at, Execution: id.String()}}))
	_, err = c.store.Finish(t.Context(), store.FinishParams{ID: id, Owner: "o", Status: execution.Succeeded})
	c.must(err)
	_, err = c.store.Secrets().Sweep(t.Context(), c.at)
	c.must(err)
	if offers, values := c.cached(); offers != 1 || values != 1 {
		t.Errorf("after an execution the cache has %d offers and %d values, want one each", offers, values)
	}
	c.must(c.store.Secrets().SetOverride(t.Context(), c.place(), secretstore.OverrideNone))
	if offers, values := c.cached(); offers+values != 0 {
		t.Errorf("after a change the cache has %d offers and %d values, want none", offers, values)
	}
}

// TestTheCacheKnowsTheTime offers no version that has ended since it was read.
func TestTheCacheKnowsTheTime(t *testing.T) {
	t.Parallel()
	c := newCachedSecret(t, filepath.Join(t.TempDir(), "store.db"))
	c.put(c.store, "two", c.at.Add(time.Minute))
	c.want(c.at, 2)
	c.want(c.at.Add(59*time.Second), 2)
	c.want(c.at.Add(time.Minute), 1) // kept for an hour
	c.want(c.at.Add(time.Hour), 0)
	c.want(c.at, 2)
}

// TestTheCacheHearsOtherProcesses has another program change the secret and wrap it again.
func TestTheCacheHearsOtherProcesses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	c := newCachedSecret(t, path)
	other := mustOpen(t, path)
	defer func() { _ = other.Close() }()
	look := func() { // as the writer does after a while
		c.Helper()
		for range 2 {
			c.must(c.store.writer.do(t.Context(), survivesCrash, func(t *tx) error {
				t.w.session.(*sqliteSession).versionAt, t.steady = time.Time{}, true
				return nil
			}))
		}
	}
	look()
	c.want(c.at, 1)
	c.put(other, "two", time.Time{})
	if offers, _ := c.cached(); offers != 1 {
		t.Fatalf("before the writer looks the cache has %d offers, want one", offers)
	}
	look()
	c.want(c.at, 2)
}
