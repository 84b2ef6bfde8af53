package builder

import (
	"context"
	"log/slog"

	"github.com/qhubctl/qhubctl/internal/build"
	"github.com/qhubctl/qhubctl/internal/descriptors"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
)

// RunnerOptions say how the executions of a revision are started.
type RunnerOptions struct {
	// Scratch is the folder below which executions have theirs.
	Scratch string
	// Pool bounds the processes that are forked, of all services.
	Pool *forkserver.Pool
	// Counted wraps runners whose starts the pool does not count. Nil: none.
	Counted func(runner.Runner) runner.Runner
}

// spares is how many forks wait for the next requests.
const spares = 2

// Load makes the runner of a revision. A revision whose folder is not there, such as
// after a restore, is prepared again from its archive first. The folder stays at least
// until the runner is closed.
func (b *Builder) Load(ctx context.Context, r registry.Revision, o RunnerOptions) (runner.Runner, error) {
	release := b.hold(r.ID)
	loaded, err := b.load(ctx, r, o)
	if err != nil {
		release()
		return nil, err
	}
	return &heldRunner{loaded, release}, nil
}

// heldRunner is a runner that needs the folder of its revision.
type heldRunner struct {
	runner.Runner
	release func()
}

// Close implements [runner.Runner].
func (r *heldRunner) Close() error {
	defer r.release()
	return r.Runner.Close()
}

func (b *Builder) load(ctx context.Context, r registry.Revision, o RunnerOptions) (runner.Runner, error) {
	if !b.Ready(r.ID) {
		if _, err := b.Build(ctx, r, &discard{b.Log}); err != nil {
			return nil, err
		}
	}
	opened, err := b.open(r)
	if err != nil {
		return nil, err
	}
	sb := b.confinement(opened, r).Sandbox
	_, whyNot := opened.Forkable()
	if whyNot != "" || !descriptors.Warm() || sb.Confines() && b.Machine.RequireForks() != nil {
		var cold runner.Runner = opened.ColdRunner(sb)
		if o.Counted != nil {
			cold = o.Counted(cold)
		}
		return cold, nil
	}
	warm, program := opened.Runner(build.RunnerOptions{Log: b.Log, Spares: spares, Sandbox: sb, Scratch: o.Scratch, Pool: o.Pool})
	// It must not end with the execution that needs the runner first.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	loaded := &warmRunner{Runner: warm, cancel: cancel, prepared: make(chan struct{})}
	go func() {
		defer close(loaded.prepared)
		if err := program.Prepare(ctx); err != nil && ctx.Err() == nil {
			b.Log.Debug("a service starts cold", "revision", r.ID, "error", err)
		}
	}()
	return loaded, nil
}

// warmRunner is a runner whose service is being imported ahead.
type warmRunner struct {
	runner.Runner
	cancel   context.CancelFunc
	prepared chan struct{}
}

// Close implements [runner.Runner].
func (r *warmRunner) Close() error {
	r.cancel()
	<-r.prepared
	return r.Runner.Close()
}

// discard reports to the operator's log only.
type discard struct{ log *slog.Logger }

func (d *discard) Step(registry.Step)        {}
func (d *discard) Say(severity, line string) { d.log.Debug(line, "severity", severity) }
