//go:build linux

package forkserver_test

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.Remove(filepath.Join(os.TempDir(), "qhubctl-warm-test-"+strconv.Itoa(os.Getpid())))
	machine().Close()
	if left := cgroupsLeft(); len(left) > 0 {
		fmt.Println("cgroups are left:", left)
		code = max(code, 1)
	}
	if err := goleak.Find(
		// The threads that start processes never end.
		goleak.IgnoreAnyFunction("github.com/qhubctl/qhubctl/internal/runner/process.init.func1.1"),
		goleak.IgnoreTopFunction("github.com/qhubctl/qhubctl/internal/sandbox.startLoop")); err != nil {
		fmt.Println(err)
		code = max(code, 1)
	}
	os.Exit(code)
}

var machine = sync.OnceValue(func() *sandbox.Machine { return sandbox.Detect(sandbox.Options{}) })

func cgroupsLeft() []string {
	var left []string
	for _, pattern := range []string{"/sys/fs/cgroup/*/", "/sys/fs/cgroup/*/*/", "/sys/fs/cgroup/*/*/*/", "/sys/fs/cgroup/"} {
		found, _ := filepath.Glob(fmt.Sprintf("%sqhubctl-%d-*", pattern, os.Getpid()))
		left = append(left, found...)
	}
	return left
}

// confined is the sandbox of a service.
func confined() *process.Sandbox {
	return &process.Sandbox{Machine: machine(), Policy: sandbox.Policy{Limits: sandbox.Limits{Memory: 1 << 30, Processes: 256}}}
}

// each runs a test without a sandbox and in one.
func each(t *testing.T, f func(t *testing.T, sb *process.Sandbox)) {
	t.Helper()
	t.Run("open", func(t *testing.T) { f(t, nil) })
	t.Run("sandboxed", func(t *testing.T) { f(t, confined()) })
}

// scratch is the folder below which all executions of a test and of its parts get
// theirs.
func scratch(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "qhubctl-warm-test-"+strconv.Itoa(os.Getpid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func inScratch(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(scratch(t), rand.Text())
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestWarm(t *testing.T) {
	each(t, func(t *testing.T, sb *process.Sandbox) {
		for name, python := range map[string]func(testing.TB) process.Python{
			"our SDK": runnertest.SDKPython, "upstream SDK": runnertest.PublishedPython,
		} {
			for spares, label := range map[int]string{0: ", forked when needed", 2: ", spare"} {
				t.Run(name+label, func(t *testing.T) {
					runnertest.Exercise(t, func(t *testing.T) runner.Runner {
						return prepared(t, forkserver.Options{
							Python: complete(t, python(t)), Dir: runnertest.PythonProbe(), Environment: base(), Spares: spares,
							Sandbox: sb, Scratch: filepath.Dir(t.TempDir()),
						})
					})
				})
			}
		}
	})
}

// prepared is a runner whose zygote is ready.
func prepared(t testing.TB, o forkserver.Options) *forkserver.Runner {
	t.Helper()
	r := forkserver.NewRunner(o)
	if err := r.Program().Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state := r.Program().State(); !state.Warm {
		t.Fatalf("the service starts cold (%s), want a warm start", state.Reason)
	} else if o.Sandbox != nil && !state.Sandboxed {
		t.Fatal("the service is not confined")
	}
	return r
}

// complete puts the programs of a zygote beside the launcher.
func complete(t testing.TB, python process.Python) process.Python {
	t.Helper()
	err := fs.WalkDir(forkserver.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := forkserver.Files.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(filepath.Dir(python.Launcher), entry.Name()), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return python
}

func base() runner.Environment {
	env := runner.BaseEnvironment()
	env["PYTHONUNBUFFERED"] = "1"
	env["PYTHONDONTWRITEBYTECODE"] = "1"
	return env
}
