package filestore_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/blob/blobtest"
	"github.com/qhubctl/qhubctl/internal/blob/filestore"
)

func open(t *testing.T, dir string) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(dir)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	return s
}

func TestStore(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, filepath.Join(t.TempDir(), "blobs")) })
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A blob whose bytes have changed on the disk is never read as if they had not.
func TestReadsFindDamage(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"a byte changed":    func(b []byte) []byte { b[3] ^= 1; return b },
		"cut":               func(b []byte) []byte { return b[:len(b)-1] },
		"cut to nothing":    func([]byte) []byte { return nil },
		"a byte added":      func(b []byte) []byte { return append(b, 'x') },
		"the sum exchanged": func(b []byte) []byte { b[len(b)-20] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			if _, err := s.Put(t.Context(), "key", strings.NewReader("some content of it"), blob.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			file := files(t, dir)[0]
			content, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(file, damage(content), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			object, err := s.Open(t.Context(), "key")
			if err == nil {
				_, err = io.ReadAll(object)
				_ = object.Close()
			}
			if !errors.Is(err, blob.ErrChecksum) {
				t.Errorf("reading a damaged blob = %v, want ErrChecksum", err)
			}
		})
	}
}

// A process that is killed while it stores a blob leaves no blob, and the next one
// removes the rest. One that lives keeps its own.
func TestOpenRemovesUnfinishedBlobs(t *testing.T) {
	if dir := os.Getenv("FILESTORE_TEST_DIR"); dir != "" { // the process to kill
		s, err := filestore.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Put(t.Context(), "killed", &announcing{}, blob.PutOptions{})
		t.Fatalf("Put in the process to kill = %v; it should not have returned", err)
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestOpenRemovesUnfinishedBlobs$")
	child.Env = append(os.Environ(), "FILESTORE_TEST_DIR="+dir)
	stdin, err := child.StdinPipe() // it reads this until it is killed
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	stdout, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, 1)); err != nil { // it has written something
		t.Fatalf("read from the process = %v", err)
	}
	s := open(t, dir)
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("while it is written there are %q, want one file: another store must not remove it", got)
	}
	if _, err := s.Stat(t.Context(), "killed"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Stat while it is written = %v, want ErrNotFound", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	s = open(t, dir)
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("after the process was killed there are %q, want nothing", got)
	}
	if _, err := s.Put(t.Context(), "killed", strings.NewReader("x"), blob.PutOptions{}); err != nil {
		t.Errorf("Put after it = %v", err)
	}
}

// announcing is a reader that says when its first bytes were taken, and never ends.
type announcing struct{ calls int }

func (r *announcing) Read(p []byte) (int, error) {
	r.calls++
	if r.calls == 2 {
		_, _ = os.Stdout.WriteString("!")
		_, err := io.ReadFull(os.Stdin, make([]byte, 1)) // until it is killed
		return 0, err
	}
	return copy(p, "half of it"), nil
}
