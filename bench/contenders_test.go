package bench

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// The upstream packages that are compared, and the scientific packages that
// some services import.
var (
	publishedServer = []string{"qhub-serve==1.4.3", "qhub-commons==1.2.2"}
	scientific      = []string{"numpy==2.2.6", "pandas==2.3.3"}
)

// A contender is a server of the services.
type contender struct {
	name string
	// command starts it on the folder of a service.
	command func(dir string, port int) *exec.Cmd
	// golang: the services are those in Go.
	golang bool
	// cold: each execution is a fresh interpreter.
	cold bool
	// variant: it is like another, without one layer.
	variant bool
	// platform: the service is deployed to it, and called by its gateway.
	platform bool
	// waits: it answers a request for a state when that is final.
	waits bool
}

// contenders are our server and the published one. Ours runs with its
// defaults, without its sandbox, as a platform that is called by its gateway, with cold
// starts, and with services in Go. The published
// one is started by uvicorn, where executions are threads of one process, and
// by its own command, which uses the reload mode of uvicorn. It stores nothing,
// not even a log.
func contenders(b *testing.B) []contender {
	b.Helper()
	qhubctl := built(b)
	sdk := venv(b, "bench-SDK", sdkWheel(b))
	upstream := venv(b, "bench-published", publishedServer...)
	serve := func(dir string, port int, more ...string) *exec.Cmd {
		return exec.Command(qhubctl, append([]string{"serve", dir, "--quiet", "--port", strconv.Itoa(port)}, more...)...)
	}
	python := []string{"--python", testenv.Program(sdk, "python")}
	ours := func(dir string, port int) *exec.Cmd { return serve(dir, port, python...) }
	open := func(dir string, port int) *exec.Cmd { return serve(dir, port, append(python, "--no-sandbox")...) }
	platform := func(dir string, port int) *exec.Cmd {
		return exec.Command(qhubctl, "server", "--quiet", "--data", platformDir(dir), "--listen", "127.0.0.1:"+strconv.Itoa(port))
	}
	golang := func(dir string, port int) *exec.Cmd { return serve(dir, port) }
	direct := func(dir string, port int) *exec.Cmd {
		command := exec.Command(testenv.Program(upstream, "python"), "-m", "uvicorn", "qhub_serve.app:app", "--port", strconv.Itoa(port),
			"--log-level", "error", "--app-dir", dir)
		command.Env = append(os.Environ(), "ENTRYPOINT=src.program:run", "WORKSPACE="+dir, "LOG_LEVEL=ERROR")
		return command
	}
	reload := func(dir string, port int) *exec.Cmd {
		return exec.Command(testenv.Program(upstream, "qhub-serve"), "--workspace", dir, "--port", strconv.Itoa(port), "--log-level", "ERROR")
	}
	return []contender{
		{name: "qhubctl", command: ours, waits: true},
		{name: "qhubctl-no-sandbox", command: open, variant: true, waits: true},
		{name: "qhubctl-server", command: platform, variant: true, platform: true, waits: true},
		{name: "qhubctl-go", command: golang, golang: true, waits: true},
		{name: "qhubctl-cold", command: ours, cold: true},
		{name: "qhub-serve-by-uvicorn", command: direct},
		{name: "qhub-serve", command: reload},
	}
}

// venv is an environment of the newest Python that is found, the same for all.
func venv(b *testing.B, label string, packages ...string) string {
	b.Helper()
	python, err := testenv.NewestPython()
	if err != nil {
		b.Fatal(err)
	}
	dir, err := testenv.VenvOf(python, label, append(packages, scientific...)...)
	if err != nil {
		b.Fatal(err)
	}
	return dir
}

// sdkWheel is the wheel of our SDK, as `init` places it. Its place is the same
// in each run, because a new place makes a new environment.
func sdkWheel(b *testing.B) string {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "service")
	timed(b, "", os.Environ(), built(b), "init", dir, "--quiet", "--lang", "python")
	wheels, err := filepath.Glob(filepath.Join(dir, "vendor", "*.whl"))
	if err != nil || len(wheels) != 1 {
		b.Fatalf("the wheels in vendor are %v (%v), want one", wheels, err)
	}
	cache, err := testenv.CacheDir()
	kept := filepath.Join(cache, "bench-wheel", filepath.Base(wheels[0]))
	err = cmp.Or(err, os.MkdirAll(filepath.Dir(kept), 0o700))
	err = cmp.Or(err, os.Remove(kept))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.Fatal(err)
	}
	content, err := os.ReadFile(wheels[0])
	if err = cmp.Or(err, os.WriteFile(kept, content, 0o600)); err != nil {
		b.Fatal(err)
	}
	return kept
}

// place writes the service into a separate folder.
func place(b *testing.B, c contender, kind workload) string {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "service")
	files := map[string]string{"src/__init__.py": "", "src/program.py": kind.python, "requirements.txt": ""}
	if c.cold {
		files["pyproject.toml"] = "[tool.qhubctl]\nstart = \"cold\"\n"
	}
	if c.golang {
		timed(b, "", os.Environ(), built(b), "init", dir, "--quiet", "--lang", "go")
		files = map[string]string{"main.go": kind.golang}
	}
	for name, text := range files {
		goWrite(b, filepath.Join(dir, name), text)
	}
	return dir
}
