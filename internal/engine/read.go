package engine

import (
	"context"
	"errors"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Get reads an execution. It does not find an execution of another service.
func (s *Service) Get(ctx context.Context, id execution.ID) (execution.Execution, error) {
	if t := s.engine.task(id); t != nil {
		if found, known := t.current(s.id); known {
			return found, ctx.Err()
		}
	}
	return s.own(s.engine.read(ctx, id))
}

// read reads an execution for which this engine has no task.
func (e *Engine) read(ctx context.Context, id execution.ID) (execution.Execution, error) {
	if found, ok := e.ended.find(id); ok {
		return found, ctx.Err()
	}
	return e.store.Get(ctx, id)
}

// Wait returns an execution once it has ended, or its state when ctx ends.
func (s *Service) Wait(ctx context.Context, id execution.ID) (execution.Execution, error) {
	e := s.engine
	watch := e.started.WatchExecution(id)
	defer watch.Stop()
	// No signal reports the changes that other engines make.
	ticker := time.NewTicker(e.config.Poll)
	defer ticker.Stop()
	var last execution.Execution
	for look := false; ; {
		done := e.done(s.id, id) // before it is read, so that no end is missed
		if look || done == nil && !e.isQueued(s.id, id) {
			found, err := s.Get(ctx, id)
			switch {
			case err == nil:
				last = found
			case ctx.Err() != nil && errors.Is(err, ctx.Err()):
				// The wait is over; the caller still gets the state.
				if last.ID != "" {
					return last, nil
				}
				return s.Get(context.WithoutCancel(ctx), id)
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
			return s.Get(context.WithoutCancel(ctx), id)
		}
	}
}

// isQueued reports whether this engine has accepted an execution that, as far as
// it knows, still waits. Then Wait need not read the store.
func (e *Engine) isQueued(serviceID string, id execution.ID) bool {
	found, ok := e.queued.find(id)
	return ok && found.ServiceID == serviceID
}

// done returns the channel that is closed when an execution ends, or nil if this
// engine has no task for it.
func (e *Engine) done(serviceID string, id execution.ID) <-chan struct{} {
	if t := e.task(id); t != nil && t.claimed.Execution.ServiceID == serviceID {
		return t.done
	}
	return nil
}

// List returns a page of the executions of this service, the newest first. It
// ignores a service in the query.
func (s *Service) List(ctx context.Context, q store.ListQuery) (store.Page, error) {
	q.ServiceID = s.id
	return s.engine.store.List(ctx, q)
}

// ReadLog returns up to limit lines of a log that follow a sequence number.
func (s *Service) ReadLog(ctx context.Context, id execution.ID, after int64, limit int) ([]store.LogLine, error) {
	if err := s.check(ctx, id); err != nil {
		return nil, err
	}
	return s.engine.store.ReadLog(ctx, id, after, limit)
}

// Watch signals that this engine may have changed an execution or its log.
func (s *Service) Watch(ctx context.Context, id execution.ID) (*store.Watch, error) {
	if err := s.check(ctx, id); err != nil {
		return nil, err
	}
	return s.engine.store.WatchExecution(id), nil
}

// QueueStats counts the waiting and the running executions.
func (e *Engine) QueueStats(ctx context.Context) (store.QueueStats, error) {
	return e.store.QueueStats(ctx)
}

// Cancel cancels an execution and does not wait for its end. A waiting execution
// never starts. A running one is asked to end, and killed after its grace time. One
// that has ended stays unchanged.
func (s *Service) Cancel(ctx context.Context, id execution.ID) (execution.Execution, error) {
	e := s.engine
	e.beginCancel(id)
	defer e.endCancel(id)
	found, err := s.Get(ctx, id)
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
			_ = t.writeCancel(func() (execution.Execution, error) { return cancelled, nil })
		}
	} else if err := t.writeCancel(cancel); err != nil {
		return cancelled, err
	}
	e.cancelledWaiting(found.Status, cancelled, t != nil)
	if t != nil && !cancelled.Status.Final() {
		t.stop(cancelledByCaller)
	}
	return cancelled, nil
}
