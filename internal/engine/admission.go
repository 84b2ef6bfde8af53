package engine

import (
	"context"
	"errors"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// admit begins the write that makes an execution with these pins of stored secrets RUNNING.
// It goes on while the process is prepared, and nothing of the service runs before it has
// succeeded: an execution that another engine has taken over must not run twice.
func (t *task) admit(ctx context.Context, pins map[string]int64) *pending[struct{}] {
	return begin(func() (none struct{}, err error) {
		err = t.write(func() (execution.Execution, error) { return t.engine.store.Start(ctx, t.id, t.engine.owner) })
		if err == nil && len(pins) > 0 && t.revision.Resolvers.Stored != nil {
			t.revision.Resolvers.Stored.Used(t.claimed.Execution, pins)
		}
		return none, err
	})
}

// admitted waits for the write. There is no error before it has begun.
func (t *task) admitted() error {
	_, err := t.admission.wait()
	return err
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
