package vault_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/qhubctl/qhubctl/internal/vault"
)

func TestFirstStartMakesTheKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state", "master.key")
	k, err := vault.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key file has mode %v (%v), want 0600", info.Mode(), err)
	}
	given := secrets("a", "x")
	sealed := seal(t, k, given)
	again, err := vault.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	assertOpens(t, again, sealed, given)
	assertOnlyFile(t, path)
}

// Servers that start at the same moment must agree on one key.
func TestFirstStartsAgree(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	rings := make([]*vault.Keyring, 8)
	var group sync.WaitGroup
	for i := range rings {
		group.Go(func() {
			var err error
			if rings[i], err = vault.OpenFile(path); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	given := secrets("a", "x")
	for _, k := range rings {
		assertOpens(t, rings[0], seal(t, k, given), given)
	}
	assertOnlyFile(t, path)
}

func TestReadFileMakesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	if _, err := vault.ReadFile(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile(no file) = %v, want fs.ErrNotExist", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat(after ReadFile) = %v, want no file", err)
	}
}

func TestWidePermissionsAreRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	if err := os.WriteFile(path, keyText(map[int]byte{1: 7}), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, refused := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o620: true, 0o666: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := vault.OpenFile(path)
		if errors.Is(err, vault.ErrPermissions) != refused || (err != nil) != refused {
			t.Errorf("OpenFile(mode %04o) = %v, want refused: %v", mode, err, refused)
		}
		if refused && !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("OpenFile() = %v, want an error that names chmod 600", err)
		}
	}
}

func TestBadKeysAreRefusedWithoutRepeatingThem(t *testing.T) {
	t.Parallel()
	good := strings.TrimSpace(string(keyText(map[int]byte{1: 'K'})))
	encoded := strings.TrimPrefix(good, "1:")
	for name, text := range map[string]string{
		"empty": "", "comment only": "# nothing\n", "no version": encoded, "version 0": "0:" + encoded,
		"negative": "-1:" + encoded, "too short": "1:S0tLS0tLS0s=", "not base64": "1:" + strings.Repeat("K!", 22),
		"twice": good + "\n" + good, "version too big": "4294967296:" + encoded, "trailing comma": good + ",",
	} {
		_, err := vault.FromText([]byte(text))
		if !errors.Is(err, vault.ErrKeyFormat) {
			t.Errorf("FromText(%s) = %v, want ErrKeyFormat", name, err)
			continue
		}
		if strings.Contains(err.Error(), "S0tL") || strings.Contains(err.Error(), "K!") {
			t.Errorf("FromText(%s) repeats the key in its error, want none of it", name)
		}
	}
}

func TestKeysFromTheEnvironmentForm(t *testing.T) {
	t.Parallel()
	text := strings.ReplaceAll(strings.TrimSpace(string(keyText(map[int]byte{1: 7, 3: 9}))), "\n", ", ")
	k, err := vault.FromText([]byte(text))
	if err != nil || k.Version() != 3 || len(k.Versions()) != 2 {
		t.Fatalf("FromText(two versions) = %v, %v, want version 3 of two", k, err)
	}
}

func TestRotateAndRetireTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	first, err := vault.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	given := secrets("a", "x")
	old := seal(t, first, given)
	rotated, err := vault.Rotate(path)
	if err != nil || rotated.Version() != 2 {
		t.Fatalf("Rotate() = %v, %v, want version 2", rotated, err)
	}
	assertOpens(t, rotated, old, given)
	wrapped, _, err := rotated.Rewrap(owner, old)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := vault.Retire(path, 1); err != nil || len(kept.Versions()) != 2 {
		t.Fatalf("Retire(1) = %v, %v, want both versions", kept, err)
	}
	retired, err := vault.Retire(path, 99) // the newest stays, for any number
	if err != nil || len(retired.Versions()) != 1 {
		t.Fatalf("Retire(99) = %v, %v, want the newest version", retired, err)
	}
	assertOpens(t, retired, wrapped, given)
	if _, err := retired.Open(owner, old); !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("Open(sealed by a retired version) = %v, want ErrUnknownKey", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has mode %v (%v), want 0600", info.Mode(), err)
	}
	assertOnlyFile(t, path)
}

// assertOnlyFile checks that no temporary file with a key is left behind.
func assertOnlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.Name() == filepath.Base(path)+".lock" })
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder has %d files (%v), want the key file alone", len(entries), err)
	}
}

func FuzzFromText(f *testing.F) {
	f.Add(keyText(map[int]byte{1: 7, 2: 9}))
	f.Add([]byte("1:,2:#"))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := vault.FromText(text)
		if err != nil {
			if !errors.Is(err, vault.ErrKeyFormat) {
				t.Fatalf("FromText(random text) = %v, want ErrKeyFormat", err)
			}
			return
		}
		if sealed := seal(t, k, secrets("a", "x")); sealed.KeyVersion() != k.Version() {
			t.Fatal("sealed with another version")
		}
	})
}
