package runnertest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/sdk"
)

// publishedKit is the kit that services were written for before ours.
const publishedKit = "qhub-commons==1.2.2"

// KitPython says how to run the service in dir, entrypoint src.program:run,
// with our kit. The environment is made once and kept in the user's cache.
func KitPython(t testing.TB) process.Python {
	t.Helper()
	return python(t, kitEnvironment)
}

// PublishedPython is KitPython with the published kit.
func PublishedPython(t testing.TB) process.Python {
	t.Helper()
	return python(t, publishedEnvironment)
}

func python(t testing.TB, environment func() (string, error)) process.Python {
	t.Helper()
	dir, err := environment()
	if err != nil {
		t.Fatal(err)
	}
	describer, err := sdk.Describer()
	if err != nil {
		t.Fatal(err)
	}
	p := process.Python{
		Interpreter: inEnvironment(dir, "python"), Entrypoint: "src.program:run",
		Launcher:  filepath.Join(t.TempDir(), "launcher.py"),
		Describer: filepath.Join(t.TempDir(), "describe.py"),
	}
	for path, text := range map[string][]byte{p.Launcher: process.LauncherSource, p.Describer: describer} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func inEnvironment(dir, program string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(dir, "Scripts", program+".exe")
	}
	return filepath.Join(dir, "bin", program)
}

var kitEnvironment = sync.OnceValues(func() (string, error) {
	wheel, err := sdk.PythonWheel()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "qhubctl-wheel-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, wheel.Name)
	if err := os.WriteFile(file, wheel.Content, 0o600); err != nil {
		return "", err
	}
	sum := sha256.Sum256(wheel.Content)
	return makeEnvironment("runner-kit-"+hex.EncodeToString(sum[:6]), file)
})

var publishedEnvironment = sync.OnceValues(func() (string, error) {
	return makeEnvironment("runner-published-"+publishedKit, publishedKit)
})

// makeEnvironment makes a virtual environment in the cache unless it is there.
func makeEnvironment(label string, requirement string) (string, error) {
	base, err := interpreter()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(base))
	dir := filepath.Join(cache, "qhubctl-test", label+"-"+hex.EncodeToString(sum[:4]))
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return "", err
	}
	unlock, err := lockedfile.MutexAt(dir + ".lock").Lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	complete := filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	ctx := context.Background() // other tests will use it too
	for _, step := range []*exec.Cmd{
		exec.CommandContext(ctx, base, "-m", "venv", dir),
		exec.CommandContext(ctx, inEnvironment(dir, "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement),
	} {
		if out, err := step.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", step, err, out)
		}
	}
	return dir, os.WriteFile(complete, nil, 0o600)
}

// interpreter is a Python that both kits run on, by its own path: the shim of
// a version manager may need the HOME of its user.
var interpreter = sync.OnceValues(func() (string, error) {
	const probe = "import sys; print(sys.executable); sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))"
	for _, name := range []string{"python3", "python", "python3.13", "python3.12", "python3.11", "python3.10"} {
		if out, err := exec.CommandContext(context.Background(), name, "-c", probe).Output(); err == nil {
			return strings.TrimSpace(string(out)), nil
		}
	}
	return "", errors.New("these tests need a Python from 3.10 to 3.13 in PATH")
})
