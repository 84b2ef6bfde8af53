package forkserver

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/descriptors"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// Options describe the service that is kept ready.
type Options struct {
	// Python is the way to start the service cold.
	Python process.Python
	// Dir is the working folder of the service.
	Dir string
	// Environment is the environment of the zygote, which all executions share.
	Environment runner.Environment
	// Spares is how many forks are kept ready. Zero means none: each is made
	// when it is needed.
	Spares int
	// Idle is how long a zygote is kept without executions. Zero: without limit.
	Idle time.Duration
	// MaxAge is how long a zygote is forked, and so the age of values that the
	// service computes during the import. Then another takes its place. Zero:
	// without limit.
	MaxAge time.Duration
	// Pool bounds the memory of this zygote together with those of other services;
	// nil: no bound.
	Pool *Pool
	// Finalize runs the whole shutdown of the interpreter of each execution, as a
	// cold one does, instead of its visible parts. It costs 10 to 60 ms.
	Finalize bool
	// Sandbox is that of the zygote, and therefore of its forks; nil: none. Forks
	// are kept apart as far as the machine allows. An execution that cannot be
	// forked there starts cold in a separate sandbox.
	Sandbox *process.Sandbox
	// Scratch is the folder below which executions get theirs. It must exist. In a
	// sandbox, executions with folders elsewhere start cold.
	Scratch string
	// Logger gets zygotes that end and cold starts, at debug level.
	Logger *slog.Logger
}

// maxFailures is how often in a row a zygote may die before its service always
// starts cold.
const maxFailures = 3

// errForkFailed is the error of a fork that did not reach its first step.
var errForkFailed = errors.New("a fork of the zygote, the process that has imported the service, did not start")

// A State is how a service would start now.
type State struct {
	// Warm: a zygote is ready.
	Warm bool
	// Sandboxed: it runs in a sandbox, and its forks with it.
	Sandboxed bool
	// Reason says why not; empty while a zygote is being made.
	Reason string
	// Pid of the zygote, if there is one.
	Pid int
	// Import is how long importing the service took.
	Import time.Duration
}

// Program starts a service warm where that is possible, and cold otherwise. It
// implements [process.Program] and is safe for concurrent use.
type Program struct {
	options Options
	files   func() []string
	// ctx ends when the program is closed, and with it the making of a zygote.
	ctx    context.Context //nolint:containedctx // it lives as long as the program
	cancel context.CancelFunc

	mu       sync.Mutex
	current  *zygote
	making   chan struct{} // closed when the one being made is ready, or has failed
	cold     string        // why there will be no zygote
	failures int
	closed   bool
	active   int // executions
	stats    Stats
	idle     *time.Timer
	age      *time.Timer // of current
	born     time.Time   // current, by the wall clock
	retired  sync.WaitGroup
}

// New is a program without a zygote yet: Prepare makes one, and so does the
// first Start.
func New(options Options) *Program {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	// The place of an interpreter does not change while a zygote is kept.
	files := sync.OnceValue(options.Python.Files)
	return &Program{options: options, files: files, ctx: ctx, cancel: cancel, stats: Stats{Cold: map[Cause]int64{}}}
}

// Prepare makes a zygote ahead and returns when it is ready, or when it is known that
// there will be none: State reports it. A zygote that never becomes ready is followed by
// another, until there were too many.
func (p *Program) Prepare(ctx context.Context) error {
	for again := true; again; {
		p.mu.Lock()
		making, failures := p.make(), p.failures
		p.mu.Unlock()
		select {
		case <-making:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		p.mu.Lock()
		again = p.failures > failures && p.current == nil && p.cold == "" && !p.closed
		p.mu.Unlock()
	}
	return nil
}

// State reports how the service would start now.
func (p *Program) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return State{Reason: p.cold}
	}
	return State{Warm: true, Sandboxed: p.current.sb != nil, Pid: p.current.pid, Import: p.current.imported}
}

// Files implements [process.Program].
func (p *Program) Files() []string { return p.files() }

// Start implements [process.Program]. A description is made cold: it is needed once, and
// a zygote cannot give it.
func (p *Program) Start(c process.Command, describe bool) (process.Execution, error) {
	if describe {
		return p.options.Python.Start(c, describe)
	}
	z, cause, reason := p.zygote()
	if z != nil {
		e, err := z.execution(p, c)
		if err == nil {
			return e, nil
		}
		cause, reason = Refused, err.Error()
		p.release()
		p.refused(z, err)
	}
	p.startsCold(cause, reason)
	return p.options.Python.Start(c, describe)
}

// zygote returns the one that is ready, in use until release. It is nil if there is none,
// with the reason; a temporary reason is over at a later call.
func (p *Program) zygote() (z *zygote, cause Cause, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.current == nil && p.cold != "":
		return nil, Unforkable, p.cold
	case p.current == nil:
		p.make()
		return nil, Preparing, "the zygote is not ready"
	case p.overslept():
		p.retire()
		p.make()
		return nil, Preparing, "the zygote has reached its age"
	}
	p.active++
	p.stopIdle()
	p.options.Pool.use(p.current)
	return p.current, "", ""
}

// refused gives up a zygote whose forks do not start.
func (p *Program) refused(z *zygote, err error) {
	if !errors.Is(err, errForkFailed) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == z {
		p.failed(err.Error())
		p.retire()
	}
}

// release is called when an execution of a zygote has ended.
func (p *Program) release() {
	p.mu.Lock()
	p.active--
	p.awaitIdle()
	p.mu.Unlock()
	p.options.Pool.fit() // it may be the one to end
}

// awaitIdle ends the zygote when it has been idle for too long. The caller holds
// p.mu.
func (p *Program) awaitIdle() {
	if p.active == 0 && p.options.Idle > 0 && p.current != nil {
		p.stopIdle()
		current := p.current
		p.idle = time.AfterFunc(p.options.Idle, func() { p.endIdle(current) })
	}
}

func (p *Program) stopIdle() {
	if p.idle != nil {
		p.idle.Stop()
	}
}

func (p *Program) endIdle(z *zygote) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active == 0 && p.current == z {
		p.options.Logger.Debug("ending an idle zygote", "dir", p.options.Dir)
		p.count(func(s *Stats) { s.Idle++ })
		p.retire()
	}
}

// evict ends a zygote to free its memory, unless it is in use.
func (p *Program) evict(z *zygote) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active == 0 && p.current == z {
		p.options.Logger.Debug("ending a zygote for its room", "dir", p.options.Dir, "bytes", z.memory)
		p.count(func(s *Stats) { s.Evicted++ })
		p.retire()
	}
}

// make begins to make a zygote unless there is one, one is being made, or there cannot
// be one. The caller holds p.mu.
func (p *Program) make() <-chan struct{} {
	if p.making != nil {
		return p.making
	}
	making := make(chan struct{})
	if p.current != nil || p.cold != "" || p.closed {
		close(making)
		return making
	}
	p.start(making)
	return making
}

// start begins to make a zygote and closes making when it is ready, or has failed. The
// caller holds p.mu.
func (p *Program) start(making chan struct{}) {
	p.making = making
	p.retired.Go(func() {
		defer close(making)
		z, err := startZygote(p.ctx, p.options)
		p.made(z, err)
		p.options.Pool.fit()
	})
}

func (p *Program) made(z *zygote, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.making = nil
	p.retire() // the former one, which has reached its age
	var cold *coldError
	switch {
	case errors.As(err, &cold):
		p.cold = cold.reason
	case descriptors.Exhausted(err): // not a fault of the service
	case err != nil:
		p.failed(err.Error())
	default:
		p.current = z
		p.limitAge()
		p.count(func(s *Stats) { s.Zygotes++ })
		p.options.Pool.join(p, z)
		p.awaitIdle()
		p.retired.Go(func() { p.watch(z) })
		if p.closed {
			p.retire()
		}
		return
	}
	p.options.Logger.Debug("no zygote", "dir", p.options.Dir, "reason", err)
}

// failed counts a failure. The caller holds p.mu.
func (p *Program) failed(reason string) {
	p.count(func(s *Stats) { s.Failed++ })
	if p.failures++; p.failures >= maxFailures {
		p.cold = reason
	}
}

// watch waits for the end of a zygote, and gives up on zygotes that keep dying.
func (p *Program) watch(z *zygote) {
	<-z.gone
	z.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == z {
		p.current = nil
		p.options.Pool.leave(z)
		p.options.Logger.Debug("a zygote died", "dir", p.options.Dir)
		p.failed("the zygote, the process that is forked for each execution, keeps dying")
	}
}

// succeeded is called when a fork has ended without being killed.
func (p *Program) succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = 0
}

// retire ends the zygote once its executions have ended. The caller holds p.mu.
func (p *Program) retire() {
	p.stopIdle()
	p.stopAge()
	if p.current != nil {
		p.options.Pool.leave(p.current)
		p.current.retire()
		p.current = nil
	}
}

// Close ends the zygote and waits for its end: at once if none of its executions run,
// else with the last of them.
func (p *Program) Close() error {
	p.cancel()
	p.mu.Lock()
	p.closed = true
	p.retire()
	p.mu.Unlock()
	p.retired.Wait()
	p.options.Logger.Debug("executions were started", "dir", p.options.Dir, "how", p.Stats())
	return nil
}
