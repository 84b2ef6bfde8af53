package runner_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
)

// TestDirsAreReused: a folder that is put back is reused under another name, and
// looks like a new one. A folder that does not look like a new one is not reused.
func TestDirsAreReused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		do   func(t *testing.T, f runner.Dir)
		used bool
	}{
		{"untouched", func(*testing.T, runner.Dir) {}, true},
		{"files", func(t *testing.T, f runner.Dir) {
			t.Helper()
			for _, dir := range []string{f.Input(), f.Output(), f.Temp(), f.Home()} {
				put(t, filepath.Join(dir, "file"))
			}
			must(t, os.Symlink("/etc", filepath.Join(f.DataPools(), "pool")))
		}, true},
		{"a folder", func(t *testing.T, f runner.Dir) {
			t.Helper()
			must(t, os.Mkdir(filepath.Join(f.Home(), ".cache"), 0o700))
		}, false},
		{"another mode", func(t *testing.T, f runner.Dir) {
			t.Helper()
			must(t, os.Chmod(f.Home(), 0o1755))
		}, false},
		{"many files", func(t *testing.T, f runner.Dir) {
			t.Helper()
			for i := range 1000 {
				put(t, filepath.Join(f.Output(), "a long name, so that the folder grows"+string(rune('a'+i%26))+string(rune('a'+i/26))))
			}
		}, false},
		{"something beside", func(t *testing.T, f runner.Dir) { t.Helper(); put(t, filepath.Join(f.Root(), "beside")) }, false},
		{"a link instead", func(t *testing.T, f runner.Dir) {
			t.Helper()
			must(t, os.Remove(f.Temp()))
			must(t, os.Symlink(t.TempDir(), f.Temp()))
		}, false},
		{"a part is missing", func(t *testing.T, f runner.Dir) { t.Helper(); must(t, os.Remove(f.Temp())) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			folders := runner.NewDirPool(parent)
			first, err := folders.Get(nil)
			must(t, err)
			// Held open, so that nothing else gets its number.
			home, err := os.Open(first.Home())
			must(t, err)
			defer func() { _ = home.Close() }()
			before, err := home.Stat()
			must(t, err)
			test.do(t, first)
			must(t, folders.Put(first))
			second, err := folders.Get(nil)
			must(t, err)
			if first.Root() == second.Root() {
				t.Error("the next execution has the same name")
			}
			want := test.used && runtime.GOOS == "linux"
			if used := os.SameFile(before, stat(t, second.Home())); used && !test.used || !used && want {
				t.Errorf("the folder is reused: %v, want %v", used, want)
			}
			for _, dir := range []string{second.Input(), second.Output(), second.DataPools(), second.Temp(), second.Home()} {
				entries, err := os.ReadDir(dir)
				if err != nil || len(entries) > 0 {
					t.Errorf("%s holds %v (%v), want nothing", dir, entries, err)
				}
			}
			must(t, folders.Put(second))
			must(t, folders.Close())
			if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
				t.Errorf("after Close the parent holds %v (%v), want nothing", left, err)
			}
		})
	}
}

// TestInputsOfReusedDirs: an execution finds its inputs, and nothing of earlier ones.
func TestInputsOfReusedDirs(t *testing.T) {
	t.Parallel()
	inputs := func(texts ...string) map[string]json.RawMessage {
		all := map[string]json.RawMessage{}
		for i, text := range texts {
			all[string(rune('a'+i))] = json.RawMessage(text)
		}
		return all
	}
	folders := runner.NewDirPool(t.TempDir())
	var held *os.File // by another execution
	for _, test := range []struct {
		inputs map[string]json.RawMessage
		want   map[string]string
		leave  func(t *testing.T, input string)
	}{
		{inputs(`{"n": 1, "long": "text"}`), map[string]string{"a.json": `{"n": 1, "long": "text"}`}, nil},
		{inputs(`7`), map[string]string{"a.json": "7"}, nil},
		{inputs(`"text"`, `[]`), map[string]string{"a.txt": "text", "b.json": "[]"}, nil},
		{inputs(`""`), map[string]string{"a.txt": ""}, func(t *testing.T, input string) {
			t.Helper()
			must(t, os.Chmod(filepath.Join(input, "a.txt"), 0o640))
		}},
		{inputs(`"b"`), map[string]string{"a.txt": "b"}, func(t *testing.T, input string) {
			t.Helper()
			must(t, os.Link(filepath.Join(input, "a.txt"), filepath.Join(t.TempDir(), "link")))
		}},
		{inputs(`"c"`), map[string]string{"a.txt": "c"}, func(t *testing.T, input string) {
			t.Helper()
			must(t, os.Remove(filepath.Join(input, "a.txt")))
			must(t, os.Symlink("/dev/full", filepath.Join(input, "a.txt")))
		}},
		{inputs(`"d"`), map[string]string{"a.txt": "d"}, func(t *testing.T, input string) {
			t.Helper()
			var err error
			held, err = os.Open(filepath.Join(input, "a.txt"))
			must(t, err)
		}},
		{inputs(`"e"`), map[string]string{"a.txt": "e"}, func(t *testing.T, _ string) {
			t.Helper()
			text, err := io.ReadAll(held)
			if err != nil || string(text) != "d" {
				t.Errorf("an execution that holds another's file open reads %q (%v), want d", text, err)
			}
			must(t, held.Close())
		}},
		{inputs(`"f"`), map[string]string{"a.txt": "f"}, nil},
		{inputs(), map[string]string{}, nil},
	} {
		f, err := folders.Get(test.inputs)
		must(t, err)
		found := map[string]string{}
		entries, err := os.ReadDir(f.Input())
		must(t, err)
		for _, entry := range entries {
			text, err := os.ReadFile(filepath.Join(f.Input(), entry.Name()))
			must(t, err)
			found[entry.Name()] = string(text)
			if info, err := entry.Info(); err != nil || info.Mode() != 0o600 {
				t.Errorf("%s has mode %v (%v), want 0600", entry.Name(), info.Mode(), err)
			}
		}
		if !maps.Equal(found, test.want) {
			t.Errorf("it finds %q, want %q", found, test.want)
		}
		if test.leave != nil {
			test.leave(t, f.Input())
		}
		must(t, folders.Put(f))
	}
	must(t, folders.Close())
}

func put(t *testing.T, path string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte("x"), 0o600))
}

func stat(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestDirsOfProcessesAboutToEnd has a folder emptied at once, and not handed out
// while a process may still write to it.
func TestDirsOfProcessesAboutToEnd(t *testing.T) {
	folders := runner.NewDirPool(t.TempDir())
	f, err := folders.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	first, last := filepath.Join(f.Output(), "output.json"), filepath.Join(f.Output(), "late.txt")
	if err := os.WriteFile(first, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	if err := folders.PutWhen(gone, f); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(first); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat(a file of the execution) = %v, want that it is removed", err)
	}
	other, err := folders.Get(nil)
	if err != nil || other.Output() == f.Output() {
		t.Errorf("Get() = %s, %v, want another folder", other.Output(), err)
	}
	if err := os.WriteFile(last, []byte("late"), 0o600); err != nil {
		t.Fatal(err)
	}
	close(gone)
	if err := errors.Join(folders.Put(other), folders.Close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(last); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat(a late file) = %v, want that it is removed", err)
	}
}
