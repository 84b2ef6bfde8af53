package engine

import (
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// An Observer counts the changes that one engine makes to executions. Many
// goroutines call its methods at once while they do other work, so the methods
// must return at once. No argument identifies an execution.
type Observer interface {
	// Accepted reports a request that has become durable. A repeated request is
	// reported once.
	Accepted()
	// Refused reports a request that the engine did not accept, with the error of
	// Submit.
	Refused(err error)
	// Started reports an execution that is RUNNING, with the time since the engine
	// accepted it.
	Started(waited time.Duration)
	// Ended reports an end that this engine has written, with the time since the
	// start. That time is zero if the execution never started or its start is
	// unknown.
	Ended(as execution.Status, ran time.Duration)
	// Withheld reports a result file that the engine withholds because it holds a
	// secret that cannot be masked.
	Withheld()
}

// noObserver is the observer of an engine without one.
type noObserver struct{}

func (noObserver) Accepted()                             {}
func (noObserver) Refused(error)                         {}
func (noObserver) Started(time.Duration)                 {}
func (noObserver) Ended(execution.Status, time.Duration) {}
func (noObserver) Withheld()                             {}

// reportChange reports a change of status to the observer.
func (e *Engine) reportChange(before execution.Status, now execution.Execution) {
	switch {
	case before == now.Status:
	case now.Status == execution.Running:
		e.config.Observer.Started(now.StartedAt.Sub(now.CreatedAt))
	case now.Status.Final():
		ran := time.Duration(0)
		if !now.StartedAt.IsZero() {
			ran = now.EndedAt.Sub(now.StartedAt)
		}
		e.config.Observer.Ended(now.Status, ran)
	}
}

// cancelling counts the overlapping calls of Cancel for one execution. Several may
// find it waiting, but only one of them ends it, and the store does not say which.
type cancelling struct {
	calls    int
	reported bool
}

// beginCancel registers a call of Cancel. Cancel calls it before it reads the
// execution, and endCancel before it returns.
func (e *Engine) beginCancel(id execution.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.cancels[id]
	if c == nil {
		c = &cancelling{}
		e.cancels[id] = c
	}
	c.calls++
}

func (e *Engine) endCancel(id execution.ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.cancels[id]
	if c.calls--; c.calls == 0 {
		delete(e.cancels, id)
	}
}

// writeCancel is write for a cancellation. The task does not report an end that another
// call of Cancel has reported, which has not found the task yet.
func (t *task) writeCancel(change func() (execution.Execution, error)) error {
	return t.write(func() (execution.Execution, error) {
		now, err := change()
		if err == nil && now.Status == execution.Cancelled && now.StartedAt.IsZero() && t.engine.claimReport(now.ID) {
			t.mu.Lock()
			t.reported = true
			t.mu.Unlock()
		}
		return now, err
	})
}

// claimReport leaves it to the caller to report that an execution was cancelled while it
// waited, and says whether another call has done so.
func (e *Engine) claimReport(id execution.ID) (reported bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.cancels[id]
	reported, c.reported = c.reported, true
	return reported
}

// cancelledWaiting reports the end of an execution that a call of Cancel found
// waiting and has ended, unless another call has reported it. worked says that
// this engine has a task for the execution: then the task reports the end.
func (e *Engine) cancelledWaiting(before execution.Status, now execution.Execution, worked bool) {
	if before != execution.Pending || now.Status != execution.Cancelled || !now.StartedAt.IsZero() {
		return
	}
	if !e.claimReport(now.ID) && !worked {
		e.reportChange(before, now)
	}
}
