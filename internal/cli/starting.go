package cli

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

const (
	// spares is how many forks wait for the next requests. More would start
	// no sooner: a request takes one, and another is made meanwhile.
	spares = 2
	// keepIdle is how long a process that is forked is kept without requests.
	keepIdle = 30 * time.Minute
	// importAge is how old what a service has computed while it was imported
	// may be in an execution.
	importAge = time.Hour
)

// forkable is the service as a process that can be forked runs it, or why
// there cannot be one.
func (s *service) forkable() (python process.Python, whyNot string) {
	python, ok := s.program.(process.Python)
	switch {
	case !ok:
		return python, "the service is a program of its own, which starts fast by itself"
	case runtime.GOOS != "linux":
		return python, "warm starts need Linux"
	case s.workspace.Cold:
		return python, "the workspace says so"
	}
	return python, ""
}

// runner runs the executions of the service, each in a process of its own. The
// folders are placed anew for each. The first ones start cold until the
// returned runner, if it is a warm one, is prepared. They run in a sandbox
// if there is one, and their folders are below scratch. The process that is
// forked has its room in the pool, if there is one, and is replaced at maxAge,
// unless that is zero.
func (s *service) runner(
	log *slog.Logger, spares int, maxAge time.Duration, sb *process.Sandbox, scratch string, pool *forkserver.Pool,
) (runner.Runner, *forkserver.Program) {
	env := s.environment(runner.Dir{})
	python, whyNot := s.forkable()
	if whyNot != "" {
		return &process.Runner{Program: s.program, Dir: s.workspace.Dir, Environment: env, Sandbox: sb}, nil
	}
	r := forkserver.NewRunner(forkserver.Options{
		Python: python, Dir: s.workspace.Dir, Environment: env,
		Spares: spares, Idle: keepIdle, MaxAge: maxAge, Pool: pool, Sandbox: sb, Scratch: scratch, Logger: log,
	})
	program := r.Program()
	return r, program
}

// learnStart notes how the service turned out to start.
func (s *service) learnStart(program *forkserver.Program) workspace.Start {
	state := program.State()
	start := workspace.Start{Warm: state.Warm, Reason: s.masker.String(state.Reason), Import: state.Import}
	s.workspace.CacheStart(s.key, start)
	return start
}

// start tells how the service starts when it is served: by what is known, or
// by a try.
func (s *service) start(ctx context.Context, streams *term.Streams) (workspace.Start, error) {
	if _, reason := s.forkable(); reason != "" {
		return workspace.Start{Reason: reason}, nil
	}
	if known, ok := s.workspace.CachedStart(s.key); ok {
		return known, nil
	}
	_, program := s.runner(slog.New(slog.DiscardHandler), 0, 0, nil, "", nil)
	defer func() { _ = program.Close() }() // it never fails
	done := streams.Step("Importing the service ahead, as serve does")
	err := program.Prepare(ctx)
	done(err)
	if err != nil {
		return workspace.Start{}, err
	}
	return s.learnStart(program), nil
}

// startText says it in a line.
func startText(s workspace.Start) string {
	if s.Warm {
		return fmt.Sprintf("warm, as forks of a process that has imported it (in %s)", s.Import.Round(10*time.Millisecond))
	}
	return "cold, in a fresh process: " + s.Reason
}
