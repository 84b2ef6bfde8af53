//go:build unix

package runner_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
)

func TestRemoveAll(t *testing.T) {
	t.Run("deeper than paths are long", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "run")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		nest(t, dir, 2500)
		remove(t, dir)
	})
	t.Run("folders that allow nothing", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "run")
		inner := filepath.Join(dir, "a", "b")
		if err := os.MkdirAll(inner, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(inner, "file\n\xff"), nil, 0o400); err != nil {
			t.Fatal(err)
		}
		for _, folder := range []string{inner, filepath.Dir(inner), dir} {
			if err := os.Chmod(folder, 0); err != nil {
				t.Fatal(err)
			}
		}
		remove(t, dir)
	})
	t.Run("links are not followed", func(t *testing.T) {
		dir, outside := filepath.Join(t.TempDir(), "run"), t.TempDir()
		kept := filepath.Join(outside, "kept")
		if err := os.WriteFile(kept, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		remove(t, dir)
		if _, err := os.Stat(kept); err != nil {
			t.Error(err)
		}
	})
}

// nest makes folders in each other.
func nest(t *testing.T, dir string, depth int) {
	t.Helper()
	t.Chdir(dir)
	defer func() {
		if err := os.Chdir("/"); err != nil { //nolint:usetesting // t.Chdir asks for the current folder, whose path is too long
			t.Error(err)
		}
	}()
	for range depth {
		if err := syscall.Mkdir("d", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Chdir("d"); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, dir string) {
	t.Helper()
	if err := runner.RemoveAll(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("Lstat(the removed folder) = %v, want that it does not exist", err)
	}
}
