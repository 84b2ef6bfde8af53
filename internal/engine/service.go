package engine

import (
	"context"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// A Service gives access to one service of an engine and its executions. Its methods
// do not find executions of other services. Make one with [Engine.Service]. It is
// safe for concurrent use.
type Service struct {
	engine *Engine
	id     string
}

// Service returns the service with an id. It accepts requests once a revision was
// activated.
func (e *Engine) Service(id string) *Service { return &Service{e, id} }

// own limits a read to the service: an execution of another service is not found.
// Every read by id passes through own or through [task.current], which checks the
// service too.
func (s *Service) own(e execution.Execution, err error) (execution.Execution, error) {
	if err == nil && e.ServiceID != s.id {
		return execution.Execution{}, store.ErrNotFound
	}
	return e, err
}

// check returns an error unless the execution belongs to this service. It reads the
// store only if this engine neither runs nor remembers the execution.
func (s *Service) check(ctx context.Context, id execution.ID) error {
	if s.engine.done(s.id, id) != nil || s.engine.isQueued(s.id, id) {
		return nil
	}
	_, err := s.own(s.engine.read(ctx, id))
	return err
}

// Runs reports whether this engine runs an execution, of any service.
func (e *Engine) Runs(id execution.ID) bool {
	t := e.task(id)
	if t == nil {
		return false
	}
	select {
	case <-t.done:
		return false
	default:
		return true
	}
}
