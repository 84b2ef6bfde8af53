package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// A PoolMounter gives each execution separate copies of the data pools that its request
// names, and writes changes back. It is safe for concurrent use.
type PoolMounter interface {
	// Admit checks that the caller of ctx may use the pool of a reference. The
	// permission is stored with the request, in place of the grant. The caller sees
	// the text of a [PoolError], and of no other error.
	Admit(ctx context.Context, reference signature.DataPoolReference) (permission string, err error)
	// Mount prepares the pools of an execution, by parameter. The caller sees the text
	// of a [PoolError], and of no other error.
	Mount(ctx context.Context, e execution.Execution, pools map[string]AdmittedPool) (PoolMounts, error)
}

// An AdmittedPool is a data pool with the permission that Admit returned.
type AdmittedPool struct{ ID, Permission string }

// PoolMounts are the data pools of one execution.
type PoolMounts interface {
	// Pools are the data pools by parameter.
	Pools(ctx context.Context) map[string]runner.Pool
	// Stage stores the files that a run that succeeded has changed, masked, and returns
	// notices for its log. The caller sees the text of a [PoolError], and of no other
	// error.
	Stage(ctx context.Context, run runner.Run, masker *redact.Masker) (notices []string, err error)
	// Changes are the staged changes, which the store makes with the end of the
	// execution, as [store.FinishParams].With; nil if there are none.
	Changes() any
	// Conflict says why the store has refused the changes; nil for an error of another
	// kind.
	Conflict(err error) *PoolError
	// Close ends the use of the pools.
	Close()
}

// An acceptedRequest is a request that was checked, with the permissions of its data
// pools, and the versions of stored secrets that it gets, by parameter.
type acceptedRequest struct {
	*signature.Request
	permissions map[string]string
	pins        map[string]int64
}

// admit asks for the permissions of the data pools of a request.
func (r *revision) admit(ctx context.Context, request *acceptedRequest) error {
	var errs signature.Errors
	for _, p := range r.Signature.Of(signature.DataPool) {
		reference, ok := request.DataPools[p.Name]
		if !ok {
			continue
		}
		permission, err := r.Resolvers.Pools.Admit(ctx, reference)
		if refused, ok := errors.AsType[*PoolError](err); ok {
			errs = append(errs, signature.FieldError{Path: p.Name, Message: refused.Reason})
			continue
		}
		if err != nil {
			return err
		}
		if request.permissions == nil {
			request.permissions = map[string]string{}
		}
		request.permissions[p.Name] = permission
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}

// mountPools prepares the data pools of a stored request.
func (t *task) mountPools(p *prepared, request storedRequest) *execution.Problem {
	admitted := map[string]AdmittedPool{}
	for _, parameter := range t.revision.Signature.Of(signature.DataPool) {
		stored, ok := request.DataPools[parameter.Name]
		if ok {
			admitted[parameter.Name] = AdmittedPool{stored.ID, stored.Permission}
		} else if parameter.Required {
			return execution.StartFailed(fmt.Sprintf("The data pool %s is not there any more.", parameter.Name))
		}
	}
	if len(admitted) == 0 {
		return nil
	}
	mounts, err := t.revision.Resolvers.Pools.Mount(t.ctx, t.claimed.Execution, admitted)
	if refused, ok := errors.AsType[*PoolError](err); ok {
		return execution.StartFailed(fmt.Sprintf("A data pool cannot be used: %s.", refused.Reason))
	}
	if err != nil {
		t.engine.log.Error("cannot mount data pools", "execution", t.id, "error", err)
		return execution.StartFailed("A data pool cannot be used. The operator finds the reason in the server's log.")
	}
	p.mounts, p.job.Pools = mounts, mounts.Pools(t.ctx)
	return nil
}

// stagePools stores the files that an execution that succeeded has changed in its data
// pools. The problem says why it has failed after all.
func (t *task) stagePools(run runner.Run, p *prepared, masker *redact.Masker, lw *logWriter) *execution.Problem {
	if p.mounts == nil || t.reason() == leaseLost {
		return nil
	}
	notices, err := p.mounts.Stage(t.engine.ctx, run, masker)
	for _, notice := range notices {
		lw.notice(execution.Warning, notice)
	}
	if refused, ok := errors.AsType[*PoolError](err); ok {
		return execution.DataPoolNotWritten(refused.Reason)
	}
	if err != nil {
		t.engine.log.Error("cannot write data pools back", "execution", t.id, "error", p.maskers.Log.String(err.Error()))
		return execution.DataPoolNotWritten("the operator finds the reason in the server's log")
	}
	return nil
}
