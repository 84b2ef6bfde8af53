//go:build linux

package forkserver_test

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestHostile has forks make the attacks that processes of cold starts make.
func TestHostile(t *testing.T) {
	for name, sdk := range map[string]func(testing.TB) process.Python{
		"our SDK": runnertest.SDKPython, "upstream SDK": runnertest.PublishedPython,
	} {
		t.Run(name, func(t *testing.T) {
			if name != "our SDK" {
				testenv.NeedEverything(t)
			}
			python := complete(t, sdk(t))
			attacked(t, runnertest.Attack, python, filepath.Dir(filepath.Dir(python.Interpreter)), nil)
		})
	}
}

// attacked has the probe attack, in one of the ways, with an environment and further
// variables.
func attacked(t *testing.T, by func(*testing.T, runnertest.Target), python process.Python, environment string, variables map[string]string) {
	t.Helper()
	env := base()
	maps.Copy(env, variables)
	workspace, data := t.TempDir(), t.TempDir()
	if err := os.CopyFS(workspace, os.DirFS(runnertest.PythonProbe())); err != nil {
		t.Fatal(err)
	}
	hidden := []string{data, filepath.Join(data, "master.key"), filepath.Join(data, "executions.db"), filepath.Join(workspace, ".env")}
	for _, file := range hidden[1:] {
		if err := os.WriteFile(file, []byte("secret"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sb := confined()
	sb.Policy.Hidden, sb.Policy.Readable = []string{data}, []string{environment}
	by(t, runnertest.Target{
		Machine: sb.Machine, Hidden: hidden, Locked: []string{workspace, environment},
		Open: func(t *testing.T, network sandbox.Network) runner.Runner {
			sb := &process.Sandbox{Machine: sb.Machine, Policy: sb.Policy}
			sb.Policy.Network = network
			return prepared(t, forkserver.Options{
				Python: python, Dir: workspace, Environment: env, Spares: 1, Sandbox: sb, Scratch: filepath.Dir(t.TempDir()),
			})
		},
	})
}
