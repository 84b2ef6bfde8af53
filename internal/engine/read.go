package engine

import (
	"context"
	"errors"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Get reads an execution of a service. The id of another service's execution
// is not found.
func (e *Engine) Get(ctx context.Context, serviceID string, id execution.ID) (execution.Execution, error) {
	if t := e.task(id); t != nil {
		if found, known := t.current(serviceID); known {
			return found, ctx.Err()
		}
	}
	found, err := e.read(ctx, id)
	if err == nil && found.ServiceID != serviceID {
		return execution.Execution{}, store.ErrNotFound
	}
	return found, err
}

// read reads an execution that this engine does not have, or no longer.
func (e *Engine) read(ctx context.Context, id execution.ID) (execution.Execution, error) {
	if found, ok := e.ended.find(id); ok {
		return found, ctx.Err()
	}
	return e.store.Get(ctx, id)
}

// Wait reads an execution once it has ended, or as it is when ctx ends.
func (e *Engine) Wait(ctx context.Context, serviceID string, id execution.ID) (execution.Execution, error) {
	watch := e.started.WatchExecution(id)
	defer watch.Stop()
	// Changes by other engines are not told.
	ticker := time.NewTicker(e.config.Poll)
	defer ticker.Stop()
	var last execution.Execution
	for look := false; ; {
		done := e.done(serviceID, id) // before it is read, so that no end is missed
		if look || done == nil && !e.isQueued(serviceID, id) {
			found, err := e.Get(ctx, serviceID, id)
			switch {
			case err == nil:
				last = found
			case ctx.Err() != nil && errors.Is(err, ctx.Err()):
				// The caller no longer waits, and still wants to know.
				if last.ID != "" {
					return last, nil
				}
				return e.Get(context.WithoutCancel(ctx), serviceID, id)
			default:
				return found, err
			}
		}
		if last.Status.Final() {
			return last, nil
		}
		look = false
		select {
		case <-watch.C:
		case <-done:
			look = true
		case <-ticker.C:
			look = true
		case <-ctx.Done():
			return e.Get(context.WithoutCancel(ctx), serviceID, id)
		}
	}
}

// isQueued reports whether an execution was accepted here and has not had its
// turn, as far as is known: who waits for its end need not ask the store.
func (e *Engine) isQueued(serviceID string, id execution.ID) bool {
	found, ok := e.queued.find(id)
	return ok && found.ServiceID == serviceID
}

// done is closed when an execution of a service that this engine has has ended;
// nil if it has none.
func (e *Engine) done(serviceID string, id execution.ID) <-chan struct{} {
	if t := e.task(id); t != nil && t.claimed.Execution.ServiceID == serviceID {
		return t.done
	}
	return nil
}

// List gives a page of the executions of a service, the newest first.
func (e *Engine) List(ctx context.Context, q store.ListQuery) (store.Page, error) {
	return e.store.List(ctx, q)
}

// ReadLog gives up to limit lines of a log after a sequence number.
func (e *Engine) ReadLog(ctx context.Context, id execution.ID, after int64, limit int) ([]store.LogLine, error) {
	return e.store.ReadLog(ctx, id, after, limit)
}

// Watch tells when an execution or its log may have changed, by this engine.
func (e *Engine) Watch(id execution.ID) *store.Watch { return e.store.WatchExecution(id) }

// QueueStats tells how much waits and runs.
func (e *Engine) QueueStats(ctx context.Context) (store.QueueStats, error) {
	return e.store.QueueStats(ctx)
}

// Cancel cancels an execution: one that waits never starts, one that runs is
// asked to end and ended after its grace time, one that has ended stays as it
// is. It does not wait for the end.
func (e *Engine) Cancel(ctx context.Context, serviceID string, id execution.ID) (execution.Execution, error) {
	e.beginCancel(id)
	defer e.endCancel(id)
	found, err := e.Get(ctx, serviceID, id)
	if err != nil {
		return execution.Execution{}, err
	}
	var cancelled execution.Execution
	cancel := func() (_ execution.Execution, err error) {
		cancelled, err = e.store.Cancel(ctx, id)
		return cancelled, err
	}
	t := e.task(id)
	if t == nil {
		if _, err := cancel(); err != nil {
			return cancelled, err
		}
		e.notifyStarted(id)
		if t = e.task(id); t != nil { // it was claimed meanwhile
			_ = t.write(func() (execution.Execution, error) { return cancelled, nil })
		}
	} else if err := t.write(cancel); err != nil {
		return cancelled, err
	}
	e.cancelledWaiting(found.Status, cancelled, t != nil)
	if t != nil && !cancelled.Status.Final() {
		t.stop(cancelledByCaller)
	}
	return cancelled, nil
}
