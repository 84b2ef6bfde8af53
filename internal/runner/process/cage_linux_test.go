package process_test

import (
	"sync"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/cage"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
)

var machine = sync.OnceValue(func() *cage.Machine { return cage.Detect(cage.Options{}) })

func caged() *process.Cage {
	return &process.Cage{Machine: machine(), Policy: cage.Policy{Limits: cage.Limits{Memory: 1 << 30, Processes: 256}}}
}

func TestCagedPython(t *testing.T) {
	for name, program := range map[string]func(testing.TB) process.Python{
		"our kit": runnertest.KitPython, "published kit": runnertest.PublishedPython,
	} {
		t.Run(name, func(t *testing.T) {
			runnertest.Exercise(t, func(t *testing.T) runner.Runner {
				return &process.Runner{Program: program(t), Dir: runnertest.PythonProbe(), Environment: base(), Cage: caged()}
			})
		})
	}
}

func TestCagedBinary(t *testing.T) {
	probe := runnertest.BinaryProbe(t)
	runnertest.Exercise(t, func(t *testing.T) runner.Runner {
		return &process.Runner{Program: process.Binary{Path: probe}, Dir: t.TempDir(), Environment: base(), Cage: caged()}
	})
}
