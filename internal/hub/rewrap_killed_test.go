package hub_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/store/sqlite/sqlitetest"
	"github.com/qhubctl/qhubctl/internal/testenv"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// rewrapped is how many values the master key is rotated for.
func rewrapped() int {
	if testenv.Everything() {
		return 100_000
	}
	return 3_000 // the race detector makes more take many minutes
}

// TestRewrapUnderLoad rotates the master key of a platform with thousands of stored values
// while executions start, and kills the rotation at some moments. No execution fails, and
// each value opens: by the former version of the key or the new one until the rotation has
// ended, and by the new one after it.
func TestRewrapUnderLoad(t *testing.T) {
	folder, err := testenv.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program, dir := filepath.Join(folder, "qhubctl"), filepath.Join(t.TempDir(), "data")
	p, kill := startProcess(t, program, dir)
	s := p.deploy("teller", "1.0.0", teller(t), "SUCCESS")
	p.call(p.owner, http.MethodPut, secretsPath+"/api_token?serviceId="+s.id, document{"value": "the-stored-value"}, http.StatusOK)
	kill()
	fillValues(t, dir, rewrapped())
	p, kill = startProcess(t, program, dir)
	c := &commander{platform: p, program: program, work: t.TempDir(), home: t.TempDir(), values: []string{"the-stored-value"}}

	stop := make(chan struct{})
	var ran atomic.Int64
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				result := p.run(p.owner, p.url+s.path(), document{"$secrets": document{"db_password": "of-a-request"}})
				if result.text("api_token") != digestOf("the-stored-value") {
					t.Errorf("an execution has %v, want the stored secret", result)
					return
				}
				ran.Add(1)
			}
		})
	}
	for _, after := range []time.Duration{100 * time.Millisecond, 700 * time.Millisecond} {
		command := exec.CommandContext(t.Context(), program, "keys", "rotate", "--data", dir)
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after) // any moment will do
		_ = command.Process.Kill()
		_ = command.Wait()
		wantOpen(t, dir, 0)
	}
	began := time.Now()
	c.run(0, "", "keys", "rewrap", "--data", dir)
	close(stop)
	callers.Wait()
	t.Logf("the last rotation took %s, with %d executions beside it", time.Since(began), ran.Load())
	if ran.Load() == 0 {
		t.Error("no execution has run: the test proves nothing")
	}
	newest := wantOpen(t, dir, 0)
	c.run(0, "", "keys", "retire", "--data", dir)
	kill()
	wantOpen(t, dir, newest)
}

// fillValues stores values for accounts that no user has.
func fillValues(t *testing.T, dir string, n int) {
	t.Helper()
	ring, err := vault.ReadFile(filepath.Join(dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlitetest.Open(t.Context(), databaseOf(dir), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	value := plaintext.FromString("a-value-of-some-length")
	const batch = 1000
	for i := 0; i < n; i += batch {
		versions := make([]secretstore.NewVersion, 0, batch)
		for j := range batch {
			place := secretstore.Place{Kind: secretstore.OfTenant, Tenant: fmt.Sprint("account-", i/10_000), Name: fmt.Sprint("secret_", i+j)}
			sealed, err := ring.Seal(place.Owner("one"), vault.Secrets{"value": value})
			if err != nil {
				t.Fatal(err)
			}
			versions = append(versions, secretstore.NewVersion{Place: place, ID: "one", Sealed: sealed, SetAt: time.Now()})
		}
		if err := db.Secrets().Put(t.Context(), versions, secretstore.MaxSecrets); err != nil {
			t.Fatal(err)
		}
	}
}

// wantOpen opens each value, by one version of the master key if it is not 0. It returns
// the newest version.
func wantOpen(t *testing.T, dir string, by uint32) uint32 {
	t.Helper()
	ring, err := vault.ReadFile(filepath.Join(dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Clear()
	db, err := sqlitetest.Open(t.Context(), databaseOf(dir), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	use, err := store.FindSealed(t.Context(), db, ring)
	if err != nil || len(use.Missing) > 0 || len(use.Damaged) > 0 || use.Sealed() < rewrapped() {
		t.Fatalf("FindSealed() = %d values, %d without a key, %d damaged, %v, want all to open", use.Sealed(), len(use.Missing), len(use.Damaged), err)
	}
	if by > 0 && use.Versions[by] != use.Sealed() {
		t.Errorf("the versions of the key open %v values, want all by version %d", use.Versions, by)
	}
	return ring.Version()
}
