package vault_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/qhubctl/qhubctl/internal/vault"
)

// printKeys is a client of a key store: it does what its first argument says.
func printKeys() {
	switch os.Args[1] {
	case "print":
		text, err := os.ReadFile(os.Args[2])
		if err != nil {
			os.Exit(9)
		}
		_, _ = os.Stdout.Write(text)
	case "fail":
		_, _ = os.Stdout.WriteString("1:S0tLS")
		_, _ = os.Stderr.WriteString("no access to S0tLS")
		os.Exit(3)
	case "flood":
		line := strings.Repeat("S0tL", 1000)
		for range 1000 {
			_, _ = os.Stdout.WriteString(line)
		}
	case "wait":
		time.Sleep(time.Minute)
	}
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCommandSource(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys with $HOME in the name")
	write(t, path, keyText(map[int]byte{1: 'K', 2: 'L'}))
	k, err := vault.CommandSource{"print-keys", "print", path}.Read(t.Context())
	if err != nil || k.Version() != 2 {
		t.Fatalf("Read(a command) = %v, %v, want version 2", k, err)
	}
	broken := filepath.Join(t.TempDir(), "broken")
	write(t, broken, []byte("1:S0tLS0tLS0s=\n"))
	for name, test := range map[string]struct {
		argv []string
		kind error
		says string
	}{
		"none":       {nil, vault.ErrCommand, "there is none"},
		"not there":  {[]string{"no-such-program-here"}, vault.ErrCommand, "no-such-program-here"},
		"fails":      {[]string{"print-keys", "fail"}, vault.ErrCommand, "exit status 3"},
		"floods":     {[]string{"print-keys", "flood"}, vault.ErrCommand, "too much"},
		"nothing":    {[]string{"print-keys", "nothing"}, vault.ErrKeyFormat, "the command print-keys"},
		"not a key":  {[]string{"print-keys", "print", broken}, vault.ErrKeyFormat, "line 1"},
		"not a file": {[]string{"print-keys", "print", "/"}, vault.ErrCommand, "exit status 9"},
	} {
		_, err := vault.CommandSource(test.argv).Read(t.Context())
		if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("Read(%s) = %v, want %v with %q", name, err, test.kind, test.says)
			continue
		}
		if strings.Contains(err.Error(), "S0tL") || strings.Contains(err.Error(), "no access") {
			t.Errorf("Read(%s) repeats the output of the command in %v, want none of it", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (vault.CommandSource{"print-keys", "wait"}).Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Read(cancelled) = %v, want context.Canceled", err)
	}
}

func TestFromEnvironment(t *testing.T) {
	const variable = "QHUBCTL_TEST_KEY"
	t.Setenv(variable, string(keyText(map[int]byte{3: 'K'})))
	source, err := vault.FromEnvironment(variable)
	if err != nil {
		t.Fatal(err)
	}
	if _, there := os.LookupEnv(variable); there {
		t.Error("the variable is inherited by programs that are started later")
	}
	for range 2 {
		k, err := source.Read(t.Context())
		if err != nil || k.Version() != 3 {
			t.Fatalf("Read() = %v, %v, want version 3", k, err)
		}
		k.Clear()
	}
	if _, err := vault.FromEnvironment(variable); !errors.Is(err, vault.ErrKeyFormat) || !strings.Contains(err.Error(), variable) {
		t.Errorf("FromEnvironment(not set) = %v, want ErrKeyFormat that names the variable", err)
	}
	t.Setenv(variable, "1:S0tLS")
	source, err = vault.FromEnvironment(variable)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := source.Read(t.Context()); !errors.Is(err, vault.ErrKeyFormat) || strings.Contains(err.Error(), "S0tL") || !strings.Contains(err.Error(), variable) {
		t.Errorf("Read(no key) = %v, want ErrKeyFormat that names the variable and no text", err)
	}
}

// following is a keyring that follows a source.
func following(t *testing.T, source vault.KeySource) *vault.Keyring {
	t.Helper()
	k, err := source.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k.Watch(source)
	return k
}

func TestRefreshTakesNewVersionsOver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, keyText(map[int]byte{1: 7}))
	for name, source := range map[string]vault.KeySource{
		"file": vault.FileSource(path), "command": vault.CommandSource{"print-keys", "print", path},
	} {
		write(t, path, keyText(map[int]byte{1: 7}))
		given := secrets("a", "x")
		k := following(t, source)
		old := seal(t, k, given)
		if added, err := k.Refresh(t.Context()); err != nil || len(added) > 0 {
			t.Fatalf("%s: Refresh(unchanged) = %v, %v, want nothing added", name, added, err)
		}
		write(t, path, keyText(map[int]byte{1: 7, 2: 9, 5: 11}))
		added, err := k.Refresh(t.Context())
		if err != nil || len(added) != 2 || k.Version() != 5 || len(k.Versions()) != 3 {
			t.Fatalf("%s: Refresh() = %v, %v with %v, want two versions added", name, added, err, k)
		}
		assertOpens(t, k, old, given)
		if sealed := seal(t, k, given); sealed.KeyVersion() != 5 {
			t.Errorf("%s: sealed by version %d, want 5", name, sealed.KeyVersion())
		}
		// Versions that have left the source still open until the process ends.
		write(t, path, keyText(map[int]byte{5: 11}))
		if _, err := k.Refresh(t.Context()); err != nil || len(k.Versions()) != 3 {
			t.Errorf("%s: Refresh(a version gone) = %v with %v, want three versions", name, err, k)
		}
		assertOpens(t, k, old, given)
	}
}

// TestOpenLooksForANewerKey: secrets that another server has sealed by a newer key
// open at once.
func TestOpenLooksForANewerKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	if _, err := vault.OpenFile(path); err != nil {
		t.Fatal(err)
	}
	k := following(t, vault.FileSource(path))
	rotated, err := vault.Rotate(path)
	if err != nil {
		t.Fatal(err)
	}
	given := secrets("a", "x")
	assertOpens(t, k, seal(t, rotated, given), given)
	if k.Version() != 2 {
		t.Errorf("the keyring has %v, want version 2", k)
	}
	// No version of the file has this key.
	_, err = k.Open(owner, seal(t, ring(t, map[int]byte{9: 9}), given))
	if !errors.Is(err, vault.ErrUnknownKey) {
		t.Errorf("Open(sealed by an unknown key) = %v, want ErrUnknownKey", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err = k.Open(owner, seal(t, ring(t, map[int]byte{9: 9}), given))
	if !errors.Is(err, vault.ErrUnknownKey) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open(with the file gone) = %v, want ErrUnknownKey and os.ErrNotExist", err)
	}
	assertOpens(t, k, seal(t, rotated, given), given)
}

func TestAnExchangedKeyIsNotTakenOver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, keyText(map[int]byte{1: 7}))
	k := following(t, vault.FileSource(path))
	given := secrets("a", "x")
	sealed := seal(t, k, given)
	write(t, path, keyText(map[int]byte{1: 'K', 2: 'L'}))
	_, err := k.Refresh(t.Context())
	if !errors.Is(err, vault.ErrKeyExchanged) || !strings.Contains(err.Error(), "version 1") || strings.Contains(err.Error(), "S0tL") {
		t.Errorf("Refresh(an exchanged key) = %v, want ErrKeyExchanged that names version 1", err)
	}
	if k.Version() != 1 {
		t.Errorf("after a refused Refresh the keyring has %v, want version 1", k)
	}
	assertOpens(t, k, sealed, given)
}

// Run it with the race detector.
func TestRotationWhileInUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	if _, err := vault.OpenFile(path); err != nil {
		t.Fatal(err)
	}
	const rotations = 20
	k, given := following(t, vault.FileSource(path)), secrets("a", "x")
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				sealed, err := k.Seal(owner, given)
				if err != nil {
					t.Error(err)
					return
				}
				opened, err := k.Open(owner, sealed)
				if err != nil || string(opened["a"].Reveal()) != "x" {
					t.Error(err)
					return
				}
				if _, err := k.MACs("purpose", sealed); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var rotating sync.WaitGroup
	for range 2 { // at the same time: none is lost
		rotating.Go(func() {
			for range rotations / 2 {
				if _, err := vault.Rotate(path); err != nil {
					t.Error(err)
				}
				if _, err := k.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	rotating.Wait()
	close(done)
	group.Wait()
	if k.Version() != 1+rotations || len(k.Versions()) != 1+rotations {
		t.Errorf("%d rotations made %v, want %d versions", rotations, k, 1+rotations)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	k := ring(t, map[int]byte{1: 7})
	sealed := seal(t, k, secrets("a", "x"))
	changed := append(vault.Sealed(nil), sealed...)
	changed[40] ^= 1
	for name, test := range map[string]struct {
		err  error
		want error
	}{
		"fine":           {k.Check(owner, sealed), nil},
		"none":           {k.Check(owner, nil), nil},
		"another owner":  {k.Check(vault.ExecutionOwner("another"), sealed), vault.ErrTampered},
		"changed":        {k.Check(owner, changed), vault.ErrTampered},
		"no such key":    {ring(t, map[int]byte{2: 7}).Check(owner, sealed), vault.ErrUnknownKey},
		"exchanged key":  {ring(t, map[int]byte{1: 8}).Check(owner, sealed), vault.ErrUnknownKey},
		"nothing sealed": {k.Check(owner, vault.Sealed("plain")), vault.ErrTampered},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v", name, test.err, test.want)
		}
	}
	if id := k.ID(1); len(id) != 16 || id == ring(t, map[int]byte{1: 8}).ID(1) || k.ID(2) != "" {
		t.Errorf("ID(1) = %q, want 16 characters that differ by key", id)
	}
}

func TestMain(m *testing.M) {
	testscript.Main(goleakMain{m}, map[string]func(){"print-keys": printKeys})
}
