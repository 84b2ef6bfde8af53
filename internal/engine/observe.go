package engine

import (
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// An Observer is told what becomes of executions by one engine. Its methods
// may be called by many goroutines at once, in the middle of the work, and have
// to return at once. They get nothing by which an execution could be told.
type Observer interface {
	// Accepted is told of each request that is durable, once if it is repeated.
	Accepted()
	// Refused is told of each request that is not, with the error of Submit.
	Refused(err error)
	// Started is told of each execution that is RUNNING, with the time since it
	// was accepted.
	Started(waited time.Duration)
	// Ended is told of each end that this engine has written, with the time
	// since the start: zero if there was none, or it is not known.
	Ended(as execution.Status, ran time.Duration)
	// Withheld is told of each result file that is not passed on because a
	// secret is in it that cannot be masked.
	Withheld()
}

// noObserver is the observer of an engine without one.
type noObserver struct{}

func (noObserver) Accepted()                             {}
func (noObserver) Refused(error)                         {}
func (noObserver) Started(time.Duration)                 {}
func (noObserver) Ended(execution.Status, time.Duration) {}
func (noObserver) Withheld()                             {}

// reportChange tells of a change of an execution.
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

// cancelling are the calls of Cancel for one execution that overlap: of those
// that find it waiting, one has ended it, and the store does not tell which.
type cancelling struct {
	calls    int
	reported bool
}

// beginCancel is to be called before the execution is looked at, and endCancel
// when the call is over.
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

// cancelledWaiting tells of an execution that waited when a call of Cancel
// looked at it, if that has ended it and nobody has told. What works on an
// execution tells by itself.
func (e *Engine) cancelledWaiting(before execution.Status, now execution.Execution, worked bool) {
	if before != execution.Pending || now.Status != execution.Cancelled || !now.StartedAt.IsZero() {
		return
	}
	e.mu.Lock()
	c := e.cancels[now.ID]
	reported := c.reported || worked
	c.reported = true
	e.mu.Unlock()
	if !reported {
		e.reportChange(before, now)
	}
}
