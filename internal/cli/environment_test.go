package cli_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/qhubctl/qhubctl/sdk"
)

// interpreter is a Python that really runs, by its own path: the shim of a
// version manager needs the HOME that tests take away.
var interpreter = sync.OnceValues(func() (string, error) {
	const probe = "import sys; print(sys.executable); sys.exit(sys.version_info < (3, 10))"
	for _, name := range []string{"python3", "python", "python3.13", "python3.12", "python3.11", "python3.10"} {
		if out, err := exec.Command(name, "-c", probe).Output(); err == nil {
			return strings.TrimSpace(string(out)), nil
		}
	}
	return "", errors.New("these tests need Python 3.10 or newer in PATH")
})

// cacheDir keeps what is expensive to make from one test run to the next.
func cacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "qhubctl-test"), nil
}

// environment is the folder of a virtual environment with what pip is told to
// install, made once for each such list.
func environment(label string, install ...string) (string, error) {
	python, err := interpreter()
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, _ = io.WriteString(h, python+"\x00"+strings.Join(install, "\x00"))
	for _, file := range install {
		if content, err := os.ReadFile(file); err == nil {
			h.Write(content)
		}
	}
	dir := filepath.Join(cache, label+"-"+hex.EncodeToString(h.Sum(nil)[:6]))
	if err := os.MkdirAll(cache, 0o750); err != nil {
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
	pip := append([]string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, install...)
	for _, step := range [][]string{{python, "-m", "venv", dir}, append([]string{inVenv(dir, "python")}, pip...)} {
		if out, err := exec.CommandContext(context.Background(), step[0], step[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", step, err, out)
		}
	}
	return dir, os.WriteFile(complete, nil, 0o600)
}

// inVenv is the path of a program of an environment.
func inVenv(dir, program string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(dir, "Scripts", program+".exe")
	}
	return filepath.Join(dir, "bin", program)
}

// kit is an environment with our kit: what most tests run services with.
var kit = sync.OnceValues(func() (string, error) {
	wheel, err := sdk.PythonWheel()
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(wheel.Content)
	file := filepath.Join(cache, hex.EncodeToString(sum[:6]), wheel.Name)
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return "", err
	}
	if err := os.WriteFile(file, wheel.Content, 0o600); err != nil {
		return "", err
	}
	return environment("kit", file)
})

// published is an environment with the kit that the recorded cases describe.
var published = sync.OnceValues(func() (string, error) { return environment("published-cli", "qhub-commons==1.2.2") })

// uv is a folder that holds uv and nothing else.
var uv = sync.OnceValues(func() (string, error) {
	dir, err := environment("uv", "uv")
	if err != nil {
		return "", err
	}
	only := filepath.Join(dir, "only")
	if err := os.MkdirAll(only, 0o750); err != nil {
		return "", err
	}
	link := filepath.Join(only, filepath.Base(inVenv(dir, "uv")))
	if err := os.Symlink(inVenv(dir, "uv"), link); err != nil && !os.IsExist(err) {
		return "", err
	}
	return only, nil
})

// need gives what one of the functions above has made.
func need(t testing.TB, made func() (string, error)) string {
	t.Helper()
	path, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// kitPython is the interpreter of the environment with our kit.
func kitPython(t testing.TB) string { return inVenv(need(t, kit), "python") }

// service writes a workspace with this program.
func service(t testing.TB, program string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "src"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "src", "program.py"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// plainEnv is an environment without secrets, with a home of its own.
func plainEnv(t testing.TB) []string {
	t.Helper()
	home := t.TempDir()
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CACHE_HOME=" + home, "TMPDIR=" + t.TempDir()}
}
