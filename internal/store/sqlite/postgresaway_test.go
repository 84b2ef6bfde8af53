package sqlite_test

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/postgrestest"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

// TestPostgresAway ends the server of the database while operations are under way. They
// wait for it: each is done once, and none fails.
func TestPostgresAway(t *testing.T) {
	server := postgrestest.Start(t, "fsync=on")
	s := openPostgres(t, server.Schema(t), sqlite.PostgresOptions{Patience: time.Minute})
	const workers, each = 8, 60
	var group sync.WaitGroup
	halfway := make(chan struct{}, workers)
	var mu sync.Mutex
	accepted := map[execution.ID]bool{}
	for range workers {
		group.Go(func() {
			for i := range each {
				if i == each/3 || i == 2*each/3 {
					halfway <- struct{}{}
				}
				a := newExecution()
				a.Claim = &store.Lease{Owner: "w", Lease: time.Hour}
				_, err := s.Accept(t.Context(), a)
				if err == nil {
					_, err = s.Start(t.Context(), a.Execution.ID, "w")
				}
				if err == nil {
					_, err = s.AppendLog(t.Context(), a.Execution.ID, execution.LogEntry{Message: "m", Severity: execution.Info})
				}
				if err == nil {
					_, err = s.Finish(t.Context(), store.FinishParams{ID: a.Execution.ID, Owner: "w", Status: execution.Succeeded})
				}
				if err != nil {
					t.Errorf("an execution = %v, want it to wait for the database", err)
					return
				}
				mu.Lock()
				accepted[a.Execution.ID] = true
				mu.Unlock()
			}
		})
	}
	for _, end := range []func(testing.TB){server.Stop, server.Crash} {
		for range workers {
			<-halfway
		}
		end(t)
		if err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Ping() without a server = %v, want ErrUnavailable", err)
		}
		server.Start(t)
	}
	group.Wait()
	page, err := s.List(t.Context(), store.ListQuery{ServiceID: "s"})
	if err != nil || len(page.Executions) != workers*each {
		t.Errorf("there are %d executions, %v, want %d", len(page.Executions), err, workers*each)
	}
	for _, e := range page.Executions {
		if !accepted[e.ID] || e.Status != execution.Succeeded {
			t.Errorf("execution %s is %s, want one that was accepted and has succeeded", e.ID, e.Status)
		}
	}
}

// TestPostgresGone: without a server, an operation fails once the store has been patient,
// and those after it at once.
func TestPostgresGone(t *testing.T) {
	server := postgrestest.Start(t)
	s := openPostgres(t, server.Schema(t), sqlite.PostgresOptions{Patience: 100 * time.Millisecond})
	checkLife(t, s)
	server.Stop(t)
	for range 3 {
		if _, err := s.Accept(t.Context(), newExecution()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Accept() without a server = %v, want ErrUnavailable", err)
		}
		if _, err := s.Get(t.Context(), "x"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Get() without a server = %v, want ErrUnavailable", err)
		}
	}
	server.Start(t)
	checkLife(t, s)
}

// TestPostgresErrorsShowNoPassword opens databases that are not there.
func TestPostgresErrorsShowNoPassword(t *testing.T) {
	server := postgrestest.Start(t)
	wrong, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	wrong.User = url.UserPassword("postgres", "hidden-password")
	for _, text := range []string{
		wrong.String(), strings.Replace(wrong.String(), "/postgres?", "/none?", 1), "host=127.0.0.1 port=1 password=hidden-password user=x",
		"postgres://u:hidden-password@127.0.0.1:1/x?sslmode=disable", "postgres://u:hidden-password@127.0.0.1:port/x", "postgres://u:hidden-password@/x?sslmode=some",
	} {
		at, err := sqlite.ParseConnectionString(text)
		if strings.Contains(at.String(), "hidden") {
			t.Errorf("String() shows the password: %s", at)
		}
		if err == nil {
			_, err = sqlite.OpenPostgres(t.Context(), at, sqlite.PostgresOptions{})
		}
		if err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("OpenPostgres() = %v, want an error without the password", err)
		}
	}
}
