// Package testenv gives tests the expensive parts that they need of a machine: a Python,
// environments with packages, uv, the program itself. It keeps them in the user's cache
// folder, from one run to the next and for all packages whose tests run at the same
// time.
package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// uvVersion is pinned, so that a run today is a run tomorrow.
const uvVersion = "0.13.8"

// Python is an interpreter by its real path: the shim of a version manager needs the HOME
// that tests replace.
var Python = sync.OnceValues(func() (string, error) {
	const probe = "import sys; print(sys.executable); sys.exit(sys.version_info < (3, 10))"
	for _, name := range []string{"python3", "python", "python3.13", "python3.12", "python3.11", "python3.10"} {
		if out, err := exec.Command(name, "-c", probe).Output(); err == nil {
			return strings.TrimSpace(string(out)), nil
		}
	}
	return "", errors.New("these tests need Python 3.10 or newer in PATH")
})

// PythonOf is an interpreter of that version, such as 3.13, in PATH or where
// version managers keep theirs; empty if there is none.
func PythonOf(version string) string {
	probe := fmt.Sprintf("import sys, venv; print(sys.executable); sys.exit('%%d.%%d' %% sys.version_info[:2] != '%s')", version)
	names := []string{"python" + version}
	if home, err := os.UserHomeDir(); err == nil {
		for _, root := range []string{os.Getenv("PYENV_ROOT"), filepath.Join(home, ".pyenv")} {
			found, _ := filepath.Glob(filepath.Join(root, "versions", version+"*", "bin", "python"+version))
			names = append(names, found...)
		}
		found, _ := filepath.Glob(filepath.Join(home, ".local", "share", "uv", "python", "*", "bin", "python"+version))
		names = append(names, found...)
	}
	for _, name := range names {
		if out, err := exec.CommandContext(context.Background(), name, "-c", probe).Output(); err == nil { //nolint:gosec // interpreters of this machine
			return strings.TrimSpace(string(out))
		}
	}
	return ""
}

// NewestPython is the newest interpreter that is found, of those that services
// may have.
var NewestPython = sync.OnceValues(func() (string, error) {
	for _, version := range []string{"3.13", "3.12", "3.11", "3.10"} {
		if found := PythonOf(version); found != "" {
			return found, nil
		}
	}
	return Python()
})

// UV is a folder that holds uv and nothing else.
var UV = sync.OnceValues(func() (string, error) {
	venv, err := Venv("uv", "uv=="+uvVersion)
	if err != nil {
		return "", err
	}
	only := filepath.Join(venv, "only")
	if err := os.MkdirAll(only, 0o700); err != nil {
		return "", err
	}
	program := Program(venv, "uv")
	err = os.Symlink(program, filepath.Join(only, filepath.Base(program)))
	if err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return only, nil
})

// CacheDir is the folder of all this.
func CacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "qhubctl-test")
	return dir, os.MkdirAll(dir, 0o700)
}

// Venv is the folder of a virtual environment with the given arguments of pip install,
// made once for each such list. A file in the list makes a new one when its content
// changes.
func Venv(label string, install ...string) (string, error) {
	python, err := Python()
	if err != nil {
		return "", err
	}
	return VenvOf(python, label, install...)
}

// VenvOf is Venv for another interpreter.
func VenvOf(python, label string, install ...string) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, _ = io.WriteString(h, python+"\x00"+strings.Join(install, "\x00"))
	for _, file := range install {
		if content, err := os.ReadFile(file); err == nil {
			_, _ = h.Write(content)
		}
	}
	dir := filepath.Join(cache, label+"-"+hex.EncodeToString(h.Sum(nil)[:6]))
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
	for _, step := range [][]string{{python, "-m", "venv", dir}, append([]string{Program(dir, "python")}, pip...)} {
		if err := run(step); err != nil {
			return "", err
		}
	}
	return dir, os.WriteFile(complete, nil, 0o600)
}

// Program is the path of a program of an environment.
func Program(venv, name string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(venv, "Scripts", name+".exe")
	}
	return filepath.Join(venv, "bin", name)
}

// PythonDir makes a folder below dir that holds only a python3.
func PythonDir(dir string) (string, error) {
	python, err := Python()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(dir, "python")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return "", err
	}
	return folder, os.Symlink(python, filepath.Join(folder, "python3"))
}

// Build builds qhubctl into a folder below dir and returns that folder.
func Build(dir string) (string, error) {
	noteSources()
	folder := filepath.Join(dir, "bin")
	return folder, run([]string{"go", "build", "-o", folder + string(filepath.Separator), "github.com/qhubctl/qhubctl/cmd/qhubctl"})
}

// noteSources reads the folders of all sources of the program. Go caches the result of a
// test until a file changes that the test itself has read.
func noteSources() {
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	for _, folder := range []string{"cmd", "internal", "sdk"} {
		_ = filepath.WalkDir(filepath.Join(root, folder), func(string, fs.DirEntry, error) error { return nil })
	}
}

// Installers are the variables, as NAME=value, by which pip and uv reach the index of this
// machine, and cache their downloads.
func Installers() ([]string, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	env := []string{
		"PIP_CACHE_DIR=" + filepath.Join(cache, "pip"), "UV_CACHE_DIR=" + filepath.Join(cache, "uv-cache"),
		"UV_PYTHON_DOWNLOADS=never",
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		upper := strings.ToUpper(name)
		if strings.HasPrefix(upper, "PIP_") || strings.HasPrefix(upper, "UV_") || strings.HasPrefix(upper, "SSL_CERT_") || strings.HasSuffix(upper, "_PROXY") {
			env = append(env, entry)
		}
	}
	return env, nil
}

func run(command []string) error {
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput() //nolint:noctx // a short command
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return nil
}
