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

// retryAfter is how long a worker waits before it tries again what the store
// refuses, such as while the disk is full.
const retryAfter = time.Second

// reason says why an execution is stopped.
type reason int

const (
	notStopped reason = iota
	cancelledByCaller
	leaseLost   // another engine has taken it for dead
	forShutdown // this engine ends
	forItsLog   // which has reached its limit
)

// work is one execution that this engine has claimed, from then to its end.
type work struct {
	engine   *Engine
	revision *revision
	id       execution.ID
	claimed  store.Claimed
	// ctx ends when the execution is to stop.
	ctx    context.Context //nolint:containedctx // it lives as long as the execution
	cancel context.CancelFunc

	mu    sync.Mutex
	run   runner.Run // nil until the process exists
	why   reason
	state execution.Execution // as it is in the store
	// writes are those under way, during which nobody knows here what is in
	// the store: it tells others of a change before it tells the writer.
	writes int

	// emptied is closed when nothing of the execution is in its folder any
	// more; nil while it runs.
	emptied <-chan struct{}

	// over is closed when the state does not change any more.
	over     chan struct{}
	overOnce sync.Once
}

// current is the execution as it is in the store, where that is known here:
// while an engine has an execution, nobody else changes it.
func (w *work) current(serviceID string) (e execution.Execution, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state, w.writes == 0 && w.state.ServiceID == serviceID && w.why != leaseLost
}

// write changes the execution in the store, and notes what it is then.
func (w *work) write(change func() (execution.Execution, error)) error {
	w.mu.Lock()
	w.writes++
	w.mu.Unlock()
	e, err := change()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes--
	if err != nil {
		return err
	}
	// A start and a cancellation are told in any order.
	if !w.state.Status.Final() {
		e.CancelRequested = e.CancelRequested || w.state.CancelRequested && !e.Status.Final()
		before := w.state.Status
		w.state = e
		w.engine.observe(before, e)
	}
	if w.state.Status.Final() {
		w.isOver()
	}
	return nil
}

func (w *work) isOver() { w.overOnce.Do(func() { close(w.over) }) }

// start begins the work on a claimed execution, for which the caller has taken
// a slot. An engine that ends gives it back.
func (e *Engine) start(c store.Claimed) {
	w := &work{engine: e, id: c.Execution.ID, claimed: c, state: c.Execution, over: make(chan struct{})}
	e.mu.Lock()
	r, known := e.services[c.Execution.ServiceID]
	begins := known && !e.closing
	if begins {
		w.revision = r
		r.users.Add(1)
		e.running.Add(1)
		w.ctx, w.cancel = context.WithCancel(e.ctx)
		e.works[w.id] = w
	}
	e.mu.Unlock()
	e.tellTurn(w.id)
	if !begins {
		w.release()
		e.returnSlots(1)
		return
	}
	go func() {
		w.do()
		w.cancel()
		if last, known := w.current(w.claimed.Execution.ServiceID); known && last.Status.Final() {
			e.ended.note(last)
		}
		e.mu.Lock()
		delete(e.works, w.id)
		e.mu.Unlock()
		w.isOver()
		r.users.Done()
		e.returnSlots(1)
		e.running.Done()
	}()
}

// tellTurn tells those who wait for an execution that it no longer just waits.
func (e *Engine) tellTurn(id execution.ID) {
	e.queued.forget(id)
	e.turns.ExecutionChanged(id)
}

// release gives the claim back. Should that fail, the lease ends by itself.
func (w *work) release() {
	if err := w.engine.store.Release(w.engine.ctx, w.engine.owner, w.id); err != nil {
		w.engine.log.Warn("cannot give an execution back; its lease will end", "execution", w.id, "error", err)
	}
}

// stop asks the execution to end, once, for the first reason given.
func (w *work) stop(why reason) {
	w.mu.Lock()
	first := w.why == notStopped
	if first {
		w.why = why
	}
	run := w.run
	w.mu.Unlock()
	if !first {
		return
	}
	w.cancel()
	if run != nil {
		run.Stop()
	}
}

// kill ends the execution at once.
func (w *work) kill() {
	w.stop(forShutdown)
	w.mu.Lock()
	run := w.run
	w.mu.Unlock()
	if run != nil {
		run.Stop() // the second time
	}
}

// attach makes the run known to stop, which may have been called before.
func (w *work) attach(run runner.Run) {
	w.mu.Lock()
	w.run = run
	stopped := w.why != notStopped
	w.mu.Unlock()
	if stopped {
		run.Stop()
	}
}

func (w *work) reason() reason {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.why
}

// do brings the execution to its end.
func (w *work) do() {
	defer func() {
		if cause := recover(); cause != nil {
			w.endByDefect(cause)
		}
	}()
	p, problem := w.prepare()
	if problem != nil {
		w.finish(ending{status: execution.Failed, problem: problem})
		return
	}
	defer p.clear()
	if w.engine.begin.Err() != nil {
		w.release()
		return
	}
	err := w.write(func() (execution.Execution, error) {
		return w.engine.store.Start(w.engine.ctx, w.id, w.engine.owner)
	})
	if err != nil {
		w.notStarted(err)
		return
	}
	end, run := w.perform(p)
	if run != nil {
		w.emptied = w.discard(run, p.masker)
	}
	w.finish(end)
}

// discard closes a run while something else is done. The channel is closed when
// nothing of the execution is in its folder any more.
func (w *work) discard(run runner.Run, masker *redact.Masker) <-chan struct{} {
	emptied := make(chan struct{})
	go func() {
		defer close(emptied)
		if err := run.Close(); err != nil {
			w.engine.log.Warn("cannot remove the folder of an execution", "execution", w.id, "error", masker.String(err.Error()))
		}
	}()
	return emptied
}

// endByDefect makes the end of an execution of a panic, which is a defect of
// ours: it must not end the server and all that runs there, nor print what it
// is about.
func (w *work) endByDefect(cause any) {
	what, trace := panics.Describe(cause)
	w.engine.log.Error("a defect has ended an execution", "execution", w.id, "panic", what, "stack", trace)
	w.mu.Lock()
	run := w.run
	w.mu.Unlock()
	if run != nil && w.emptied == nil {
		_ = run.Close() // what is left is removed at the next start
	}
	w.finish(ending{status: execution.Failed, problem: execution.Internal()})
}

// notStarted deals with an execution that could not be made RUNNING.
func (w *work) notStarted(err error) {
	if errors.Is(err, store.ErrLeaseLost) || errors.Is(err, store.ErrNotFound) {
		return // it was cancelled, or another engine has it
	}
	w.engine.log.Error("cannot start an execution; it waits again", "execution", w.id, "error", err)
	w.pause()
	w.release()
}

// pause waits a while, or until the engine ends.
func (w *work) pause() {
	select {
	case <-time.After(retryAfter):
	case <-w.engine.begin.Done():
	}
}

// perform runs the service and says how that ended. The run is to be closed,
// if there was one.
func (w *work) perform(p *prepared) (ending, runner.Run) {
	if w.reason() == cancelledByCaller {
		return ending{status: execution.Cancelled}, nil
	}
	journal := w.engine.openJournal(w.id, p.masker, w.revision.Limits.log(), func() { w.stop(forItsLog) })
	defer journal.close()
	for _, notice := range p.notices {
		journal.say(execution.Notice, notice)
	}
	stdout, stderr := journal.stream(execution.Info), journal.stream(execution.Warning)
	p.job.Stdout, p.job.Stderr = stdout, stderr
	run, err := w.revision.Runner.Start(w.ctx, p.job)
	p.clearSecrets()
	if err != nil {
		if w.reason() == notStopped {
			w.engine.log.Error("cannot start a service", "service", w.revision.ID, "execution", w.id, "error", p.masker.String(err.Error()))
		}
		return w.endedBy(ending{status: execution.Failed, problem: execution.StartFailed(
			"The process of the service could not be started. The operator finds the reason in the server's log.")}), nil
	}
	w.attach(run)
	outcome, err := run.Wait()
	stdout.close()
	stderr.close()
	if err != nil {
		w.engine.log.Error("cannot wait for a service", "service", w.revision.ID, "execution", w.id, "error", err)
	}
	return w.collect(run, outcome, p.masker, journal), run
}

// endedBy is the end of an execution that was stopped, if it was.
func (w *work) endedBy(otherwise ending) ending {
	switch w.reason() {
	case cancelledByCaller:
		return ending{status: execution.Cancelled}
	case forShutdown, leaseLost:
		return ending{status: execution.Failed, problem: execution.Interrupted()}
	case forItsLog:
		return ending{status: execution.Failed, problem: execution.LimitReached("bytes of log", w.revision.Limits.log())}
	default:
		return otherwise
	}
}

// ending is all that is noted of an end.
type ending struct {
	status  execution.Status
	problem *execution.Problem
	result  []byte
}

// finish writes the end, again and again if need be: as long as this engine
// lives, nobody else can.
func (w *work) finish(end ending) {
	c := store.Completion{
		ID: w.id, Owner: w.engine.owner, Status: end.status, Problem: end.problem, Result: end.result,
	}
	for {
		err := w.write(func() (execution.Execution, error) {
			ended, err := w.engine.store.Finish(w.engine.ctx, c)
			if w.emptied != nil {
				<-w.emptied // who learns of the end finds nothing of it
			}
			return ended, err
		})
		if err == nil {
			return
		}
		if errors.Is(err, store.ErrLeaseLost) || errors.Is(err, store.ErrNotFound) || errors.Is(err, execution.ErrTransition) {
			// Its end was written by others, without this result.
			if err := w.engine.folders.removeResults(w.id); err != nil {
				w.engine.log.Warn("cannot remove results", "execution", w.id, "error", err)
			}
			return
		}
		w.engine.log.Error("cannot write the end of an execution; trying again", "execution", w.id, "error", err)
		if w.engine.begin.Err() != nil {
			return // the lease will end, and others see the execution as interrupted
		}
		w.pause()
	}
}
