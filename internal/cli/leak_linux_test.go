package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact"
)

// canary is a secret that has all that encodings change.
const canary = "canary 4711/+&\"$é%"

// The secret of a run stands in no command line and in no first environment of
// a process, nor in any file, however it was given; and while it runs nothing
// that it prints comes out.
func TestNoLeakWhileRunning(t *testing.T) {
	t.Parallel()
	const program = family + `
from qhub.commons.secret import SecretValue

def run(api_token: SecretValue) -> dict:
    value = api_token.unwrap()
    print("token", value, flush=True)
    print(repr(value), value.encode().hex(), file=sys.stderr, flush=True)
    ready(sleeper(), sleeper(start_new_session=True))
    with open("go") as fifo:
        fifo.read()
    return {"token": value, "inside": "x" + value}
`
	forms := redact.Forms([]byte(canary))
	for _, way := range []struct {
		name string
		env  []string
		args []string
		file string // the content of the file "given"
		ours bool   // the user has put the secret into qhubctl's own environment
	}{
		{"environment", []string{"SECRET_API_TOKEN=" + canary}, []string{"-d", "{}"}, "", true},
		{"variable", []string{"OTHER=" + canary}, []string{"-d", "{}", "--secret", "api_token=env:OTHER"}, "", true},
		{"file", nil, []string{"-d", "{}", "--secret", "api_token=@given"}, canary + "\n", false},
		{"env file", nil, []string{"-d", "{}", "--env-file", "given"}, "SECRET_API_TOKEN='" + canary + "'\n", false},
		{"request", nil, []string{"-d", "@given"}, fmt.Sprintf(`{"$secrets": {"api_token": %q}}`, canary), false},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			dir := service(t, program)
			if way.file != "" {
				// Outside of the folders that are searched for leaks.
				given := filepath.Join(t.TempDir(), "given")
				if err := os.WriteFile(given, []byte(way.file), 0o600); err != nil {
					t.Fatal(err)
				}
				for i := range way.args {
					way.args[i] = strings.Replace(way.args[i], "given", given, 1)
				}
			}
			env := slices.Concat(way.env, plainEnv(t))
			s := beginIn(t, dir, env, way.args...)
			pids := s.awaitReady(t)
			for _, pid := range append(pids, strconv.Itoa(s.Process.Pid)) {
				noLeakOf(t, pid, forms, way.ours && pid == strconv.Itoa(s.Process.Pid))
			}
			noLeakIn(t, dir, env, forms) // while it runs
			if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			s.awaitEnd(t, 0)
			noLeakIn(t, dir, env, forms)
			for name, text := range map[string]string{"standard output": s.out.String(), "the log": s.log.String()} {
				if form := holds([]byte(text), forms); form != nil {
					t.Errorf("%s holds the secret as %q:\n%s", name, form, text)
				}
				if !strings.Contains(text, redact.Mask) {
					t.Errorf("%s shows nothing masked, so this test proves nothing:\n%s", name, text)
				}
			}
		})
	}
}

// noLeakOf looks at what others can see of a process.
func noLeakOf(t *testing.T, pid string, forms [][]byte, environment bool) {
	t.Helper()
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(filepath.Join("/proc", pid, name))
		if err != nil {
			t.Fatal(err)
		}
		if form := holds(text, forms); form != nil && (!environment || name != "environ") {
			t.Errorf("%s of process %s holds the secret as %q", name, pid, form)
		}
		if name == "cmdline" && !bytes.Contains(text, []byte("python")) && !bytes.Contains(text, []byte("qhubctl")) {
			t.Errorf("process %s is another: %q", pid, text)
		}
	}
}

// noLeakIn looks at the workspace, and at the home, cache and temporary
// folders of the run.
func noLeakIn(t *testing.T, dir string, env []string, forms [][]byte) {
	t.Helper()
	folders := []string{dir}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		if name == "HOME" || name == "TMPDIR" {
			folders = append(folders, value)
		}
	}
	for _, folder := range folders {
		if err := noLeakBelow(folder, forms); err != nil {
			t.Error(err)
		}
	}
}
