package datapool_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/qhubctl/qhubctl/sdk/go/datapool"
)

// newPool makes a pool with files inside, one file beside it, and links that
// stay inside and that lead out.
func newPool(t *testing.T) (pool datapool.Pool, outside string) {
	t.Helper()
	dir := t.TempDir()
	outside = filepath.Join(dir, "outside.txt")
	models := filepath.Join(dir, "models")
	for name, content := range map[string]string{
		outside: "out", filepath.Join(models, "a.txt"): "A", filepath.Join(models, "sub", "b.txt"): "B",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"inside": "a.txt", "absolute": outside, "relative": "../outside.txt", "folder": "sub", "dangling": "nothing",
	} {
		if err := os.Symlink(target, filepath.Join(models, link)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
	pool, err := datapool.Open(models)
	if err != nil {
		t.Fatal(err)
	}
	return pool, outside
}

func TestListHasTheFilesOfTheTopFolder(t *testing.T) {
	pool, _ := newPool(t)
	names, err := pool.List()
	if err != nil || !slices.Equal(names, []string{"a.txt", "inside"}) {
		t.Errorf("List() = %q, %v, want a.txt and inside", names, err)
	}
	if pool.Name() != "models" || filepath.Base(pool.Path()) != "models" {
		t.Errorf("Name() = %q, Path() = %q, want models in both", pool.Name(), pool.Path())
	}
}

func TestOpen(t *testing.T) {
	pool, _ := newPool(t)
	for name, want := range map[string]string{"a.txt": "A", "sub/b.txt": "B", "inside": "A", "folder/b.txt": "B", "sub/../a.txt": "A"} {
		file, err := pool.Open(name)
		if err != nil {
			t.Errorf("Open(%q) = %v, want nil", name, err)
			continue
		}
		content, err := io.ReadAll(file)
		if err := errors.Join(err, file.Close()); err != nil || string(content) != want {
			t.Errorf("Open(%q) reads %q, %v, want %q", name, content, err, want)
		}
		if content, err := pool.ReadFile(name); err != nil || string(content) != want {
			t.Errorf("ReadFile(%q) = %q, %v, want %q", name, content, err, want)
		}
	}
}

func TestNothingLeadsOut(t *testing.T) {
	pool, outside := newPool(t)
	for _, name := range []string{"../outside.txt", outside, "absolute", "relative", "sub/../../outside.txt", "", "/"} {
		if file, err := pool.Open(name); err == nil {
			_ = file.Close()
			t.Errorf("Open(%q) = a file, want an error", name)
		}
		if content, err := pool.ReadFile(name); err == nil {
			t.Errorf("ReadFile(%q) = %q, want an error", name, content)
		}
		if content, err := fs.ReadFile(pool.FS(), name); err == nil {
			t.Errorf("FS reads %q as %q, want an error", name, content)
		}
	}
}

func TestMissingFile(t *testing.T) {
	pool, _ := newPool(t)
	_, err := pool.Open("zz")
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), `file "zz" not found in data pool`) {
		t.Errorf("Open(a missing file) = %v, want fs.ErrNotExist that names file and pool", err)
	}
	if strings.Contains(err.Error(), pool.Path()) {
		t.Errorf("the error is %v, want no path of the pool in it", err)
	}
	if _, err := pool.ReadFile("zz"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile(a missing file) = %v, want fs.ErrNotExist", err)
	}
	if _, err := datapool.Open(filepath.Join(t.TempDir(), "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open(a missing folder) = %v, want fs.ErrNotExist", err)
	}
}

func TestFS(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.txt", "sub/b.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool, err := datapool.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(pool.FS(), "a.txt", "sub/b.txt"); err != nil {
		t.Error(err)
	}
}

func TestZeroPool(t *testing.T) {
	var pool datapool.Pool
	if pool.Name() != "" || pool.Path() != "" || pool.String() != "" {
		t.Error("the zero Pool has a name")
	}
	if _, err := pool.List(); err == nil {
		t.Error("the zero Pool lists files")
	}
	if _, err := pool.Open("a"); err == nil {
		t.Error("the zero Pool opens a file")
	}
	if _, err := pool.ReadFile("a"); err == nil {
		t.Error("the zero Pool reads a file")
	}
	if _, err := pool.FS().Open("a"); err == nil {
		t.Error("the zero Pool's FS opens a file")
	}
}
