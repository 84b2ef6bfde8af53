package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/cli"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// hungryProgram is a service that wants too much of what it is asked to.
const hungryProgram = `
import os
import time


def run(of: str) -> dict:
    if of == "memory":
        hoard = [b"x" * (1 << 20) for _ in range(512)]
        return {"hoarded": len(hoard)}
    if of == "processes":
        for _ in range(100):
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
    if of == "time":
        time.sleep(60)
    if of == "output":
        with open(os.environ["OUTPUT_DIRECTORY"] + "/large", "wb") as file:
            for _ in range(64):
                file.write(bytes(1 << 20))
    if of == "files":
        for n in range(11000):
            open(os.environ["OUTPUT_DIRECTORY"] + f"/{n}", "w").close()
    if of == "log":
        for _ in range(2000):
            print("x" * 99)
    if of == "cpu-time":
        while True:
            sum(range(10000))
    if of == "open-files":
        kept = [open(os.devnull) for _ in range(200)]
        return {"kept": len(kept)}
    if of == "temp":
        with open("/tmp/large", "wb") as file:
            for _ in range(64):
                file.write(bytes(1 << 20))
    return {"enough": True}
`

func TestServeLimits(t *testing.T) {
	machine := sandbox.Detect(sandbox.Options{})
	layers := machine.Layers()
	machine.Close()
	dir := t.TempDir()
	for path, text := range map[string]string{
		"src/__init__.py": "", "src/program.py": hungryProgram,
		"pyproject.toml": "[tool.qhubctl]\nstart = \"cold\"\n[tool.qhubctl.limits]\nmemory = \"128MiB\"\nprocesses = 32\noutput = \"8MiB\"\n" +
			"log = \"64KiB\"\nopen-files = 64\ntemp = \"4MiB\"\n",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := serve(t, dir, "--limit", "time=5m", "--limit", "memory=2GiB")
	for of, want := range map[string]struct{ layer, text string }{
		"memory":     {"memory limit", "limit of 134217728 bytes of memory"},
		"processes":  {"process limit", "limit of 32 processes"},
		"output":     {"", "limit of 8388608 bytes of output"},
		"log":        {"", "limit of 65536 bytes of log"},
		"open-files": {"privileges", "limit of 64 open files"},
		"temp":       {"filesystem", "limit of 4194304 bytes of temporary files"},
		"files":      {"", "limit of 10000 files and folders in its output"},
	} {
		t.Run(of, func(t *testing.T) {
			if want.layer != "" && !slices.ContainsFunc(layers, func(l sandbox.Layer) bool { return l.Name == want.layer && l.Held }) {
				t.Skip("this machine does not give a " + want.layer)
			}
			if _, errs, code := s.qhubctl("executions", "start", "-d", `{"of": "`+of+`"}`, "--wait"); code != 1 || !strings.Contains(errs, want.text) {
				t.Errorf("exit code %d: %s", code, errs)
			}
		})
	}
	if out, errs, code := s.qhubctl("executions", "start", "-d", `{"of": "nothing"}`, "--wait"); code != 0 || !strings.Contains(out, "enough") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
}

// Limits of time have separate servers: where others share the machine,
// no time is long enough for the rest and short enough to wait for.
func TestServeTimeLimits(t *testing.T) {
	for of, want := range map[string]string{
		"time":     "longer than the 4s it may take",
		"cpu-time": "limit of 4000 milliseconds of processor time",
	} {
		t.Run(of, func(t *testing.T) {
			s := serve(t, service(t, hungryProgram), "--limit", of+"=4s")
			if _, errs, code := s.qhubctl("executions", "start", "-d", `{"of": "`+of+`"}`, "--wait"); code != 1 || !strings.Contains(errs, want) {
				t.Errorf("exit code %d: %s", code, errs)
			}
		})
	}
}

func TestWrongLimitFlags(t *testing.T) {
	for flag, want := range map[string]string{
		"memory=much": "--limit memory=much: it is no size", "threads=3": "there is no such limit", "cpu": "--limit cpu: it is no number of cores",
	} {
		var errs testenv.Buffer
		code := cli.Run(t.Context(), []string{"serve", "--limit", flag}, &term.Streams{In: strings.NewReader(""), Out: &errs, Err: &errs})
		if code != 2 || !strings.Contains(errs.String(), want) {
			t.Errorf("--limit %s: exit code %d: %s", flag, code, errs.String())
		}
	}
}

// TestServeNeedsGPU refuses a service that wants more GPUs than there are.
func TestServeNeedsGPU(t *testing.T) {
	if len(sandbox.GPUs()) > 0 {
		t.Skip("this machine has a GPU")
	}
	dir := service(t, hungryProgram)
	put(t, filepath.Join(dir, "qhubctl.toml"), "[limits]\ngpu = 1\n")
	_, errs, code := call(t, "serve", dir, "--port", "0", "--python", runnertest.SDKPython(t).Interpreter)
	if code != 2 || !strings.Contains(errs, "wants gpu = 1, and this machine has none") || !strings.Contains(errs, "doctor") {
		t.Errorf("exit code %d: %s, want 2, the number and a hint", code, errs)
	}
}
