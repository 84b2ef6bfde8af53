package sqlite_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/postgrestest"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

func await(t *testing.T, w *store.Watch, what string) {
	t.Helper()
	select {
	case <-w.C:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s left no token in the watch of another store", what)
	}
}

// checkNotices watches what another store does. There is no poll within the test.
func checkNotices(t *testing.T, server *postgrestest.Server) {
	at := server.Schema(t)
	o := sqlite.PostgresOptions{Poll: time.Hour}
	one, two := openPostgres(t, at, o), openPostgres(t, at, o)
	queue := two.WatchQueue()
	defer queue.Stop()
	a := newExecution()
	watch := two.WatchExecution(a.Execution.ID)
	defer watch.Stop()
	if _, err := one.Accept(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	await(t, queue, "Accept")
	await(t, watch, "Accept")
	if _, err := one.Cancel(t.Context(), a.Execution.ID); err != nil {
		t.Fatal(err)
	}
	await(t, watch, "Cancel")
	if e, err := two.Get(t.Context(), a.Execution.ID); err != nil || e.Status != execution.Cancelled {
		t.Errorf("Get() after the notice = %s, %v, want CANCELLED", e.Status, err)
	}
}

// checkNoticesOfOne: a store that has heard no other for a while notifies none, and one that
// opens later hears of the next change.
func checkNoticesOfOne(t *testing.T, server *postgrestest.Server) {
	at := server.Schema(t)
	one := openPostgres(t, at, sqlite.PostgresOptions{Poll: 100 * time.Millisecond})
	conn, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var channel string
	if err := conn.QueryRow(t.Context(), "SELECT 'qhubctl_' || current_schema()").Scan(&channel); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "LISTEN "+pgx.Identifier{channel}.Sanitize()+"; LISTEN marks"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	announced := func() (found bool) {
		_, err := one.Accept(ctx, newExecution())
		if err == nil {
			_, err = conn.Exec(ctx, "NOTIFY marks")
		}
		for err == nil {
			var n *pgconn.Notification
			if n, err = conn.WaitForNotification(ctx); err == nil {
				if n.Channel == "marks" {
					return found
				}
				found = found || strings.Contains(n.Payload, "*")
			}
		}
		t.Fatalf("Accept() and its notification = %v", err)
		return false
	}
	if !announced() {
		t.Error("a store that was just opened has notified none, want the queue")
	}
	for announced() {
		time.Sleep(time.Millisecond) // until the context ends
	}
	two := openPostgres(t, at, sqlite.PostgresOptions{Poll: time.Hour})
	queue := two.WatchQueue()
	defer queue.Stop()
	if _, err := one.Accept(t.Context(), newExecution()); err != nil {
		t.Fatal(err)
	}
	await(t, queue, "Accept")
}

// checkNoticesByPoll has the connection that listens end: watchers look nevertheless.
func checkNoticesByPoll(t *testing.T, server *postgrestest.Server) {
	at := server.Schema(t)
	one, two := openPostgres(t, at, sqlite.PostgresOptions{}), openPostgres(t, at, sqlite.PostgresOptions{Poll: 20 * time.Millisecond})
	conn, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	queue := two.WatchQueue()
	defer queue.Stop()
	for range 3 {
		if _, err := conn.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE pid <> pg_backend_pid() AND query LIKE '%pg_notify%' AND state = 'idle'`); err != nil {
			t.Fatal(err)
		}
		if _, err := one.Accept(t.Context(), newExecution()); err != nil {
			t.Fatal(err)
		}
		await(t, queue, "Accept")
	}
}
