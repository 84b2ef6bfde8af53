package server

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// TestAuditLoopDropsOldEntries has the loop of a server apply its retention to all logs,
// and leave one that was changed. The entries that are left verify.
func TestAuditLoopDropsOldEntries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ring, err := vault.OpenFile(filepath.Join(dir, "master.key"))
	must(err)
	path := filepath.Join(dir, "store.db")
	store, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	must(err)
	defer func() { _ = store.Close() }()
	var log strings.Builder
	s := &Server{executions: store, keyring: ring, dir: dir, log: slog.New(slog.NewTextHandler(&log, nil))}
	must(s.OpenAudit(t.Context(), AuditOptions{Retention: 30 * 24 * time.Hour}))
	must(s.RecordUnlock(t.Context(), "operator", "test"))
	now, days := time.Now(), 24*time.Hour
	const old = dropAtOnce + 20
	tenants := []string{"a", "b", "changed"}
	for _, tenant := range tenants {
		for i := range old {
			must(store.Audit().Append(t.Context(), audit.Entry{Tenant: tenant, Time: now.Add(-60 * days), Action: fmt.Sprint("old-", i), Outcome: audit.Done}))
		}
		must(store.Audit().Append(t.Context(), audit.Entry{Tenant: tenant, Time: now, Action: "new", Outcome: audit.Done}))
	}
	db, err := sql.Open("sqlite", path)
	must(err)
	_, err = db.ExecContext(t.Context(), "UPDATE audit SET entry = CAST(replace(entry, 'old-7\"', 'old-8\"') AS BLOB) WHERE tenant_id = 'changed'")
	must(err)
	must(db.Close())

	ctx, stop := context.WithCancel(t.Context())
	drop, ended := make(chan time.Time), make(chan struct{})
	go func() {
		defer close(ended)
		s.auditLoop(ctx, nil, nil, drop)
	}()
	for _, at := range []time.Time{now.Add(-31 * days), now, now} { // the last is taken when the one before is done
		drop <- at
	}
	stop()
	<-ended
	for _, tenant := range tenants {
		links, err := store.Audit().Links(t.Context(), tenant, 0, 2*old)
		must(err)
		actions := map[string]bool{}
		for _, l := range links {
			e, err := l.Read()
			must(err)
			actions[e.Action] = true
		}
		if isOld := actions["old-3"]; isOld != (tenant == "changed") || !actions["new"] {
			t.Errorf("the log of %s has %d entries, with old ones: %t, want only those of the last 30 days", tenant, len(links), isOld)
		}
	}
	_, broken, err := audit.CheckAll(t.Context(), store.Audit(), audit.NewSigner(ring), s.audit.anchors.All())
	if err != nil || len(broken) != 1 || !strings.Contains(broken[0].Error(), "account changed") {
		t.Errorf("CheckAll() = %v, %v, want the log that was changed, and no other", broken, err)
	}
	if !strings.Contains(log.String(), "account changed") {
		t.Errorf("the server's log is %s, want the account whose log was changed", log.String())
	}
}
