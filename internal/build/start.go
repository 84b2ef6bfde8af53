package build

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

// keepIdle is how long a zygote is kept without requests.
const keepIdle = 30 * time.Minute

// Forkable returns the Python program that a zygote of the service runs, or the reason
// why the service cannot have a zygote.
func (s *Service) Forkable() (python process.Python, whyNot string) {
	python, ok := s.Program.(process.Python)
	switch {
	case !ok:
		return python, "the service is a program that starts fast"
	case runtime.GOOS != "linux":
		return python, "warm starts need Linux"
	case s.Workspace.Cold:
		return python, "the workspace says so"
	}
	return python, ""
}

// RunnerOptions configure the runner of a service. The zero value suits a trial: without
// a sandbox, a pool and spares.
type RunnerOptions struct {
	Log *slog.Logger
	// Spares is how many spare forks wait for requests.
	Spares int
	// MaxAge is how old a zygote may be. Zero: any age.
	MaxAge  time.Duration
	Sandbox *process.Sandbox
	// Scratch is the parent of the folders of executions.
	Scratch string
	// Pool bounds the zygotes of all services.
	Pool *forkserver.Pool
}

// Runner makes the runner of the service. Each execution gets its own process and
// folders. For a service that can be forked, it also returns the program of the zygote:
// executions start cold until that is prepared.
func (s *Service) Runner(o RunnerOptions) (runner.Runner, *forkserver.Program) {
	python, whyNot := s.Forkable()
	if whyNot != "" {
		return s.ColdRunner(o.Sandbox), nil
	}
	r := forkserver.NewRunner(forkserver.Options{
		Python: python, Dir: s.Workspace.Dir, Environment: s.Variables(runner.Dir{}),
		Spares: o.Spares, Idle: keepIdle, MaxAge: o.MaxAge, Pool: o.Pool, Sandbox: o.Sandbox, Scratch: o.Scratch, Logger: o.Log,
	})
	program := r.Program()
	return r, program
}

// ColdRunner starts a fresh process for each execution.
func (s *Service) ColdRunner(sb *process.Sandbox) *process.Runner {
	return &process.Runner{Program: s.Program, Dir: s.Workspace.Dir, Environment: s.Variables(runner.Dir{}), Sandbox: sb}
}

// LearnStart records how the service starts, as the program has found out.
func (s *Service) LearnStart(program *forkserver.Program) workspace.Start {
	state := program.State()
	start := workspace.Start{Warm: state.Warm, Reason: s.Masker.String(state.Reason), Import: state.Import}
	s.Workspace.CacheStart(s.Key, start)
	return start
}

// Start returns how the service starts when it is served: from the cache, or by a trial.
func (s *Service) Start(ctx context.Context, progress workspace.Progress) (workspace.Start, error) {
	if _, reason := s.Forkable(); reason != "" {
		return workspace.Start{Reason: reason}, nil
	}
	if known, ok := s.Workspace.CachedStart(s.Key); ok {
		return known, nil
	}
	_, program := s.Runner(RunnerOptions{Log: slog.New(slog.DiscardHandler)})
	defer func() { _ = program.Close() }() // it never fails
	done := progress.Step("Importing the service ahead, as serve does")
	err := program.Prepare(ctx)
	done(err)
	if err != nil {
		return workspace.Start{}, err
	}
	return s.LearnStart(program), nil
}

// StartText describes a start in one line.
func StartText(s workspace.Start) string {
	if s.Warm {
		return fmt.Sprintf("warm, as forks of a process that has imported it (in %s)", s.Import.Round(10*time.Millisecond))
	}
	return "cold, in a fresh process: " + s.Reason
}
