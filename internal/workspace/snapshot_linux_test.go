package workspace_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/workspace"
)

// placeFiles writes files into a folder and opens it as a workspace.
func placeFiles(t *testing.T, files map[string]string) *workspace.Workspace {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		put(t, filepath.Join(dir, name), text)
	}
	put(t, filepath.Join(dir, "src", "program.py"), "def run(): pass\n")
	w, err := workspace.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func take(t *testing.T, w *workspace.Workspace, o workspace.SnapshotOptions) *workspace.Snapshot {
	t.Helper()
	s, err := w.TakeSnapshot(filepath.Join(t.TempDir(), "snapshot"), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shown are the names of files and links in a snapshot.
func shown(t *testing.T, s *workspace.Snapshot) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(s.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			name, _ := filepath.Rel(s.Dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestSnapshotLeavesSecretsOut(t *testing.T) {
	t.Parallel()
	w := placeFiles(t, map[string]string{
		".env": "secret", ".ENV": "secret", ".envrc": "secret", ".netrc": "secret", ".aws/credentials": "secret", ".git/config": "secret",
		"conf/.env": "secret", "conf/.env.local": "secret", "conf/ca.pem": "public", "conf/token": "secret", "conf/token~": "secret",
		"conf/token.bak": "secret", "conf/#token#": "secret", "conf/token.bak.txt": "secret", "conf/~token": "secret", "conf/token (copy)": "secret", "conf/Copy of token": "secret",
		"conf/sedAb12Cd": "secret", "conf/tokenizer.json": "public", "conf/other-token": "public", "seder.py": "public",
		".qhub/service-id": "secret", "data.csv": "public", ".venv/pyvenv.cfg": "", ".venv/lib.py": "public",
	})
	dir := w.Dir
	for name, target := range map[string]string{
		"to-env": ".env", "to-token": "conf/token", "to-data": "data.csv", "outside": "/etc/hostname", "dangling": "nothing",
		"by-path": filepath.Join(dir, ".env"),
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, of := range map[string]string{"a-link-to-env": ".env", "conf/a-link-to-token": "conf/token", "z-link-to-local": "conf/.env.local", "data-too.csv": "data.csv"} {
		if err := os.Link(filepath.Join(dir, of), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := take(t, w, workspace.SnapshotOptions{Hidden: []string{filepath.Join(dir, ".env"), filepath.Join(dir, "conf", "token")}})
	want := []string{"conf/ca.pem", "conf/other-token", "conf/tokenizer.json", "dangling", "data-too.csv", "data.csv", "outside", "seder.py", "src/program.py", "to-data"}
	if got := shown(t, s); !slices.Equal(got, want) {
		t.Errorf("the snapshot shows\n%q, want\n%q", got, want)
	}
	if want := []string{filepath.Join(dir, ".venv")}; !slices.Equal(s.Live, want) || !slices.Equal(s.Hidden, []string{filepath.Join(dir, ".venv", ".lock")}) {
		t.Errorf("Live = %q without %q, want %q without its lock", s.Live, s.Hidden, want)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	linked, err := workspace.Open(link)
	if err != nil {
		t.Fatal(err)
	}
	s = take(t, linked, workspace.SnapshotOptions{Hidden: []string{filepath.Join(dir, ".env"), filepath.Join(dir, "conf", "token")}})
	if got := shown(t, s); !slices.Equal(got, want) {
		t.Errorf("the snapshot of a link to the workspace shows\n%q, want\n%q", got, want)
	}
}

// TestSnapshotStays changes a workspace in every way that editors and tools do.
func TestSnapshotStays(t *testing.T) {
	t.Parallel()
	w := placeFiles(t, map[string]string{"a": "before", "b": "before", "folder/c": "before"})
	at := func(name string) string { return filepath.Join(w.Dir, name) }
	old := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	if err := os.Chtimes(at("a"), old, old); err != nil {
		t.Fatal(err)
	}
	s := take(t, w, workspace.SnapshotOptions{})
	put(t, at("a"), "after")
	put(t, at("b.new"), "after")
	put(t, at("folder.new/c"), "after")
	for _, names := range [][2]string{{"b.new", "b"}, {"folder", "folder.old"}, {"folder.new", "folder"}} {
		if err := os.Rename(at(names[0]), at(names[1])); err != nil {
			t.Fatal(err)
		}
	}
	put(t, at(".env"), "after")
	for _, name := range []string{"a", "b", "folder/c"} {
		if text, err := os.ReadFile(filepath.Join(s.Dir, name)); err != nil || string(text) != "before" {
			t.Errorf("%s in the snapshot: %q, %v, want \"before\"", name, text, err)
		}
	}
	mode := os.FileMode(0o600)
	if os.Geteuid() == 0 {
		mode = 0o666 // executions are other users, and write into drafts
	}
	if info, err := os.Stat(filepath.Join(s.Dir, "a")); err != nil || !info.ModTime().Equal(old) || info.Mode().Perm() != mode {
		t.Errorf("a in the snapshot: %v %v, want %v %v", info.ModTime(), info.Mode(), old, mode)
	}
	if err := s.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.Dir); !os.IsNotExist(err) {
		t.Errorf("Stat(the removed snapshot) = %v, want that it does not exist", err)
	}
}

// TestSnapshotOfLargeFolder shares a folder that is too large to be copied. Hidden
// files stay hidden in it, also those that come later.
func TestSnapshotOfLargeFolder(t *testing.T) {
	t.Parallel()
	w := placeFiles(t, map[string]string{"large/.env": "secret", "large/deep/.netrc": "secret", "large/key": "secret"})
	block := bytes.Repeat([]byte("x"), 1<<20)
	for i := range 70 {
		put(t, filepath.Join(w.Dir, "large", strconv.Itoa(i)), string(block))
	}
	if err := os.Truncate(filepath.Join(w.Dir, "large", "0"), 100<<20); err != nil {
		t.Fatal(err)
	}
	s := take(t, w, workspace.SnapshotOptions{Hidden: []string{filepath.Join(w.Dir, "large", "key")}})
	put(t, filepath.Join(w.Dir, "large", ".env.later"), "secret")
	names := shown(t, s)
	if len(names) != 71 || slices.ContainsFunc(names, func(name string) bool { return filepath.Base(name)[0] == '.' || filepath.Base(name) == "key" }) {
		t.Errorf("the snapshot shows %d files, want 71 and none that is hidden: %q", len(names), names)
	}
	if info, err := os.Stat(filepath.Join(s.Dir, "large", "0")); err != nil || info.Size() != 100<<20 {
		t.Errorf("the largest file is %v (%v), want 100 MiB", info, err)
	}
	if len(s.Live) != 0 {
		t.Errorf("Live = %q, want none", s.Live)
	}
}

// TestSnapshotOfDataPools shows data pools directly, except secret files.
func TestSnapshotOfDataPools(t *testing.T) {
	t.Parallel()
	w := placeFiles(t, map[string]string{
		"datapool/models/a.bin": "x", "datapool/models/.env": "secret", "datapool/models/.gitkeep": "", "input/text.json": "{}", "input/pool/.aws/key": "secret",
	})
	s := take(t, w, workspace.SnapshotOptions{})
	at := func(name string) string { return filepath.Join(w.Dir, filepath.FromSlash(name)) }
	if want := []string{at("datapool/models"), at("input/pool")}; !slices.Equal(s.Live, want) {
		t.Errorf("Live = %q, want %q", s.Live, want)
	}
	if want := []string{at("datapool/models/.env"), at("input/pool/.aws")}; !slices.Equal(s.Hidden, want) {
		t.Errorf("hidden: %q, want %q", s.Hidden, want)
	}
	if got := shown(t, s); !slices.Equal(got, []string{"input/text.json", "src/program.py"}) {
		t.Errorf("the snapshot shows %q, want the input and the program", got)
	}
	put(t, at("datapool/later/x"), "x")
	for path, want := range map[string]bool{at("datapool/later"): true, t.TempDir(): false} {
		inside, err := s.Show(path)
		if _, statErr := os.Stat(filepath.Join(s.Dir, "datapool", "later")); inside != want || err != nil || want && statErr != nil {
			t.Errorf("Show(%s) = %t, %v, want %t with a mount point (%v)", path, inside, err, want, statErr)
		}
	}
}

// TestSnapshotOfManyFiles shows a folder with too many files to copy in the way of
// a data pool.
func TestSnapshotOfManyFiles(t *testing.T) {
	t.Parallel()
	w := placeFiles(t, map[string]string{"many/z/.env": "secret"})
	for i := range 20_001 {
		if err := os.Symlink("x", filepath.Join(w.Dir, "many", strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	s := take(t, w, workspace.SnapshotOptions{})
	many := filepath.Join(w.Dir, "many")
	if !slices.Equal(s.Live, []string{many}) || !slices.Equal(s.Hidden, []string{filepath.Join(many, "z", ".env")}) {
		t.Errorf("Live = %q without %q, want %q without its .env", s.Live, s.Hidden, many)
	}
}

// TestHiddenPaths lists the hidden paths where executions see the workspace itself.
func TestHiddenPaths(t *testing.T) {
	t.Parallel()
	w := placeFiles(t, map[string]string{".env": "", "conf/.env": "", ".git/config": "", ".qhub/lock": "", ".venv/pyvenv.cfg": "", ".venv/.env": "", "data": ""})
	var want []string
	for _, name := range []string{".env", ".git", ".qhub", ".venv/.lock", "conf/.env"} {
		want = append(want, filepath.Join(w.Dir, name))
	}
	if got := w.HiddenPaths(); !slices.Equal(got, want) {
		t.Errorf("HiddenPaths() = %q, want %q", got, want)
	}
}

// TestSnapshotShowsTheProgram shows the program of the service, under any name.
func TestSnapshotShowsTheProgram(t *testing.T) {
	t.Parallel()
	w := placeFiles(t, map[string]string{".qhub/service": "program", ".tox/py/pyvenv.cfg": "", ".qhub/lock": ""})
	at := func(name string) string { return filepath.Join(w.Dir, filepath.FromSlash(name)) }
	s := take(t, w, workspace.SnapshotOptions{
		Needed: []string{at(".qhub/service"), at(".tox/py"), "/usr", w.Dir, at("missing")}, MountPoints: []string{at(".qhub/serve")},
	})
	if got := shown(t, s); !slices.Equal(got, []string{".qhub/service", "src/program.py"}) {
		t.Errorf("the snapshot shows %q, want the program under its hidden name too", got)
	}
	if !slices.Equal(s.Live, []string{at(".tox/py")}) {
		t.Errorf("Live = %q, want .tox/py", s.Live)
	}
	for _, name := range []string{".qhub/serve", ".tox/py"} {
		if info, err := os.Stat(filepath.Join(s.Dir, name)); err != nil || !info.IsDir() {
			t.Errorf("the mount point %s is %v (%v), want a folder", name, info, err)
		}
	}
}

// TestRevisions has a server remove the folder of a killed one, and keep that of a
// running one.
func TestRevisions(t *testing.T) {
	t.Parallel()
	w, dir := placeFiles(t, nil), t.TempDir()
	living, err := workspace.OpenRevisions(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := living.Take(w, workspace.SnapshotOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(dir, "revisions", "dead")
	put(t, filepath.Join(dead, "1", "src", "program.py"), "")
	put(t, filepath.Join(dead, ".lock"), "")
	second, err := workspace.OpenRevisions(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); !os.IsNotExist(err) {
		t.Errorf("the snapshots of a dead server: %v, want none", err)
	}
	if _, err := os.Stat(kept.Dir); err != nil {
		t.Errorf("Stat(the snapshot of a running server) = %v, want that it stays", err)
	}
	// Another file takes the name of a secret file that has a second name.
	put(t, filepath.Join(w.Dir, ".env"), "secret")
	if err := os.Link(filepath.Join(w.Dir, ".env"), filepath.Join(w.Dir, "linked")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s, err := living.Take(w, workspace.SnapshotOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := shown(t, s); !slices.Equal(got, []string{"src/program.py"}) {
			t.Errorf("the snapshot shows %q, want the program alone", got)
		}
		put(t, filepath.Join(w.Dir, ".env.new"), "another secret")
		if err := os.Rename(filepath.Join(w.Dir, ".env.new"), filepath.Join(w.Dir, ".env")); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []*workspace.Revisions{living, second} {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, "revisions")); err != nil || len(left) > 0 {
		t.Errorf("after Close the folder has %v (%v), want it empty", left, err)
	}
}

// TestRevisionsShareCopies changes one of two files between two snapshots, in
// place and within the resolution of clocks, and removes the first one before the
// third.
func TestRevisionsShareCopies(t *testing.T) {
	t.Parallel()
	w := placeFiles(t, map[string]string{"same": "same", "changed": "one"})
	r, err := workspace.OpenRevisions(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	// Old enough that its copies are shared.
	if err := os.Chtimes(filepath.Join(w.Dir, "same"), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	var all []*workspace.Snapshot
	for _, text := range []string{"one", "two", "six"} {
		put(t, filepath.Join(w.Dir, "changed"), text)
		s, err := r.Take(w, workspace.SnapshotOptions{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
		if len(all) == 2 {
			if err := errors.Join(all[0].Remove(), all[1].Remove()); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for name, want := range map[string]string{"same": "same", "changed": text} {
			if got, err := os.ReadFile(filepath.Join(s.Dir, name)); err != nil || string(got) != want {
				t.Errorf("%s in the snapshot: %q, %v, want %q", name, got, err, want)
			}
		}
	}
}

// BenchmarkSnapshot takes snapshots of a workspace of 1,000 small files.
func BenchmarkSnapshot(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		path := filepath.Join(dir, "src", strconv.Itoa(i/50), fmt.Sprintf("%d.py", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Repeat([]byte("x = 1\n"), 700), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "src", "program.py"), nil, 0o600); err != nil {
		b.Fatal(err)
	}
	w, err := workspace.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	// None is removed: ext4 is slow to make files where it has just deleted others.
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.TakeSnapshot(filepath.Join(b.TempDir(), "snapshot"), workspace.SnapshotOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("reload", func(b *testing.B) {
		r, err := workspace.OpenRevisions(b.Context(), b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		if _, err := r.Take(w, workspace.SnapshotOptions{}); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := r.Take(w, workspace.SnapshotOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
