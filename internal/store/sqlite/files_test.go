package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

// holdSnapshot opens the database beside the store and reads, so that the
// pages it may still need stay in the log until release is called.
func holdSnapshot(t *testing.T, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM executions").Scan(&n); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(release)
	return release
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a folder #1?", "%41")
	s := open(t, filepath.Join(dir, "store.db"), sqlite.Options{})
	if _, err := acceptOne(t, s, nil); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 2 {
		t.Fatalf("the folder has %d files (%v), want at least two", len(entries), err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v), want 0600", entry.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v (%v), want 0700", info.Mode(), err)
	}
}

func acceptOne(t *testing.T, s store.Store, request []byte) (execution.ID, error) {
	t.Helper()
	id := execution.NewID()
	_, err := s.Accept(t.Context(), store.NewExecution{
		Execution: execution.Execution{ID: id, ServiceID: "s", Type: execution.Managed}, Request: request,
	})
	return id, err
}

func TestOpenedAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	first := open(t, path, sqlite.Options{})
	id, err := acceptOne(t, first, []byte("kept"))
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	request, err := open(t, path, sqlite.Options{}).Request(t.Context(), id)
	if err != nil || string(request) != "kept" {
		t.Errorf("Request() = %q, %v, want kept", request, err)
	}
}

func TestOpenedBySeveralAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			for range 20 {
				if _, err := acceptOne(t, s, nil); err != nil {
					t.Error(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	load, err := open(t, path, sqlite.Options{}).QueueStats(t.Context())
	if err != nil || load.Pending != 80 {
		t.Errorf("QueueStats() = %d waiting executions, %v, want 80", load.Pending, err)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	if err := open(t, path, sqlite.Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), path, sqlite.Options{}); err == nil || !strings.Contains(err.Error(), "newer qhubctl") {
		t.Errorf("Open(a newer schema) = %v, want an error that names a newer qhubctl", err)
	}
}

func TestDamagedFileIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	content := []byte(strings.Repeat("this is not a database", 1000))
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), path, sqlite.Options{}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Open(a damaged file) = %v, want ErrCorrupt", err)
	}
	if kept, err := os.ReadFile(path); err != nil || string(kept) != string(content) {
		t.Errorf("after a refused Open the file differs (%v), want it unchanged", err)
	}
}
