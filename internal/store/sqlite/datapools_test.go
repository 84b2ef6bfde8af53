package sqlite_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/datapool/datapooltest"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

func TestDataPools(t *testing.T) {
	datapooltest.Run(t, func(t *testing.T) (datapool.Store, func(string) string) {
		s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s.DataPools(), func(name string) string {
			user := access.Tenant{ID: uuid.NewString(), Kind: access.User, Name: name, DisplayName: name, CreatedAt: time.Now()}
			if err := s.Access().CreateUser(t.Context(), user); err != nil {
				t.Fatal(err)
			}
			return user.ID
		}
	})
}

// TestDataPoolsChangeWithTheEnd makes changes of a data pool with the end of an execution,
// or neither of them.
func TestDataPoolsChangeWithTheEnd(t *testing.T) {
	t.Parallel()
	checkPoolsChangeWithTheEnd(t, open(t, filepath.Join(t.TempDir(), "store.db"), sqlite.Options{}))
}

func checkPoolsChangeWithTheEnd(t *testing.T, s *sqlite.Store) {
	ctx, id := t.Context(), execution.NewID()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	user := access.Tenant{ID: uuid.NewString(), Kind: access.User, Name: "a", DisplayName: "a", CreatedAt: time.Now()}
	must(s.Access().CreateUser(ctx, user))
	pool := datapool.Pool{ID: uuid.NewString(), Tenant: user.ID, Name: "pool", CreatedAt: time.Now()}
	must(s.DataPools().CreatePool(ctx, pool, 10))
	_, err := s.Accept(ctx, store.NewExecution{
		Execution: execution.Execution{ID: id, ServiceID: "s", Type: execution.Managed}, Claim: &store.Lease{Owner: "w", Lease: time.Hour},
	})
	must(err)
	_, err = s.Start(ctx, id, "w")
	must(err)
	with := func(based int64) datapool.Changes {
		file := datapool.File{ID: uuid.NewString(), Pool: pool.ID, Name: "x", Blob: "datapools/x", CreatedAt: time.Now()}
		return datapool.Changes{List: []datapool.Change{{Pool: pool.ID, Name: "x", File: &file, Based: &based}}, Limit: 10}
	}
	end := store.FinishParams{ID: id, Owner: "w", Status: execution.Succeeded}
	for name, c := range map[string]struct {
		owner string
		with  any
		want  error
	}{
		"a stale change":     {"w", with(1), datapool.ErrStale},
		"a lost lease":       {"other", with(0), store.ErrLeaseLost},
		"an unknown change":  {"w", 1, store.ErrInvalid},
		"too many files":     {"w", datapool.Changes{List: with(0).List}, access.ErrConflict},
		"a pool that is not": {"w", datapool.Changes{List: []datapool.Change{{Pool: "none", Name: "x", File: with(0).List[0].File}}, Limit: 10}, access.ErrNotFound},
	} {
		end.Owner, end.With = c.owner, c.with
		if _, err := s.Finish(ctx, end); !errors.Is(err, c.want) {
			t.Errorf("Finish(%s) = %v, want %v", name, err, c.want)
		}
		files, err := s.DataPools().Files(ctx, pool.ID)
		must(err)
		if e, err := s.Get(ctx, id); err != nil || e.Status != execution.Running || len(files) != 0 {
			t.Errorf("after Finish(%s) the execution is %s and there are %d files, want it to run, and none", name, e.Status, len(files))
		}
	}
	end.Owner, end.With = "w", with(0)
	if e, err := s.Finish(ctx, end); err != nil || e.Status != execution.Succeeded {
		t.Errorf("Finish = %s, %v; want success", e.Status, err)
	}
	if files, err := s.DataPools().Files(ctx, pool.ID); err != nil || len(files) != 1 {
		t.Errorf("after Finish there are %d files, %v; want 1", len(files), err)
	}
}
