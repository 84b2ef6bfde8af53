package process_test

import (
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

func confined(t *testing.T) *process.Sandbox {
	t.Helper()
	machine := sandbox.Detect(sandbox.Options{})
	t.Cleanup(machine.Close)
	return &process.Sandbox{Machine: machine, Policy: sandbox.Policy{Limits: sandbox.Limits{Memory: 1 << 30, Processes: 256}}}
}

func TestSandboxedPython(t *testing.T) {
	sb := confined(t)
	for name, program := range map[string]func(testing.TB) process.Python{
		"our SDK": runnertest.SDKPython, "upstream SDK": runnertest.PublishedPython,
	} {
		t.Run(name, func(t *testing.T) {
			runnertest.Exercise(t, func(t *testing.T) runner.Runner {
				return &process.Runner{Program: program(t), Dir: runnertest.PythonProbe(), Environment: base(), Sandbox: sb}
			})
		})
	}
}

func TestSandboxedBinary(t *testing.T) {
	sb := confined(t)
	probe := runnertest.BinaryProbe(t)
	runnertest.Exercise(t, func(t *testing.T) runner.Runner {
		return &process.Runner{Program: process.Binary{Path: probe}, Dir: t.TempDir(), Environment: base(), Sandbox: sb}
	})
}
