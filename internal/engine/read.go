package engine

import (
	"context"
	"errors"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Get reads an execution. The id of another service's execution is not found.
func (s *Service) Get(ctx context.Context, id execution.ID) (execution.Execution, error) {
	if t := s.engine.task(id); t != nil {
		if found, known := t.current(s.id); known {
			return found, ctx.Err()
		}
	}
	return s.own(s.engine.read(ctx, id))
}

// read reads an execution that this engine does not have, or no longer.
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
	// Changes by other engines are not told.
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
				// The caller no longer waits, and still wants to know.
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

// List returns a page of the executions, the newest first. It is always about
// this service; a service in the query does not count.
func (s *Service) List(ctx context.Context, q store.ListQuery) (store.Page, error) {
	q.ServiceID = s.id
	return s.engine.store.List(ctx, q)
}

// ReadLog returns up to limit lines of a log after a sequence number.
func (s *Service) ReadLog(ctx context.Context, id execution.ID, after int64, limit int) ([]store.LogLine, error) {
	if err := s.check(ctx, id); err != nil {
		return nil, err
	}
	return s.engine.store.ReadLog(ctx, id, after, limit)
}

// Watch tells when an execution or its log may have changed, by this engine.
func (s *Service) Watch(ctx context.Context, id execution.ID) (*store.Watch, error) {
	if err := s.check(ctx, id); err != nil {
		return nil, err
	}
	return s.engine.store.WatchExecution(id), nil
}

// QueueStats tells how much waits and runs.
func (e *Engine) QueueStats(ctx context.Context) (store.QueueStats, error) {
	return e.store.QueueStats(ctx)
}

// Cancel cancels an execution: one that waits never starts, one that runs is
// asked to end and ended after its grace time, one that has ended stays
// unchanged. It does not wait for the end.
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
