package engine

import (
	"context"
	"errors"
	"strings"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// Resolvers provide the secrets and data pools that a request leaves out. Nil
// resolvers provide nothing.
type Resolvers struct {
	Secrets   SecretResolver
	DataPools DataPoolResolver
	// Stored has secrets that are kept in versions. They take precedence over Secrets.
	Stored StoredSecrets
	// Pools mounts the data pools that requests name; DataPools is not asked then.
	Pools PoolMounter
	// Token makes the token by which an execution calls the server that runs it. The
	// service finds it in the variable [signature.ExecutionToken]. The engine owns the
	// value: it wipes it, and masks it as a declared secret. Nil: there is none.
	Token func(ctx context.Context, e execution.Execution) (plaintext.Bytes, error)
	// Environment has the secrets that an execution finds in its environment. Those of
	// variables that belong to a declared secret are left out. The engine owns the
	// values: it wipes them, and masks them as declared secrets. Nil: there are none.
	Environment func(ctx context.Context) ([]plaintext.Named, error)
	// Record returns the context of the write that makes an execution RUNNING, so that the
	// store records with it which of the server's secrets the execution gets. Nil: that is
	// not recorded.
	Record func(ctx context.Context, e execution.Execution, used []UsedSecret) context.Context
}

// A UsedSecret is a secret of the server that an execution gets.
type UsedSecret struct {
	// Name is that of a parameter, or of a variable.
	Name string
	// Owner and From are those of the [ResolvedSecret].
	Owner, From string
}

// A SecretResolver provides secrets. It is safe for concurrent use.
type SecretResolver interface {
	// Has reports whether there is a value for a parameter. It never fetches the
	// value: the engine calls it for every secret of a service with every request.
	Has(ctx context.Context, p signature.Parameter) (bool, error)
	// Resolve fetches the value for a parameter. The engine calls it when an
	// execution starts, so that a new value counts at once, and wipes the value.
	// Without a value ok is false. The caller of the execution sees the reason of a
	// [SourceError], and of no other error.
	Resolve(ctx context.Context, p signature.Parameter) (s ResolvedSecret, ok bool, err error)
	// Masked returns all values that no log may show, by the names of their
	// variables. They include values that no execution gets, such as those in a
	// file that a service could read. In results the engine masks only the values
	// of variables that the service declares. The resolver keeps the values.
	Masked(ctx context.Context) ([]plaintext.Named, error)
}

// A ResolvedSecret is a value, and a description of its source that is safe to
// print.
type ResolvedSecret struct {
	Value plaintext.Bytes
	From  string
	// Owner is the id of the account that the secret belongs to. Empty: that of the service.
	Owner string
}

// A SourceError says why a secret could not be fetched, as a sentence for the caller of
// the execution. It holds no part of the value.
type SourceError struct {
	Reason string
	// Err is for the log of the operator.
	Err error
}

func (e *SourceError) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Err.Error()
}

func (e *SourceError) Unwrap() error { return e.Err }

// A DataPoolResolver provides data pools. It is safe for concurrent use.
type DataPoolResolver interface {
	// Has reports whether there is a data pool for a parameter that a request leaves
	// out. It does not read the pool.
	Has(ctx context.Context, p signature.Parameter) (bool, error)
	// Resolve returns the folder of a data pool, or "" if there is none. The
	// reference is nil if the request has none. The caller sees the text of a
	// [PoolError], and of no other error.
	Resolve(ctx context.Context, p signature.Parameter, reference *signature.DataPoolReference) (dir string, err error)
}

// A PoolError says why executions cannot use a data pool, in words for the caller.
type PoolError struct{ Reason string }

func (e *PoolError) Error() string { return e.Reason }

// Has reports whether a request may leave the parameter out.
func (r Resolvers) Has(ctx context.Context, p signature.Parameter) (bool, error) {
	if p.Kind == signature.Secret && r.Stored != nil {
		offered, err := r.Stored.Offer(ctx)
		if _, ok := offered[p.Name]; ok || err != nil {
			return ok, err
		}
	}
	return r.hasUnversioned(ctx, p)
}

// hasUnversioned is Has without stored secrets.
func (r Resolvers) hasUnversioned(ctx context.Context, p signature.Parameter) (bool, error) {
	switch {
	case p.Kind == signature.Secret && r.Secrets != nil:
		return r.Secrets.Has(ctx, p)
	case p.Kind == signature.DataPool && r.DataPools != nil:
		return r.DataPools.Has(ctx, p)
	default:
		return false, nil
	}
}

// asker adapts Has to a function without an error result, and keeps the first
// error.
type asker struct {
	ctx       context.Context //nolint:containedctx // it lives as long as one call
	resolvers Resolvers
	offered   map[string]StoredVersion // by parameter
	err       error
}

// asker asks once which stored secrets there are.
func (r *Revision) asker(ctx context.Context) *asker {
	a := &asker{ctx: ctx, resolvers: r.Resolvers}
	if r.Resolvers.Stored != nil && len(r.Signature.Of(signature.Secret)) > 0 {
		a.offered, a.err = r.Resolvers.Stored.Offer(ctx)
	}
	return a
}

func (a *asker) has(p signature.Parameter) bool {
	if _, ok := a.offered[p.Name]; ok && p.Kind == signature.Secret {
		return true
	}
	has, err := a.resolvers.hasUnversioned(a.ctx, p)
	if a.err == nil {
		a.err = err
	}
	return has
}

func (r Resolvers) dataPool(ctx context.Context, p signature.Parameter, reference *signature.DataPoolReference) (dir string, err error) {
	if r.DataPools == nil {
		return "", nil
	}
	return r.DataPools.Resolve(ctx, p, reference)
}

// RequestSignature returns the signature for requests: every parameter that the
// server provides is optional, and the description of a secret says where a stored
// version is. It changes when the server's values do.
func (r *Revision) RequestSignature(ctx context.Context) (*signature.Signature, error) {
	a := r.asker(ctx)
	relaxed := r.Signature.WithOptional(a.has)
	for i := range relaxed.Parameters {
		p := &relaxed.Parameters[i]
		if offered, ok := a.offered[p.Name]; ok && p.Kind == signature.Secret && offered.From != nil {
			p.Description = strings.TrimSpace(p.Description + " " + offered.From())
		}
	}
	return relaxed, a.err
}

// accept validates a body, and asks whether its caller may use the data pools that it
// names.
func (r *revision) accept(ctx context.Context, body []byte) (*acceptedRequest, error) {
	a := r.asker(ctx)
	request, err := r.checkWith(ctx, a, body)
	if err != nil {
		return nil, err
	}
	if err := checkTags(request); err != nil {
		request.Clear()
		return nil, err
	}
	accepted := &acceptedRequest{Request: request}
	if err := r.pin(ctx, accepted, a.offered); err != nil {
		request.Clear()
		return nil, err
	}
	if r.Resolvers.Pools != nil {
		if err := r.admit(ctx, accepted); err != nil {
			request.Clear()
			return nil, err
		}
	}
	return accepted, nil
}

// check validates a body. The body may leave out every parameter that the server
// provides.
func (r *revision) check(ctx context.Context, body []byte) (*signature.Request, error) {
	return r.checkWith(ctx, r.asker(ctx), body)
}

func (r *revision) checkWith(ctx context.Context, a *asker, body []byte) (*signature.Request, error) {
	validator, err := r.validator()
	if err != nil {
		return nil, err
	}
	relaxed := validator.WithOptional(a.has)
	if a.err != nil {
		return nil, a.err
	}
	request, err := relaxed.Request(body)
	if err != nil {
		return nil, err
	}
	if r.Resolvers.Pools != nil {
		return request, nil
	}
	if err := r.acceptDataPools(ctx, request); err != nil {
		request.Clear()
		return nil, err
	}
	return request, nil
}

// acceptDataPools checks that executions can use the data pools of a request.
func (r *revision) acceptDataPools(ctx context.Context, request *signature.Request) error {
	var errs signature.Errors
	for _, p := range r.Signature.Of(signature.DataPool) {
		var reference *signature.DataPoolReference
		if given, ok := request.DataPools[p.Name]; ok {
			reference = &given
		}
		dir, err := r.Resolvers.dataPool(ctx, p, reference)
		if unusable, ok := errors.AsType[*PoolError](err); ok {
			errs = append(errs, signature.FieldError{Path: p.Name, Message: unusable.Reason})
			continue
		}
		if err != nil {
			return err
		}
		if dir == "" && reference != nil {
			errs = append(errs, signature.FieldError{Path: p.Name, Message: "this server has no such data pool"})
		}
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}
