package engine

import (
	"context"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// A Service is one service of an engine, and the executions of that service: to
// its methods those of other services do not exist. Make one with
// [Engine.Service]. It is safe for concurrent use.
type Service struct {
	engine *Engine
	id     string
}

// Service returns the service of an id. It has a revision once one was activated.
func (e *Engine) Service(id string) *Service { return &Service{e, id} }

// own is the scope of the service: an execution of another one is not found. All
// that is known of an execution by its id passes through here, or through
// [task.current], which looks at the service too.
func (s *Service) own(e execution.Execution, err error) (execution.Execution, error) {
	if err == nil && e.ServiceID != s.id {
		return execution.Execution{}, store.ErrNotFound
	}
	return e, err
}

// check returns an error unless the execution is one of this service. It asks the
// store only for an execution that this engine neither has nor remembers.
func (s *Service) check(ctx context.Context, id execution.ID) error {
	if s.engine.done(s.id, id) != nil || s.engine.isQueued(s.id, id) {
		return nil
	}
	_, err := s.own(s.engine.read(ctx, id))
	return err
}
