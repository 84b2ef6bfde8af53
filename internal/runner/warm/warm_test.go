//go:build linux

package warm_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/runner/warm"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The thread that starts processes lives as long as the program.
		goleak.IgnoreAnyFunction("github.com/qhubctl/qhubctl/internal/runner/process.init.func1.1"))
}

func TestWarm(t *testing.T) {
	for name, python := range map[string]func(testing.TB) process.Python{
		"our kit": runnertest.KitPython, "published kit": runnertest.PublishedPython,
	} {
		for standby, label := range map[int]string{0: ", forked when needed", 2: ", standing by"} {
			t.Run(name+label, func(t *testing.T) {
				runnertest.Exercise(t, func(t *testing.T) runner.Runner {
					return prepared(t, warm.Options{
						Python: complete(t, python(t)), Dir: runnertest.PythonProbe(), Environment: base(), Standby: standby,
					})
				})
			})
		}
	}
}

// prepared is a runner whose template is ready.
func prepared(t testing.TB, o warm.Options) *warm.Runner {
	t.Helper()
	r := warm.NewRunner(o)
	if err := r.Program().Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state := r.Program().State(); !state.Warm {
		t.Fatalf("the service is not warm: %s", state.Reason)
	}
	return r
}

// complete places the programs of a template beside the launcher.
func complete(t testing.TB, python process.Python) process.Python {
	t.Helper()
	err := fs.WalkDir(warm.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := warm.Files.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(filepath.Dir(python.Launcher), entry.Name()), text, 0o600)
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
