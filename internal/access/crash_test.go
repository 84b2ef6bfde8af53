//go:build unix

package access_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/store/sqlite/sqlitetest"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// rotateIn names the folder in which a child of TestKilledRotation rotates a key.
const rotateIn = "ACCESS_TEST_ROTATE_IN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(rotateIn); dir != "" {
		if err := rotateForever(context.Background(), dir, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func openIn(ctx context.Context, dir string) (*access.Service, *sqlite.Store, error) {
	ring, err := vault.FromText([]byte(firstKey))
	if err != nil {
		return nil, nil, err
	}
	db, err := sqlitetest.Open(ctx, filepath.Join(dir, "store.db"), sqlite.Options{})
	if err != nil {
		return nil, nil, err
	}
	s, err := access.Open(ctx, access.Options{Store: db.Access(), Keyring: ring})
	return s, db, err
}

// ownerOf is the principal of the first user.
func ownerOf(ctx context.Context, s *access.Service) (access.Principal, error) {
	token, err := s.OwnerToken(ctx, "owner")
	if err != nil {
		return access.Principal{}, err
	}
	return s.Authenticate(request(string(token.Reveal()), ""))
}

// rotateForever replaces the key of an application again and again, and says which
// one it was given.
func rotateForever(ctx context.Context, dir string, out io.Writer) error {
	s, _, err := openIn(ctx, dir)
	if err != nil {
		return err
	}
	owner, err := ownerOf(ctx, s)
	if err != nil {
		return err
	}
	app, err := s.CreateApplication(ctx, owner, "app")
	if err != nil {
		return err
	}
	keys, err := s.AccessKeys(ctx, owner, app.ID)
	for err == nil {
		key := keys[0]
		if _, err := fmt.Fprintf(out, "%s %s %s\n", app.ID, key.ID, key.Secret.Reveal()); err != nil {
			return err
		}
		keys[0], err = s.RotateAccessKey(ctx, owner, app.ID, key.ID, 0)
	}
	return err
}

// TestKilledRotation kills a process that rotates keys. The key that was confirmed
// last works, or the one that took its place, and nothing is half done.
func TestKilledRotation(t *testing.T) {
	t.Parallel()
	for round := range 5 {
		dir := t.TempDir()
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), rotateIn+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		var said []string
		count := 0
		for lines := bufio.NewScanner(out); lines.Scan(); count++ {
			said = strings.Fields(lines.Text())
			if count == 3+7*round { // it goes on meanwhile
				_ = child.Process.Kill()
			}
		}
		_ = child.Wait()
		if len(said) != 3 {
			t.Fatalf("the child said %d keys, the last one %q, want an application, an id and a secret", count, said)
		}
		checkKilled(t, dir, said[0], said[1], said[2])
	}
}

func checkKilled(t *testing.T, dir, app, id, text string) {
	t.Helper()
	p := &platform{TB: t}
	s, db, err := openIn(t.Context(), dir)
	p.must(err)
	defer func() { p.must(s.Close()); p.must(db.Close()) }()
	owner, err := ownerOf(t.Context(), s)
	p.must(err)
	keys, err := s.AccessKeys(t.Context(), owner, app)
	p.must(err)
	if len(keys) != 1 || keys[0].Secret.Len() == 0 {
		t.Fatalf("after the kill there are %d live keys, want one with its secret", len(keys))
	}
	if _, err := s.IssueToken(t.Context(), keys[0].ID, keys[0].Secret, "127.0.0.1:1"); err != nil {
		t.Errorf("IssueToken(the live key) = %v, want no error", err)
	}
	if keys[0].ID == id && string(keys[0].Secret.Reveal()) != text {
		t.Error("the confirmed key has another secret")
	}
}
