package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// serverVariable makes the test program a server: see TestEndsWithServer.
const serverVariable = "SANDBOX_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		os.Exit(serve())
	}
	code := m.Run()
	detected().Close()
	if left := cgroupsLeft(); len(left) > 0 {
		fmt.Println("cgroups are left:", left)
		code = max(code, 1)
	}
	// The thread that starts commands never ends.
	if err := goleak.Find(goleak.IgnoreTopFunction("github.com/qhubctl/qhubctl/internal/sandbox.startLoop")); err != nil {
		fmt.Println(err)
		code = max(code, 1)
	}
	os.Exit(code)
}

var detected = sync.OnceValue(func() *sandbox.Machine { return sandbox.Detect(sandbox.Options{}) })

// need skips a test of a layer that this machine lacks. That is a finding for a
// reader, not a failure.
func need(t *testing.T, m *sandbox.Machine, names ...string) {
	t.Helper()
	for _, l := range m.Layers() {
		if slices.Contains(names, l.Name) && !l.Held {
			t.Skipf("this machine does not give %s: %s", l.Name, l.Says)
		}
	}
}

func held(m *sandbox.Machine, name string) bool {
	return slices.ContainsFunc(m.Layers(), func(l sandbox.Layer) bool { return l.Name == name && l.Held })
}

// bareLayers is the machine without namespaces, as in a container: only Landlock and
// the filter remain.
func bareLayers(m *sandbox.Machine) *sandbox.Machine {
	return m.Without("processes", "filesystem", "proc", "ipc", "network", "user", "owners")
}

// each runs a test with all layers, and with those of a machine that has no
// namespaces.
func each(t *testing.T, f func(t *testing.T, m *sandbox.Machine)) {
	t.Helper()
	t.Run("all layers", func(t *testing.T) { f(t, detected()) })
	t.Run("no namespaces", func(t *testing.T) { f(t, bareLayers(detected())) })
}

type result struct {
	sandbox.Outcome
	stdout, stderr string
}

// run runs a command to its end.
func run(t *testing.T, m *sandbox.Machine, p sandbox.Policy, command ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env, cmd.Dir = []string{"PATH=/usr/bin:/bin", "CANARY=inside"}, "/"
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	c, err := m.Start(cmd, p)
	if err != nil {
		t.Fatal(err)
	}
	outcome, err := c.Wait()
	if err != nil {
		t.Fatalf("Wait() = %v, want nil\n%s", err, stderr.String())
	}
	return result{outcome, stdout.String(), stderr.String()}
}

const python = "/usr/bin/python3"

// prelude helps the scripts: attempt returns the outcome of a call, as the name of
// the error or the result.
const prelude = `
import ctypes, errno, json, os, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def attempt(f, *args):
    try:
        r = f(*args)
        return "ok" if r is None else str(r)
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
def call(number, *args):
    ctypes.set_errno(0)
    r = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in args])
    return errno.errorcode[ctypes.get_errno()] if r == -1 else "ok"
def write(path):
    with open(path, "a") as f: f.write("x")
def read(path):
    with open(path) as f: return f.read()
def limit(controller, file1, file2):
    # The limit that this process is under, as the kernel has it.
    for line in open("/proc/self/cgroup"):
        number, names, path = line.strip().split(":", 2)
        if controller in names.split(","): return read("/sys/fs/cgroup/" + controller + path + "/" + file1).strip()
    return read("/sys/fs/cgroup" + path + "/" + file2).strip()
out = {}
`

// ask runs a Python script that fills the dictionary out, and returns it.
func ask(t *testing.T, m *sandbox.Machine, p sandbox.Policy, script string, args ...string) map[string]string {
	t.Helper()
	if _, err := os.Stat(python); err != nil {
		t.Skip("no Python of the system at " + python)
	}
	command := append([]string{python, "-I", "-c", prelude + script + "\nprint(json.dumps(out))"}, args...)
	r := run(t, m, p, command...)
	if r.ExitCode != 0 {
		t.Fatalf("the script ended with %+v, want exit code 0\n%s", r.Outcome, r.stderr)
	}
	var out map[string]string
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &out); err != nil {
		t.Fatalf("Unmarshal(%q) = %v, want an object", r.stdout, err)
	}
	return out
}

// expect compares answers; | separates several that are fine.
func expect(t *testing.T, got, want map[string]string) {
	t.Helper()
	for key, value := range want {
		if !slices.Contains(strings.Split(value, "|"), got[key]) {
			t.Errorf("%s: %q, want %s", key, got[key], value)
		}
	}
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// dir is a folder of an execution.
func dir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// closedDir is a folder of executions, which other users may not enter.
func closedDir(t *testing.T) string {
	t.Helper()
	dir := dir(t)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func cgroupsLeft() []string {
	var left []string
	for _, pattern := range []string{"/sys/fs/cgroup/*/", "/sys/fs/cgroup/*/*/", "/sys/fs/cgroup/*/*/*/", "/sys/fs/cgroup/"} {
		found, _ := filepath.Glob(fmt.Sprintf("%sqhubctl-%d-*", pattern, os.Getpid()))
		left = append(left, found...)
	}
	return left
}
