package engine

import (
	"context"
	"errors"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// An admission is the write that makes an execution RUNNING. It goes on while the process
// is prepared, and nothing of the service runs before it has succeeded: an execution that
// another engine has taken over must not run twice.
type admission struct {
	done chan struct{}
	err  error
}

// admit begins the write for an execution with these pins of stored secrets.
func (t *task) admit(ctx context.Context, pins map[string]int64) *admission {
	a := &admission{done: make(chan struct{})}
	go func() {
		defer close(a.done)
		defer recoverTo(&a.err)
		a.err = t.write(func() (execution.Execution, error) { return t.engine.store.Start(ctx, t.id, t.engine.owner) })
		if a.err == nil && len(pins) > 0 && t.revision.Resolvers.Stored != nil {
			t.revision.Resolvers.Stored.Used(t.claimed.Execution, pins)
		}
	}()
	return a
}

// wait returns the error of the write. A nil admission has none.
func (a *admission) wait() error {
	if a == nil {
		return nil
	}
	<-a.done
	return a.err
}

// panicError is a panic on the way. Its text does not have the value.
type panicError struct{ cause any }

func (e *panicError) Error() string { return "a panic" }

// recoverTo turns a panic into an error. It must be deferred itself.
func recoverTo(err *error) { //nolint:gocritic // it sets a result
	if cause := recover(); cause != nil { //nolint:revive // see above
		*err = &panicError{cause}
	}
}

// notStarted handles an error of the write that makes an execution RUNNING.
func (t *task) notStarted(err error) {
	if panicked, ok := errors.AsType[*panicError](err); ok {
		t.failOnPanic(panicked.cause)
		return
	}
	if errors.Is(err, store.ErrLeaseLost) || errors.Is(err, store.ErrNotFound) {
		return // it was cancelled, or another engine has it
	}
	t.engine.log.Error("cannot start an execution; it waits again", "execution", t.id, "error", err)
	t.pause()
	t.release()
}
