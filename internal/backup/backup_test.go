package backup_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/qhubctl/qhubctl/internal/backup"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var layout = backup.Layout{
	Database: "executions.db", Copy: sqlite.Snapshot, Verify: sqlite.Verify, Trees: []string{"blobs/objects", "results"},
}

// dataFolder makes one with a database and some files.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, layout.Database), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // it is in use meanwhile
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// files are those of a data folder; those outside the trees stay there.
var files = map[string]string{
	"blobs/objects/sources/a.blob": strings.Repeat("source", 1000), "results/1/model.bin": "model", "results/1/empty": "",
	"master.key": "a key", "owner-token": "a token", "revisions/1/work/file": "made again",
}

func write(t *testing.T, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	contents, err := backup.Write(t.Context(), layout, dir, &b, "v1")
	if err != nil || contents.Files != 5 || contents.Program != "v1" {
		t.Fatalf("Write() = %+v, %v, want 5 files by v1", contents, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "backup-*")); len(left) != 0 {
		t.Errorf("Write() leaves %q", left)
	}
	return b.Bytes()
}

func restore(t *testing.T, content []byte) (string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "new", "data")
	_, err := backup.Restore(t.Context(), layout, bytes.NewReader(content), dir, nil)
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); len(left) != 0 {
		t.Errorf("Restore() leaves %q", left)
	}
	if _, missing := os.Lstat(dir); err != nil && missing == nil {
		t.Errorf("Restore() = %v, and there is a data folder", err)
	}
	return dir, err
}

func TestRestoresWhatWasThere(t *testing.T) {
	dir, err := restore(t, write(t, dataFolder(t)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		backed := strings.HasPrefix(name, "blobs/") || strings.HasPrefix(name, "results/")
		if backed && (err != nil || string(got) != want) {
			t.Errorf("%s is %.20q, %v, want %.20q", name, got, err, want)
		}
		if !backed && err == nil {
			t.Errorf("%s is there, want it left out", name)
		}
	}
	for path, want := range map[string]os.FileMode{".": 0o700, layout.Database: 0o600, "results/1/model.bin": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v, want %o", path, info.Mode(), err, want)
		}
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, layout.Database), sqlite.Options{})
	if err != nil {
		t.Fatalf("opening the database = %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestRefusesDamage cuts a backup at many places, changes bytes of it, and gives it other
// entries.
func TestRefusesDamage(t *testing.T) {
	good := write(t, dataFolder(t))
	for cut := 0; cut < len(good)-1024; cut += 512 * 7 { // without the empty blocks at the end
		if _, err := restore(t, good[:cut]); !errors.Is(err, backup.ErrDamaged) && !errors.Is(err, backup.ErrNotBackup) {
			t.Errorf("Restore() of the first %d of %d bytes = %v, want %v", cut, len(good), err, backup.ErrDamaged)
		}
	}
	for _, text := range []string{"sourcesource", "model", "SQLite format"} {
		changed := bytes.Clone(good)
		changed[bytes.Index(changed, []byte(text))] ^= 1
		if _, err := restore(t, changed); err == nil {
			t.Errorf("Restore() of a backup in which %q has changed = nil, want an error", text)
		}
	}
	for _, name := range []string{"../x", "/etc/x", "results/../../x", "master.key", "results", "results/1/model.bin", "results//x", "blobs/objects/../x"} {
		if _, err := restore(t, with(t, good, &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 1, Mode: 0o600}, "x")); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("Restore() with the entry %q = %v, want %v", name, err, backup.ErrDamaged)
		}
	}
	for _, kind := range []byte{tar.TypeSymlink, tar.TypeLink, tar.TypeDir, tar.TypeFifo, tar.TypeChar} {
		if _, err := restore(t, with(t, good, &tar.Header{Typeflag: kind, Name: "results/x", Linkname: "/etc/passwd"}, "")); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("Restore() with an entry of type %q = %v, want %v", kind, err, backup.ErrDamaged)
		}
	}
	if _, err := restore(t, []byte("not a tar")); !errors.Is(err, backup.ErrNotBackup) {
		t.Errorf("Restore() of a text = %v, want %v", err, backup.ErrNotBackup)
	}
}

// with is a backup with another entry before its list of checksums.
func with(t *testing.T, good []byte, entry *tar.Header, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	from, to := tar.NewReader(bytes.NewReader(good)), tar.NewWriter(&b)
	add := func(h *tar.Header, content io.Reader) {
		if err := to.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(to, content); err != nil {
			t.Fatal(err)
		}
	}
	for {
		h, err := from.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == "SHA256SUMS" {
			add(entry, strings.NewReader(content))
		}
		add(h, from)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRefusals(t *testing.T) {
	dir := dataFolder(t)
	good := write(t, dir)
	if _, err := backup.Restore(t.Context(), layout, bytes.NewReader(good), dir, nil); !errors.Is(err, backup.ErrNotEmpty) {
		t.Errorf("Restore() into a folder in use = %v, want %v", err, backup.ErrNotEmpty)
	}
	empty := t.TempDir()
	if _, err := backup.Restore(t.Context(), layout, bytes.NewReader(good), empty, nil); err != nil {
		t.Errorf("Restore() into an empty folder = %v, want nil", err)
	}
	refused := errors.New("another key")
	other := filepath.Join(t.TempDir(), "data")
	if _, err := backup.Restore(t.Context(), layout, bytes.NewReader(good), other, func(string) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("Restore() = %v, want the error of the check", err)
	}
	if _, err := os.Lstat(other); err == nil {
		t.Error("after a refused Restore() there is a data folder")
	}
	var nothing bytes.Buffer
	if _, err := backup.Write(t.Context(), layout, t.TempDir(), &nothing, ""); !errors.Is(err, backup.ErrNoPlatform) || nothing.Len() > 0 {
		t.Errorf("Write() of a folder without a platform = %v and %d bytes, want %v", err, nothing.Len(), backup.ErrNoPlatform)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := backup.Write(canceled, layout, dir, &nothing, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("Write() that was cancelled = %v, want %v", err, context.Canceled)
	}
	if _, err := backup.Write(t.Context(), layout, dir, full{}, ""); !errors.Is(err, backup.ErrFull) {
		t.Errorf("Write() to a full disk = %v, want %v", err, backup.ErrFull)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "backup-*")); len(left) != 0 {
		t.Errorf("Write() leaves %q", left)
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestRemovesWhatADeadBackupLeft and leaves what a living one has.
func TestRemovesWhatADeadBackupLeft(t *testing.T) {
	dir := dataFolder(t)
	dead := filepath.Join(dir, "backup-dead")
	if err := errors.Join(os.Mkdir(dead, 0o700), os.WriteFile(filepath.Join(dead, "lock"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	write(t, dir)
}

func TestDatabaseIsChecked(t *testing.T) {
	dir := dataFolder(t)
	path := filepath.Join(t.TempDir(), layout.Database)
	if err := sqlite.Snapshot(t.Context(), filepath.Join(dir, layout.Database), path); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(content)-4096; i += 512 {
		copy(content[i:], "damaged")
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Verify(t.Context(), path); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("Verify() of a damaged database = %v, want %v", err, store.ErrCorrupt)
	}
	if err := sqlite.Snapshot(t.Context(), filepath.Join(dir, layout.Database), path); err == nil {
		t.Error("Snapshot() over a file = nil, want an error")
	}
}
