package hub

import (
	"context"
	"io"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/httpapi"
	"github.com/qhubctl/qhubctl/internal/store"
)

// scoped is a version of a service, of which each caller sees the executions that it
// has started. Others do not exist for it: this is the one place where that is
// decided for the Service API.
type scoped struct {
	*engine.Service
	service, version string // the ids
	repeats          *repeats
}

var _ httpapi.Service = (*scoped)(nil)

// callerOf is a principal as the starter of executions. An application starts them for
// itself, an execution in the name of its tenant, and a person for its tenant.
func callerOf(p access.Principal) store.Caller {
	switch p.Kind {
	case access.Application:
		return store.Caller{Tenant: p.Tenant, Application: p.ID}
	case access.Execution:
		return store.Caller{Tenant: p.Tenant, Execution: execution.ID(p.ID)}
	default:
		return store.Caller{Tenant: p.Tenant, Person: p.ID}
	}
}

// shown is an execution as the platform shows it: the engine knows its version as its
// service.
func (s *scoped) shown(e execution.Execution) execution.Execution {
	if e.ServiceID == s.version {
		e.ServiceID, e.ServiceDefinitionID = s.service, s.version
	}
	return e
}

// own finds an execution of the caller.
func (s *scoped) own(ctx context.Context, e execution.Execution, err error) (execution.Execution, error) {
	if err == nil && !callerOf(access.From(ctx)).Has(e) {
		return execution.Execution{}, store.ErrNotFound
	}
	return s.shown(e), err
}

func (s *scoped) check(ctx context.Context, id execution.ID) error {
	e, err := s.Service.Get(ctx, id)
	_, err = s.own(ctx, e, err)
	return err
}

// Submit implements [httpapi.Service]. Idempotency keys of different callers are
// different.
func (s *scoped) Submit(ctx context.Context, given engine.Submission) (store.Accepted, error) {
	given.Caller = callerOf(access.From(ctx))
	c := given.Caller
	if c.Execution == "" {
		given.Caller.Execution = parentOf(ctx)
	}
	if given.IdempotencyKey != "" {
		given.IdempotencyKey = c.Tenant + " " + c.Application + " " + string(c.Execution) + " " + given.IdempotencyKey
	}
	if id, ok := s.repeats.find(ctx, s.version, given); ok {
		clear(given.Body)
		e, err := s.Get(ctx, id)
		made(ctx, id)
		return store.Accepted{Execution: e, Replayed: true}, err
	}
	if ctx.Value(storeInputKey{}) != nil {
		given.Kept = keepInput(given.Body)
	}
	accepted, err := s.Service.Submit(ctx, given)
	if err == nil {
		made(ctx, accepted.Execution.ID)
	}
	accepted.Execution = s.shown(accepted.Execution)
	return accepted, err
}

// Get implements [httpapi.Service].
func (s *scoped) Get(ctx context.Context, id execution.ID) (execution.Execution, error) {
	e, err := s.Service.Get(ctx, id)
	return s.own(ctx, e, err)
}

// Wait implements [httpapi.Service].
func (s *scoped) Wait(ctx context.Context, id execution.ID) (execution.Execution, error) {
	if err := s.check(context.WithoutCancel(ctx), id); err != nil {
		return execution.Execution{}, err
	}
	e, err := s.Service.Wait(ctx, id)
	return s.own(ctx, e, err)
}

// List implements [httpapi.Service].
func (s *scoped) List(ctx context.Context, q store.ListQuery) (store.Page, error) {
	caller := callerOf(access.From(ctx))
	q.Caller = &caller
	page, err := s.Service.List(ctx, q)
	for i := range page.Executions {
		page.Executions[i] = s.shown(page.Executions[i])
	}
	return page, err
}

// Cancel implements [httpapi.Service].
func (s *scoped) Cancel(ctx context.Context, id execution.ID) (execution.Execution, error) {
	if err := s.check(ctx, id); err != nil {
		return execution.Execution{}, err
	}
	e, err := s.Service.Cancel(ctx, id)
	return s.shown(e), err
}

// ReadLog implements [httpapi.Service].
func (s *scoped) ReadLog(ctx context.Context, id execution.ID, after int64, limit int) ([]store.LogLine, error) {
	if err := s.check(ctx, id); err != nil {
		return nil, err
	}
	return s.Service.ReadLog(ctx, id, after, limit)
}

// Watch implements [httpapi.Service].
func (s *scoped) Watch(ctx context.Context, id execution.ID) (*store.Watch, error) {
	if err := s.check(ctx, id); err != nil {
		return nil, err
	}
	return s.Service.Watch(ctx, id)
}

// Result implements [httpapi.Service].
func (s *scoped) Result(ctx context.Context, id execution.ID) (engine.Result, error) {
	if err := s.check(ctx, id); err != nil {
		return engine.Result{}, err
	}
	return s.Service.Result(ctx, id)
}

// OpenFile implements [httpapi.Service].
func (s *scoped) OpenFile(ctx context.Context, id execution.ID, name string) (io.ReadSeekCloser, engine.ResultFile, error) {
	if err := s.check(ctx, id); err != nil {
		return nil, engine.ResultFile{}, err
	}
	return s.Service.OpenFile(ctx, id, name)
}
