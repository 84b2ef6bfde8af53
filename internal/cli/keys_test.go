//go:build unix

package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// keyed is a workspace that was served, with its key and what waits in it.
type keyed struct {
	t         *testing.T
	workspace string
	dir       string // of serve
	key       string // the file
}

const keyedService = "c0ffee00-0000-4000-8000-000000000001"

func newKeyed(t *testing.T) *keyed {
	t.Helper()
	k := &keyed{t: t, workspace: workspaceDir(t)}
	k.dir = filepath.Join(k.workspace, ".qhub", "serve")
	k.key = filepath.Join(k.dir, "master.key")
	k.ring(k.key)
	if err := os.WriteFile(filepath.Join(k.dir, "service-id"), []byte(keyedService+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.open(func(*sqlite.Store) {})
	return k
}

// ring is the keyring of a file, which it makes if need be.
func (k *keyed) ring(path string) *vault.Keyring {
	k.t.Helper()
	ring, err := vault.OpenFile(path)
	if err != nil {
		k.t.Fatal(err)
	}
	return ring
}

func (k *keyed) open(f func(*sqlite.Store)) {
	k.t.Helper()
	executions, err := sqlite.Open(k.t.Context(), filepath.Join(k.dir, "executions.db"), sqlite.Options{})
	if err != nil {
		k.t.Fatal(err)
	}
	f(executions)
	if err := executions.Close(); err != nil {
		k.t.Error(err)
	}
}

// wait leaves an execution with a secret waiting, as another server that has
// accepted it would.
func (k *keyed) wait(ring *vault.Keyring) execution.ID {
	k.t.Helper()
	id := execution.NewID()
	sealed, err := ring.Seal(vault.ExecutionOwner(string(id)), vault.Secrets{"api_token": plaintext.FromString(theSecret)})
	if err != nil {
		k.t.Fatal(err)
	}
	k.open(func(executions *sqlite.Store) {
		_, err = executions.Accept(k.t.Context(), store.NewExecution{
			Execution: execution.Execution{ID: id, ServiceID: keyedService, Type: execution.Managed},
			Request:   []byte(`{"inputs": {"data": {"action": "echo"}}, "secrets": ["api_token"]}`),
			Secrets:   sealed,
		})
	})
	if err != nil {
		k.t.Fatal(err)
	}
	return id
}

// keys runs a command about the keys, which must end with a code.
func (k *keyed) keys(code int, command string, args ...string) (stdout, stderr string) {
	k.t.Helper()
	stdout, stderr, got := call(k.t, slices.Concat([]string{"keys", command, k.workspace}, args)...)
	if got != code {
		k.t.Fatalf("keys %s %v: exit code %d, want %d\n%s%s", command, args, got, code, stdout, stderr)
	}
	return stdout, stderr
}

// list is what `keys list` says: the number of executions by version.
func (k *keyed) list(args ...string) string {
	k.t.Helper()
	out, _ := k.keys(0, "list", append(args, "--output", "json")...)
	var listing struct {
		Keys []struct {
			Version, Executions int
			Seals               bool
		}
	}
	if err := json.Unmarshal([]byte(out), &listing); err != nil {
		k.t.Fatalf("keys list printed %s: %v, want JSON", out, err)
	}
	var text []string
	for _, key := range listing.Keys {
		seals := ""
		if key.Seals {
			seals = " seals"
		}
		text = append(text, fmt.Sprintf("%d:%d%s", key.Version, key.Executions, seals))
	}
	return strings.Join(text, ", ")
}

// settle makes the key file look as if it had not been changed for long.
func (k *keyed) settle() {
	k.t.Helper()
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(k.key, past, past); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keyed) wantList(want string, args ...string) {
	k.t.Helper()
	if got := k.list(args...); got != want {
		k.t.Errorf("the list says %q, want %q", got, want)
	}
}

func (k *keyed) serve(flags ...string) *served {
	k.t.Helper()
	return serve(k.t, k.workspace, flags...)
}

// wantSuccess waits for the end of an execution.
func (s *served) wantSuccess(id execution.ID) {
	s.t.Helper()
	if out, errs, code := s.qhubctl("executions", "get", string(id), "--wait", "--output", "json"); code != 0 || !strings.Contains(out, `"SUCCEEDED"`) {
		s.t.Errorf("executions get --wait = %d %s %s, want 0 and SUCCEEDED\n%s", code, out, errs, s.said)
	}
}

func TestKeysRotateAndRetire(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	ring := k.ring(k.key)
	ids := []execution.ID{k.wait(ring), k.wait(ring)}
	k.wantList("1:2 seals")
	if out, _ := k.keys(0, "retire"); !strings.Contains(out, "nothing to retire") {
		t.Errorf("retire with one version printed %s, want nothing to retire", out)
	}
	out, errs := k.keys(0, "rotate")
	if !strings.Contains(out, "version 2 seals from now on; wrapped the secrets of 2 executions") || !strings.Contains(errs, "keep a copy of "+k.key) {
		t.Errorf("rotate printed %s %s, want version 2, 2 executions, and a reminder to copy the file", out, errs)
	}
	k.wantList("1:0, 2:2 seals")
	ids = append(ids, k.wait(ring)) // a server that has not looked yet
	k.settle()
	before, err := os.ReadFile(k.key)
	if err != nil {
		t.Fatal(err)
	}
	_, errs = k.keys(1, "retire")
	if !strings.Contains(errs, "version 1 still seals the secrets of 1 execution; nothing was retired") || !strings.Contains(errs, "hint: wrap them") {
		t.Errorf("retire of a version in use printed %s, want a refusal and a hint", errs)
	}
	if after, err := os.ReadFile(k.key); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key file after a refused retire: %v, want it unchanged", err)
	}
	if out, _ := k.keys(0, "rewrap"); !strings.Contains(out, "1 execution by version 2") {
		t.Errorf("rewrap printed %s, want 1 execution by version 2", out)
	}
	out, _ = k.keys(0, "retire", "--output", "json")
	var change map[string]any
	if err := json.Unmarshal([]byte(out), &change); err != nil || fmt.Sprint(change) != "map[retired:[1] rewrapped:0 version:2]" {
		t.Errorf("retire printed %s: %v, want version 1 retired", out, err)
	}
	k.wantList("2:3 seals")
	s := k.serve()
	for _, id := range ids {
		s.wantSuccess(id)
	}
	s.wantNoSecret()
}

// A server goes on through a rotation, and what it seals then is sealed by
// the new key. No key is shown anywhere.
func TestKeysRotateWhileServing(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	s := k.serve("--concurrency", "1")
	token := "api_token=@" + fileOf(t, theSecret)
	start := func(action string) execution.ID {
		t.Helper()
		out, errs, code := s.qhubctl("executions", "start", "-d", `{"data": {"action": "`+action+`"}}`, "--secret", token)
		if code != 0 {
			t.Fatal(errs)
		}
		return execution.ID(strings.TrimSpace(out))
	}
	running, waiting := start("sleep"), start("echo")
	k.wantList("1:2 seals")
	k.keys(0, "rotate")
	until(t, "took over a new master key", s.said.String)
	later := start("echo")
	k.wantList("1:0, 2:3 seals")
	k.settle()
	k.keys(0, "retire")
	k.wantList("2:3 seals")
	if _, errs, code := s.qhubctl("executions", "cancel", string(running)); code != 0 {
		t.Error(errs)
	}
	s.wantSuccess(waiting)
	s.wantSuccess(later)
	s.wantNoSecret()
	s.stop()
	text, err := os.ReadFile(k.key)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if _, key, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && !strings.HasPrefix(line, "#") && strings.Contains(s.said.String(), key) {
			t.Error("the server's log holds a key, want none")
		}
	}
}

// Retire waits for servers that have not looked for the new key yet.
func TestKeysRetireWaits(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	k.keys(0, "rotate")
	soon := time.Now().Add(-9 * time.Second)
	if err := os.Chtimes(k.key, soon, soon); err != nil {
		t.Fatal(err)
	}
	if _, errs := k.keys(0, "retire"); !strings.Contains(errs, "for servers to load the new version") {
		t.Errorf("retire soon after a rotation printed %q, want that it waits for servers", errs)
	}
	k.wantList("2:0 seals")
}

func TestKeysListTellsWhatCannotBeOpened(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	foreign := k.ring(filepath.Join(t.TempDir(), "other.key"))
	k.wait(k.ring(k.key))
	k.wait(foreign)
	moved := k.wait(k.ring(k.key))
	k.open(func(executions *sqlite.Store) {
		_, err := executions.Reseal(t.Context(), func(owner vault.Owner, sealed vault.Sealed) (vault.Sealed, bool, error) {
			if owner != vault.ExecutionOwner(string(moved)) {
				return sealed, false, nil
			}
			sealed[len(sealed)-100] ^= 1
			return sealed, true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	out, errs := k.keys(1, "list")
	for _, text := range []string{"missing", "damaged: " + string(moved), foreign.ID(1)} {
		if !strings.Contains(out, text) {
			t.Errorf("list printed no %q, want it in\n%s", text, out)
		}
	}
	if !strings.Contains(errs, "put it back, nothing is lost") || !strings.Contains(errs, "changed or moved") {
		t.Errorf("list printed %s, want the missing version and the changed secrets", errs)
	}
	out, _ = k.keys(1, "list", "--output", "json")
	if !json.Valid([]byte(out)) || !strings.Contains(out, `"damaged": [`) {
		t.Errorf("list printed %s, want JSON with the damaged executions", out)
	}
}

// A key from a command is changed where it is kept. A server that meets what a
// newer version sealed asks for it.
func TestKeysFromACommand(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	source := filepath.Join(t.TempDir(), "the key's file")
	k.ring(source)
	flags := []string{"--master-key", "command:cat '" + strings.ReplaceAll(source, "'", `'"'"'`) + "'"}
	k.wait(k.ring(source))
	_, errs := k.keys(2, "rotate", flags...)
	if !strings.Contains(errs, "comes from the command cat, which qhubctl does not change") || !strings.Contains(errs, "qhubctl keys rewrap") {
		t.Errorf("rotate of a key from a command printed %s, want a refusal and a hint", errs)
	}
	k.keys(2, "retire", flags...)
	s := k.serve(flags...)
	rotated, err := vault.Rotate(source) // by whoever keeps it
	if err != nil {
		t.Fatal(err)
	}
	s.wantSuccess(k.wait(rotated))
	k.wait(rotated)
	if out, _ := k.keys(0, "rewrap", flags...); !strings.Contains(out, "by version 2") {
		t.Errorf("rewrap printed %s, want version 2", out)
	}
	s.wantNoSecretSaid()
}

func TestKeysFromTheEnvironment(t *testing.T) {
	k := newKeyed(t)
	text, err := os.ReadFile(k.key)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(vault.EnvironmentVariable, string(text))
	id := k.wait(k.ring(k.key))
	if err := os.Remove(k.key); err != nil {
		t.Fatal(err)
	}
	s := k.serve()
	if _, there := os.LookupEnv(vault.EnvironmentVariable); there {
		t.Error("the environment still has the key, which other programs inherit, want it removed")
	}
	s.wantSuccess(id)
	t.Setenv("QHUBCTL_TEST_KEY", string(text))
	k.wantList("1:0 seals", "--master-key", "env:QHUBCTL_TEST_KEY")
}
