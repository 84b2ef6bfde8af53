package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/panics"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/store"
)

// retryAfter is how long a worker waits before it repeats a write that the store
// has refused, for example while the disk is full.
const retryAfter = time.Second

// reason says why an execution is stopped.
type reason int

const (
	notStopped reason = iota
	cancelledByCaller
	leaseLost   // another engine has taken this one for dead
	forShutdown // this engine is closing
	forItsLog   // the log has reached its limit
)

// task is one execution that this engine has claimed, from the claim to the end.
type task struct {
	engine *Engine
	// revision is nil until the registry has found it. acquired says that the task
	// uses its runner.
	revision *revision
	acquired bool
	id       execution.ID
	claimed  store.Claimed
	// ctx ends when the execution must stop.
	ctx    context.Context //nolint:containedctx // it lives as long as the execution
	cancel context.CancelFunc

	mu    sync.Mutex
	run   runner.Run // nil until the process exists
	why   reason
	state execution.Execution // the state in the store, as of the last write
	// writes counts store calls in flight. While it is non-zero, state may be
	// stale: the store reports a change to others before the call returns.
	writes int
	// reported says that the observer knows the end.
	reported bool

	// early is nil once it is taken.
	early *early
	// admission is nil until the execution is prepared.
	admission *pending[struct{}]

	// cleaned is closed when the folder of the execution is empty; nil while the
	// execution runs.
	cleaned <-chan struct{}

	// done is closed when the state can no longer change.
	done     chan struct{}
	doneOnce sync.Once
}

// current returns the state of the execution in the store, and whether it is
// known here. While an engine has an execution, no other process changes it.
func (t *task) current(serviceID string) (e execution.Execution, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state, t.writes == 0 && t.state.ServiceID == serviceID && t.why != leaseLost
}

// write changes the execution in the store, and records the new state.
func (t *task) write(change func() (execution.Execution, error)) error {
	t.mu.Lock()
	t.writes++
	t.mu.Unlock()
	e, err := change()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes--
	if err != nil {
		return err
	}
	// The results of a start and of a cancellation may arrive in either order.
	if !t.state.Status.Final() {
		e.CancelRequested = e.CancelRequested || t.state.CancelRequested && !e.Status.Final()
		before := t.state.Status
		t.state = e
		if !t.reported {
			t.engine.reportChange(before, e)
		}
	}
	if t.state.Status.Final() {
		t.markDone()
	}
	return nil
}

func (t *task) markDone() { t.doneOnce.Do(func() { close(t.done) }) }

// start begins the work on a claimed execution, for which the caller has taken
// a slot. An engine that is closing gives both back. Begun is nil unless the execution was
// accepted here.
func (e *Engine) start(c store.Claimed, begun *early) {
	t := &task{engine: e, early: begun, id: c.Execution.ID, claimed: c, state: c.Execution, done: make(chan struct{})}
	e.mu.Lock()
	h, known := e.services[c.Execution.ServiceID]
	begins := known && !e.closing
	if begins {
		if r := h.forExecution(e.config.Policy, c.Execution.ServiceRevision); r != nil {
			t.use(r)
		}
		e.running.Add(1)
		t.ctx, t.cancel = context.WithCancel(e.ctx)
		e.tasks[t.id] = t
	}
	e.mu.Unlock()
	e.notifyStarted(t.id)
	if !begins {
		begun.discard()
		t.release()
		e.returnSlots(1)
		return
	}
	go func() {
		t.do()
		t.cancel()
		t.early.discard()
		if last, known := t.current(t.claimed.Execution.ServiceID); known && last.Status.Final() {
			e.ended.add(last)
		}
		e.mu.Lock()
		delete(e.tasks, t.id)
		e.mu.Unlock()
		t.markDone()
		t.doneWithRevision()
		e.returnSlots(1)
		e.running.Done()
	}()
}

// notifyStarted wakes the callers that wait for an execution: it has left the
// queue.
func (e *Engine) notifyStarted(id execution.ID) {
	e.queued.forget(id)
	e.started.ExecutionChanged(id)
}

// release gives the claim back. If that fails, the lease expires.
func (t *task) release() {
	if err := t.engine.store.Release(t.engine.ctx, t.engine.owner, t.id); err != nil {
		t.engine.log.Warn("cannot give an execution back; its lease will end", "execution", t.id, "error", err)
	}
}

// stop asks the execution to end, once, for the first reason given.
func (t *task) stop(why reason) {
	t.mu.Lock()
	first := t.why == notStopped
	if first {
		t.why = why
	}
	run := t.run
	t.mu.Unlock()
	if !first {
		return
	}
	t.cancel()
	if run != nil {
		run.Stop()
	}
}

// kill ends the execution at once.
func (t *task) kill() {
	t.stop(forShutdown)
	t.mu.Lock()
	run := t.run
	t.mu.Unlock()
	if run != nil {
		run.Stop() // the second time
	}
}

// attach makes the run known to stop, which may have been called before.
func (t *task) attach(run runner.Run) {
	t.mu.Lock()
	t.run = run
	stopped := t.why != notStopped
	t.mu.Unlock()
	if stopped {
		run.Stop()
	}
}

func (t *task) reason() reason {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.why
}

// do brings the execution to its end.
func (t *task) do() {
	defer func() {
		if cause := recover(); cause != nil {
			t.failOnPanic(cause)
		}
	}()
	release, err := t.reserve()
	if err != nil {
		if t.engine.begin.Err() != nil {
			t.release()
		} else {
			t.finish(t.endedBy(outcome{status: execution.Failed, problem: execution.Internal()}))
		}
		return
	}
	defer release()
	if err := t.findRevision(); err != nil {
		t.withoutRevision(err)
		return
	}
	p, problem := t.prepare()
	if problem != nil {
		t.finish(outcome{status: execution.Failed, problem: problem})
		return
	}
	defer p.clear()
	if t.engine.begin.Err() != nil {
		t.release()
		return
	}
	p.started = release
	ctx := t.engine.ctx
	if record := t.revision.Resolvers.Record; record != nil && len(p.used) > 0 {
		ctx = record(ctx, t.claimed.Execution, p.used)
	}
	t.admission = t.admit(ctx, p.pins)
	if len(p.used) == 0 {
		// The write is short without an audit entry: to wake another processor for the
		// process would take as long.
		if err := t.admitted(); err != nil {
			t.notStarted(err)
			return
		}
	}
	end, run, err := t.perform(p)
	if err != nil {
		t.notStarted(err)
		return
	}
	if run != nil {
		t.cleaned = t.discard(run, p.maskers.Log)
	}
	t.finish(end)
}

// discard closes a run in the background. The channel is closed when the folder
// of the execution is empty.
func (t *task) discard(run runner.Run, masker *redact.Masker) <-chan struct{} {
	cleaned := make(chan struct{})
	go func() {
		defer close(cleaned)
		if err := run.Close(); err != nil {
			t.engine.log.Warn("cannot remove the folder of an execution", "execution", t.id, "error", masker.String(err.Error()))
		}
	}()
	return cleaned
}

// failOnPanic ends an execution as FAILED after a panic, which is a bug of this
// program. A panic must not end the server and all its executions, and its value
// must not be printed.
func (t *task) failOnPanic(cause any) {
	err := t.admitted()
	if _, panicked := errors.AsType[*panicError](err); err != nil && !panicked {
		t.notStarted(err)
		return
	}
	what, trace := panics.Describe(cause)
	t.engine.log.Error("a panic has ended an execution", "execution", t.id, "panic", what, "stack", trace)
	t.mu.Lock()
	run := t.run
	t.mu.Unlock()
	if run != nil && t.cleaned == nil {
		_ = run.Close() // the next start removes the rest
	}
	t.finish(outcome{status: execution.Failed, problem: execution.Internal()})
}

// pause waits for retryAfter, or until the engine starts to close.
func (t *task) pause() {
	select {
	case <-time.After(retryAfter):
	case <-t.engine.begin.Done():
	}
}

// perform runs the service and returns the outcome. The caller closes the run,
// which is nil if no process was started. An error is that of the admission.
func (t *task) perform(p *prepared) (outcome, runner.Run, error) {
	if t.reason() == cancelledByCaller {
		return outcome{status: execution.Cancelled}, nil, t.admitted()
	}
	logWriter := t.engine.openLogWriter(t.id, p.logMasker, maxLog(t.revision.Limits), func() { t.stop(forItsLog) })
	defer logWriter.close()
	logWriter.hideRoot(t.revision.Root)
	p.job.Admit = sync.OnceValue(func() error {
		err := t.admitted()
		p.makeMaskers()
		if err == nil {
			for _, notice := range p.notices {
				logWriter.notice(execution.Notice, notice)
			}
		}
		return err
	})
	stdout, stderr := logWriter.stream(execution.Info), logWriter.stream(execution.Warning)
	p.job.Stdout, p.job.Stderr = stdout, stderr
	run, err := t.startRun(p.job)
	if run != nil {
		t.attach(run)
	}
	if err := p.job.Admit(); err != nil {
		return outcome{}, nil, err
	}
	// Only now: a process starts while they are made. They read the secrets.
	if cause := p.awaitMaskers(); cause != nil {
		t.abandon(run)
		panic(cause) //nolint:forbidigo // it ends the execution
	}
	p.clearSecrets()
	p.handedOver()
	if err != nil {
		if t.reason() == notStopped {
			t.engine.log.Error("cannot start a service", "service", t.revision.service, "execution", t.id, "error", p.maskers.Log.String(err.Error()))
		}
		return t.endedBy(outcome{status: execution.Failed, problem: execution.StartFailed(
			"The process of the service could not be started. The operator finds the reason in the server's log.")}), nil, nil
	}
	outcome, err := run.Wait()
	stdout.close()
	stderr.close()
	if err != nil {
		t.engine.log.Error("cannot wait for a service", "service", t.revision.service, "execution", t.id, "error", err)
	}
	return t.collect(run, outcome, p, logWriter), run, nil
}

// abandon kills a run, which may be nil.
func (t *task) abandon(run runner.Run) {
	if run == nil {
		return
	}
	run.Stop()
	run.Stop()
	if _, err := run.Wait(); err != nil {
		t.engine.log.Error("cannot wait for a service", "service", t.revision.service, "execution", t.id, "error", err)
	}
}

// endedBy returns the outcome of an execution that was stopped, or otherwise if
// it was not.
func (t *task) endedBy(otherwise outcome) outcome {
	switch t.reason() {
	case cancelledByCaller:
		return outcome{status: execution.Cancelled}
	case forShutdown, leaseLost:
		return outcome{status: execution.Failed, problem: execution.Interrupted()}
	case forItsLog:
		return outcome{status: execution.Failed, problem: execution.LimitReached("bytes of log", maxLog(t.revision.Limits))}
	default:
		return otherwise
	}
}

// outcome is the part of an end that the store records.
type outcome struct {
	status  execution.Status
	problem *execution.Problem
	result  []byte
	// pools have the changes that count with this end; nil: there are none.
	pools PoolMounts
}

// finish writes the end, and retries until it succeeds: while this engine lives,
// no other engine can write it.
func (t *task) finish(end outcome) {
	c := store.FinishParams{
		ID: t.id, Owner: t.engine.owner, Status: end.status, Problem: end.problem, Result: end.result,
	}
	if end.pools != nil {
		c.With = end.pools.Changes()
	}
	for {
		err := t.write(func() (execution.Execution, error) {
			ended, err := t.engine.store.Finish(t.engine.ctx, c)
			if t.cleaned != nil {
				<-t.cleaned // a caller that learns of the end finds the folder empty
			}
			return ended, err
		})
		if err == nil {
			return
		}
		if c.With != nil {
			if conflict := end.pools.Conflict(err); conflict != nil {
				c.Status, c.Problem, c.With = execution.Failed, execution.DataPoolNotWritten(conflict.Reason), nil
				continue
			}
		}
		if errors.Is(err, store.ErrLeaseLost) || errors.Is(err, store.ErrNotFound) || errors.Is(err, execution.ErrTransition) {
			// Another engine has written the end, without this result.
			if err := t.engine.dataDir.removeResults(t.id); err != nil {
				t.engine.log.Warn("cannot remove results", "execution", t.id, "error", err)
			}
			return
		}
		t.engine.log.Error("cannot write the end of an execution; trying again", "execution", t.id, "error", err)
		if t.engine.begin.Err() != nil {
			return // the lease expires, and another engine ends it as interrupted
		}
		t.pause()
	}
}
