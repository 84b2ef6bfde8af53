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
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
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
	sealed, err := ring.Seal(string(id), vault.Secrets{"api_token": plaintext.FromString(theSecret)})
	if err != nil {
		k.t.Fatal(err)
	}
	k.open(func(executions *sqlite.Store) {
		_, err = executions.Accept(k.t.Context(), store.Acceptance{
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
		k.t.Fatalf("%v: %s", err, out)
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
		s.t.Errorf("%d %s %s\n%s", code, out, errs, s.said)
	}
}

func TestKeysRotateAndRetire(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	ring := k.ring(k.key)
	ids := []execution.ID{k.wait(ring), k.wait(ring)}
	k.wantList("1:2 seals")
	if out, _ := k.keys(0, "retire"); !strings.Contains(out, "nothing to retire") {
		t.Errorf("retire: %s", out)
	}
	out, errs := k.keys(0, "rotate")
	if !strings.Contains(out, "version 2 seals from now on; wrapped the secrets of 2 executions") || !strings.Contains(errs, "keep a copy of "+k.key) {
		t.Errorf("rotate: %s %s", out, errs)
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
		t.Errorf("retire: %s", errs)
	}
	if after, err := os.ReadFile(k.key); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a refused retire has changed the file: %v", err)
	}
	if out, _ := k.keys(0, "rewrap"); !strings.Contains(out, "1 execution by version 2") {
		t.Errorf("rewrap: %s", out)
	}
	out, _ = k.keys(0, "retire", "--output", "json")
	var change map[string]any
	if err := json.Unmarshal([]byte(out), &change); err != nil || fmt.Sprint(change) != "map[retired:[1] rewrapped:0 version:2]" {
		t.Errorf("retire: %v %s", err, out)
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
			t.Error("a key is in the server's log")
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
	if _, errs := k.keys(0, "retire"); !strings.Contains(errs, "for servers to take the new version over") {
		t.Errorf("retire: %s", errs)
	}
	k.wantList("2:0 seals")
}

// A lost or wrong key is said at the start, and nothing is destroyed by it.
func TestServeWithoutTheKey(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	id := k.wait(k.ring(k.key))
	kept := filepath.Join(t.TempDir(), "kept.key")
	if err := os.Rename(k.key, kept); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.key")
	k.ring(other)
	damaged := fileOf(t, "1:S0tLS0tLS0s=\n")
	wide := fileOf(t, "1:")
	if err := os.Chmod(wide, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		flags []string
		says  []string
	}{
		"lost":        {nil, []string{"the secrets of 1 execution cannot be opened", k.key + ": there is no such file", "nothing was changed"}},
		"wrong":       {[]string{"--master-key", "@" + other}, []string{"version 1 is another key than the one that sealed", "nothing was changed"}},
		"not there":   {[]string{"--master-key", "@" + filepath.Join(k.dir, "nowhere")}, []string{"there is no such file"}},
		"damaged":     {[]string{"--master-key", "@" + damaged}, []string{"the master key cannot be read: line 1", "hint: a key is a line VERSION:KEY"}},
		"wide open":   {[]string{"--master-key", "@" + wide}, []string{"can be read by others", "chmod 600"}},
		"no variable": {[]string{"--master-key", "env:QHUBCTL_TEST_NO_KEY"}, []string{"the variable QHUBCTL_TEST_NO_KEY is not set"}},
		"no command":  {[]string{"--master-key", "command:false"}, []string{"false ended with exit status 1", "hint: run the command yourself"}},
		"in argv":     {[]string{"--master-key", "1:S0tLS0tLS0s="}, []string{"not the key itself"}},
		"no quote":    {[]string{"--master-key", "command:cat 'x"}, []string{"a program and its arguments are expected"}},
	} {
		flags := slices.Concat([]string{"serve", k.workspace, "--no-sandbox", "--port", "0", "--python", runnertest.KitPython(t).Interpreter}, test.flags)
		out, errs, code := call(t, flags...)
		if code != 2 || out != "" || strings.Contains(errs, "S0tL") {
			t.Errorf("%s: %d %s %s", name, code, out, errs)
		}
		for _, text := range test.says {
			if !strings.Contains(errs, text) {
				t.Errorf("%s: no %q in\n%s", name, text, errs)
			}
		}
	}
	if _, err := os.Stat(k.key); err == nil {
		t.Error("a new key was made in the place of the lost one")
	}
	if err := os.Rename(kept, k.key); err != nil {
		t.Fatal(err)
	}
	k.wantList("1:1 seals")
	k.serve().wantSuccess(id)
}

func TestKeysListTellsWhatCannotBeOpened(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	foreign := k.ring(filepath.Join(t.TempDir(), "other.key"))
	k.wait(k.ring(k.key))
	k.wait(foreign)
	moved := k.wait(k.ring(k.key))
	k.open(func(executions *sqlite.Store) {
		_, err := executions.Reseal(t.Context(), func(id execution.ID, sealed vault.Sealed) (vault.Sealed, bool, error) {
			if id != moved {
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
			t.Errorf("no %q in\n%s", text, out)
		}
	}
	if !strings.Contains(errs, "put it back, nothing is lost") || !strings.Contains(errs, "changed or moved") {
		t.Errorf("list: %s", errs)
	}
	out, _ = k.keys(1, "list", "--output", "json")
	if !json.Valid([]byte(out)) || !strings.Contains(out, `"damaged": [`) {
		t.Errorf("list: %s", out)
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
		t.Errorf("rotate: %s", errs)
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
		t.Errorf("rewrap: %s", out)
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
		t.Error("the key is still in the environment, which other programs inherit")
	}
	s.wantSuccess(id)
	t.Setenv("QHUBCTL_TEST_KEY", string(text))
	k.wantList("1:0 seals", "--master-key", "env:QHUBCTL_TEST_KEY")
}

// The ciphertext of a secret is in no file any more, seconds after the end of
// its execution, and the value never is.
func TestCiphertextsLeaveTheFiles(t *testing.T) {
	t.Parallel()
	s := serve(t, workspaceDir(t))
	dir := filepath.Join(s.dir, ".qhub", "serve")
	out, errs, code := s.qhubctl("executions", "start", "-d", `{"data": {"action": "sleep"}}`, "--secret", "api_token=@"+fileOf(t, theSecret))
	if code != 0 {
		t.Fatal(errs)
	}
	// The pieces of what is sealed, as they stand in the files.
	var sealed [][]byte
	for _, content := range contents(t, dir) {
		for at := range content {
			if bytes.HasPrefix(content[at:], []byte("qhs\x01\x00\x00\x00\x01")) && at+78 < len(content) {
				sealed = append(sealed, content[at+18:at+34], content[at+34:at+50])
			}
		}
	}
	if len(sealed) == 0 {
		t.Fatal("nothing sealed is found: the test proves nothing")
	}
	if _, errs, code := s.qhubctl("executions", "cancel", strings.TrimSpace(out)); code != 0 {
		t.Fatal(errs)
	}
	if out, errs, _ := s.qhubctl("executions", "get", strings.TrimSpace(out), "--wait"); !strings.Contains(out, "CANCELLED") {
		t.Fatalf("%s %s", out, errs)
	}
	const seconds = 10 * time.Second
	for deadline := time.Now().Add(seconds); ; time.Sleep(100 * time.Millisecond) {
		left := 0
		for _, content := range contents(t, dir) {
			for _, piece := range sealed {
				left += bytes.Count(content, piece)
			}
		}
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d pieces of the ciphertext are left after %s", left, seconds)
		}
	}
	for name, content := range contents(t, dir) {
		for _, form := range redact.Forms([]byte(theSecret)) {
			if bytes.Contains(content, form) {
				t.Errorf("%s holds the value", name)
			}
		}
	}
	s.wantNoSecret()
}

// contents are the files of a folder.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		if found[entry.Name()], err = os.ReadFile(filepath.Join(dir, entry.Name())); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return found
}
