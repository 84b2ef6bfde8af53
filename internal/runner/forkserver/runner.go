package forkserver

import (
	"maps"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// Runner runs every execution in a fork, or cold where there cannot be one.
type Runner struct {
	process.Runner
	program *Program
}

// NewRunner is a runner for the service of the options. Call Prepare on its Program to
// have the first execution start warm.
func NewRunner(o Options) *Runner {
	o.Environment = maps.Clone(o.Environment)
	program := New(o)
	return &Runner{process.Runner{Program: program, Dir: o.Dir, Environment: o.Environment, Sandbox: o.Sandbox}, program}
}

// Program returns the program of the service.
func (r *Runner) Program() *Program { return r.program }

// Close ends the zygote after its executions, and waits for that.
func (r *Runner) Close() error { return r.program.Close() }

var _ runner.Runner = (*Runner)(nil)
