//go:build unix

package process_test

import (
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
)

func TestPython(t *testing.T) {
	for name, program := range map[string]func(testing.TB) process.Python{
		"our SDK": runnertest.SDKPython, "upstream SDK": runnertest.PublishedPython,
	} {
		t.Run(name, func(t *testing.T) {
			runnertest.Exercise(t, func(t *testing.T) runner.Runner {
				return &process.Runner{
					Program: program(t), Dir: runnertest.PythonProbe(), Environment: base(),
				}
			})
		})
	}
}

func TestBinary(t *testing.T) {
	probe := runnertest.BinaryProbe(t)
	runnertest.Exercise(t, func(t *testing.T) runner.Runner {
		return &process.Runner{Program: process.Binary{Path: probe}, Dir: t.TempDir(), Environment: base()}
	})
}

func base() runner.Environment {
	env := runner.BaseEnvironment()
	env["PYTHONUNBUFFERED"] = "1"
	env["PYTHONDONTWRITEBYTECODE"] = "1"
	return env
}
