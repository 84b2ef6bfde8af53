package process_test

import (
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

func caged(t *testing.T) *process.Cage {
	t.Helper()
	machine := sandbox.Detect(sandbox.Options{})
	t.Cleanup(machine.Close)
	return &process.Cage{Machine: machine, Policy: sandbox.Policy{Limits: sandbox.Limits{Memory: 1 << 30, Processes: 256}}}
}

func TestCagedPython(t *testing.T) {
	shut := caged(t)
	for name, program := range map[string]func(testing.TB) process.Python{
		"our kit": runnertest.KitPython, "published kit": runnertest.PublishedPython,
	} {
		t.Run(name, func(t *testing.T) {
			runnertest.Exercise(t, func(t *testing.T) runner.Runner {
				return &process.Runner{Program: program(t), Dir: runnertest.PythonProbe(), Environment: base(), Cage: shut}
			})
		})
	}
}

func TestCagedBinary(t *testing.T) {
	shut := caged(t)
	probe := runnertest.BinaryProbe(t)
	runnertest.Exercise(t, func(t *testing.T) runner.Runner {
		return &process.Runner{Program: process.Binary{Path: probe}, Dir: t.TempDir(), Environment: base(), Cage: shut}
	})
}
