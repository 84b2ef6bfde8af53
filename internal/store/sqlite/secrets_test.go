package sqlite_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// holding counts the pieces of data that stand in any file of a folder. Data
// is cut into pieces since pages of the database do so too.
func holding(t *testing.T, dir string, data []byte) (pieces int) {
	t.Helper()
	const size = 16
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatalf("the folder has %d files (%v), want some", len(entries), err)
	}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+size <= len(data); i += 512 {
			if bytes.Contains(content, data[i:i+size]) {
				pieces++
			}
		}
	}
	return pieces
}

// sealRandom gives secrets of about so many bytes, and their value.
func sealRandom(t *testing.T, id execution.ID, size int) (vault.Sealed, []byte) {
	t.Helper()
	ring, err := vault.FromText([]byte("1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	if err != nil {
		t.Fatal(err)
	}
	value := make([]byte, size)
	_, _ = rand.Read(value)
	sealed, err := ring.Seal(vault.ExecutionOwner(string(id)), vault.Secrets{"api_token": plaintext.New(bytes.Clone(value))})
	if err != nil {
		t.Fatal(err)
	}
	return sealed, value
}

// acceptSealed accepts and starts an execution with secrets.
func acceptSealed(t *testing.T, s store.Store, id execution.ID, sealed vault.Sealed) {
	t.Helper()
	_, err := s.Accept(t.Context(), store.NewExecution{
		Execution: execution.Execution{ID: id, ServiceID: "s", Type: execution.Managed},
		Secrets:   sealed, Claim: &store.Lease{Owner: "w", Lease: time.Hour},
	})
	if err == nil {
		_, err = s.Start(t.Context(), id, "w")
	}
	if err != nil {
		t.Fatal(err)
	}
}

func finish(t *testing.T, s store.Store, id execution.ID) {
	t.Helper()
	c := store.FinishParams{ID: id, Owner: "w", Status: execution.Succeeded}
	if _, err := s.Finish(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// TestDestroyedSecretsLeaveTheFiles: neither the value nor, after a scrub, its
// ciphertext is in any file. Large secrets fill overflow pages, small ones do not.
func TestDestroyedSecretsLeaveTheFiles(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 700, "large": 60_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, filepath.Join(dir, "store.db"), sqlite.Options{ScrubAfter: time.Hour})
			id := execution.NewID()
			sealed, value := sealRandom(t, id, size)
			acceptSealed(t, s, id, sealed)
			if holding(t, dir, sealed) == 0 {
				t.Fatal("the search finds no ciphertext before it is destroyed, want some")
			}
			// Once more with the secrets in the database itself.
			if err := s.Scrub(t.Context()); err != nil {
				t.Fatal(err)
			}
			if holding(t, dir, sealed) == 0 {
				t.Fatal("the search finds no ciphertext before it is destroyed, want some")
			}
			finish(t, s, id)
			if n := holding(t, dir, sealed); n == 0 {
				t.Fatal("nothing to scrub: the test proves nothing")
			}
			if err := s.Scrub(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := holding(t, dir, sealed); n != 0 {
				t.Errorf("%d pieces of the ciphertext are left, want 0", n)
			}
			if n := holding(t, dir, value); n != 0 {
				t.Errorf("%d pieces of the value are in the files, want 0", n)
			}
		})
	}
}

func TestScrubRunsByItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, filepath.Join(dir, "store.db"), sqlite.Options{ScrubAfter: 3 * time.Second})
		for range 2 { // not only after the start
			id := execution.NewID()
			sealed, _ := sealRandom(t, id, 5000)
			acceptSealed(t, s, id, sealed)
			time.Sleep(10 * time.Second)
			if holding(t, dir, sealed) == 0 {
				t.Fatal("secrets of a running execution are gone")
			}
			finish(t, s, id)
			time.Sleep(4 * time.Second)
			synctest.Wait()
			if n := holding(t, dir, sealed); n != 0 {
				t.Errorf("%d pieces of the ciphertext are left, want 0", n)
			}
		}
	})
}

// A process that dies between destroying and scrubbing leaves the ciphertext
// in the log; the next start removes it.
func TestScrubAfterACrash(t *testing.T) {
	t.Parallel()
	dir, crashed := t.TempDir(), t.TempDir()
	s := open(t, filepath.Join(dir, "store.db"), sqlite.Options{ScrubAfter: time.Hour})
	id := execution.NewID()
	sealed, _ := sealRandom(t, id, 5000)
	acceptSealed(t, s, id, sealed)
	finish(t, s, id)
	// The files look now as a crash would leave them. SQLite rebuilds the index of
	// the log from the log.
	for _, name := range []string{"store.db", "store.db-wal"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(crashed, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if holding(t, crashed, sealed) == 0 {
		t.Fatal("nothing to scrub: the test proves nothing")
	}
	synctest.Test(t, func(t *testing.T) {
		again := open(t, filepath.Join(crashed, "store.db"), sqlite.Options{ScrubAfter: 3 * time.Second})
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if e, err := again.Get(t.Context(), id); err != nil || e.Status != execution.Succeeded {
			t.Errorf("after the crash the execution is %s (%v), want SUCCEEDED", e.Status, err)
		}
		if n := holding(t, crashed, sealed); n != 0 {
			t.Errorf("%d pieces of the ciphertext are left, want 0", n)
		}
	})
}

func TestCloseScrubs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// A second store keeps SQLite from truncating the log when the first closes.
	open(t, filepath.Join(dir, "store.db"), sqlite.Options{ScrubAfter: time.Hour})
	s := open(t, filepath.Join(dir, "store.db"), sqlite.Options{ScrubAfter: time.Hour})
	id := execution.NewID()
	sealed, _ := sealRandom(t, id, 5000)
	acceptSealed(t, s, id, sealed)
	finish(t, s, id)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := holding(t, dir, sealed); n != 0 {
		t.Errorf("%d pieces of the ciphertext are left, want 0", n)
	}
}

func TestScrubTellsWhenAReaderDelaysIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, path, sqlite.Options{ScrubAfter: time.Hour})
	id := execution.NewID()
	sealed, _ := sealRandom(t, id, 5000)
	acceptSealed(t, s, id, sealed)
	release := holdSnapshot(t, path)
	finish(t, s, id)
	if err := s.Scrub(t.Context()); !errors.Is(err, store.ErrBusy) {
		t.Errorf("Scrub(under a reader) = %v, want ErrBusy", err)
	}
	release()
	if err := s.Scrub(t.Context()); err != nil {
		t.Error(err)
	}
	if n := holding(t, filepath.Dir(path), sealed); n != 0 {
		t.Errorf("%d pieces of the ciphertext are left, want 0", n)
	}
}
