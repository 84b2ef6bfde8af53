package process_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/cage"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
)

// probeVariable names the probe that was built already.
const probeVariable = "QHUBCTL_TEST_PROBE"

func TestHostileBinary(t *testing.T) {
	probe := os.Getenv(probeVariable)
	if probe == "" {
		probe = runnertest.BinaryProbe(t)
	}
	attack(t, t.TempDir(), func(*testing.T) process.Program { return process.Binary{Path: probe} }, nil)
}

func TestHostilePython(t *testing.T) {
	for name, program := range map[string]func(testing.TB) process.Python{
		"our kit": runnertest.KitPython, "published kit": runnertest.PublishedPython,
	} {
		t.Run(name, func(t *testing.T) {
			workspace := t.TempDir()
			if err := os.CopyFS(workspace, os.DirFS(runnertest.PythonProbe())); err != nil {
				t.Fatal(err)
			}
			python := program(t)
			environment := filepath.Dir(filepath.Dir(python.Interpreter))
			attack(t, workspace, func(*testing.T) process.Program { return python }, []string{environment})
		})
	}
}

// attack lets the service in a workspace attack it, its environment, and the
// data of a platform beside them.
func attack(t *testing.T, workspace string, program func(*testing.T) process.Program, environment []string) {
	t.Helper()
	data := t.TempDir()
	hidden := []string{
		data, filepath.Join(data, "master.key"), filepath.Join(data, "executions.db"), filepath.Join(workspace, ".env"),
	}
	for _, file := range hidden[1:] {
		if err := os.WriteFile(file, []byte("secret"), 0o644); err != nil { //nolint:gosec // it must not be its mode that hides it
			t.Fatal(err)
		}
	}
	if err := os.Chmod(data, 0o755); err != nil { //nolint:gosec // as above
		t.Fatal(err)
	}
	machine := cage.Detect(cage.Options{})
	t.Cleanup(machine.Close)
	shut := &process.Cage{Machine: machine, Policy: cage.Policy{
		Hidden: []string{data}, Readable: environment, Limits: cage.Limits{Memory: 1 << 30, Processes: 256},
	}}
	runnertest.Attack(t, runnertest.Target{
		Machine: machine, Hidden: hidden, Locked: append([]string{workspace}, environment...),
		Open: func(t *testing.T) runner.Runner {
			return &process.Runner{Program: program(t), Dir: workspace, Environment: base(), Cage: shut}
		},
	})
}
