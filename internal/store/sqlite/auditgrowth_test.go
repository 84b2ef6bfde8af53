package sqlite

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/audit"
)

// TestChainsGrow has two processes write entries of two tenants at the same time. Some
// operations fail after their entry and take it along, and old entries are dropped.
func TestChainsGrow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	signer := auditSigner(t, firstKey)
	stores := [2]*Store{mustOpen(t, path), mustOpen(t, path)}
	for _, s := range stores {
		t.Cleanup(func() { _ = s.Close() })
		if err := s.SignAudit(t.Context(), signer, nil, true); err != nil {
			t.Fatal(err)
		}
	}
	errUndone := errors.New("undone")
	want := map[string]int64{}
	var mu sync.Mutex
	var writers sync.WaitGroup
	for n, s := range stores {
		for w := range 4 { // in groups
			writers.Go(func() {
				random := rand.New(rand.NewPCG(uint64(n), uint64(w)))
				for i := range 40 {
					tenant, undone := "tenant-"+strconv.Itoa(random.IntN(2)), random.IntN(3) == 0
					err := s.writer.do(t.Context(), survivesCrash, func(tx *tx) error {
						tx.steady = true
						for entry := range 2 {
							err := tx.appendAudit(audit.Entry{
								Tenant: tenant, Time: time.Unix(int64(i), 0).UTC(), Actor: audit.Actor{Kind: "person", ID: "u"},
								Action: "setSecret", Target: fmt.Sprint("/", n, "/", w, "/", i, "/", entry), Outcome: audit.Done,
							})
							if err != nil {
								return err
							}
						}
						if undone {
							return errUndone
						}
						return nil
					})
					if undone != errors.Is(err, errUndone) || !undone && err != nil {
						t.Errorf("an operation that is undone (%v) = %v", undone, err)
					}
					if i%10 == 9 {
						dropped, err := s.Audit().Drop(t.Context(), tenant, time.Unix(int64(i)-5, 0), 3)
						if err != nil {
							t.Errorf("Drop() = %v, want nil", err)
						}
						mu.Lock()
						if want[tenant] -= int64(dropped); dropped > 0 {
							want[tenant]++ // the entry about it
						}
						mu.Unlock()
					}
					mu.Lock()
					if !undone {
						want[tenant] += 2
					}
					mu.Unlock()
				}
			})
		}
	}
	writers.Wait()
	reports, broken, err := audit.CheckAll(t.Context(), stores[0].Audit(), signer, nil)
	if err != nil || len(broken) > 0 {
		t.Fatalf("CheckAll() = %v, %v, want whole chains", broken, err)
	}
	for _, r := range reports {
		if r.Entries != want[r.Tenant] {
			t.Errorf("the chain of %s has %d entries, want %d", r.Tenant, r.Entries, want[r.Tenant])
		}
	}
}

// TestChainEditedMeanwhile edits the last entry of a chain while the server that wrote it
// still runs: the next entry must not vouch for the edit.
func TestChainEditedMeanwhile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	signer := auditSigner(t, firstKey)
	s := mustOpen(t, path)
	defer func() { _ = s.Close() }()
	if err := s.SignAudit(t.Context(), signer, nil, true); err != nil {
		t.Fatal(err)
	}
	mustAudit(t, s, "edited", 3)
	other := mustOpen(t, path)
	defer func() { _ = other.Close() }()
	err := other.writer.do(t.Context(), survivesCrash, func(tx *tx) error {
		tx.steady = true
		n, err := tx.exec("UPDATE audit SET hash = replace(hash, substr(hash, 1, 1), 'x') WHERE tenant_id = 'edited' AND number = 3")
		if n != 1 {
			t.Errorf("%d entries were edited, want 1", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	mustAudit(t, s, "edited", 1)
	if _, broken, err := audit.CheckAll(t.Context(), s.Audit(), signer, nil); err == nil && len(broken) == 0 {
		t.Error("the chain counts as unchanged after an edit, want it broken")
	}
}
