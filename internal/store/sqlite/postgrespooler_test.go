package sqlite_test

import (
	"context"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/postgrestest"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

// TestPostgresPooled keeps the state behind PgBouncer in transaction mode. With a direct
// connection, watchers are notified; without one, they poll.
func TestPostgresPooled(t *testing.T) {
	server := postgrestest.Start(t)
	through := server.Pooler(t)
	for name, poll := range map[string]time.Duration{"notified": time.Hour, "polled": 50 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			if err := server.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
				t.Fatal(err)
			}
			direct, err := url.Parse(server.URL())
			if err != nil {
				t.Fatal(err)
			}
			direct.Path = "/" + name
			pooled := through(direct.String()) + "?default_query_exec_mode=exec"
			o := sqlite.PostgresOptions{Poll: poll}
			if name == "notified" {
				o.Direct = connection(t, direct.String())
			}
			stores := make([]*sqlite.Store, 2)
			for i := range stores {
				stores[i] = openPostgres(t, pooled, o)
			}
			checkLife(t, stores[1])
			queue := stores[1].WatchQueue()
			defer queue.Stop()
			if _, err := stores[0].Accept(t.Context(), newExecution()); err != nil {
				t.Fatal(err)
			}
			await(t, queue, "Accept through a pooler")
			checkShared(t, stores)
		})
	}
}

// checkShared has stores write at the same time: each execution ends once.
func checkShared(t *testing.T, stores []*sqlite.Store) {
	t.Helper()
	var group sync.WaitGroup
	for _, s := range stores {
		for range 4 {
			group.Go(func() {
				for range 15 {
					if err := runThrough(t.Context(), s); err != nil {
						t.Errorf("an execution through a pooler = %v, want nil", err)
					}
				}
			})
		}
	}
	group.Wait()
}

func runThrough(ctx context.Context, s *sqlite.Store) error {
	a := newExecution()
	a.Claim = &store.Lease{Owner: "w", Lease: time.Minute}
	a.Execution.ServiceID = "pooled"
	_, err := s.Accept(ctx, a)
	if err == nil {
		_, err = s.Start(ctx, a.Execution.ID, "w")
	}
	if err == nil {
		_, err = s.Finish(ctx, store.FinishParams{ID: a.Execution.ID, Owner: "w", Status: execution.Succeeded})
	}
	return err
}
