package engine

import (
	"context"
	"errors"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// Resolvers provide what a request leaves out. Nil resolvers provide nothing.
type Resolvers struct {
	Secrets   SecretResolver
	DataPools DataPoolResolver
}

// A SecretResolver provides secrets. It is safe for concurrent use.
type SecretResolver interface {
	// Has reports whether there is a value for a parameter. It never fetches one:
	// it is asked for every secret of a service with every request.
	Has(ctx context.Context, p signature.Parameter) (bool, error)
	// Resolve fetches the value for a parameter, when an execution starts, so that a
	// new value counts at once. The engine owns the value, and wipes it. The value is
	// empty, and ok false, if there is none.
	Resolve(ctx context.Context, p signature.Parameter) (s ResolvedSecret, ok bool, err error)
	// Masked returns values that no log may show, given to an execution or not,
	// such as those in a file that a service may read, by the names of their
	// variables. Results are masked for those of variables that the service
	// declares. The values stay the resolver's.
	Masked(ctx context.Context) ([]plaintext.Named, error)
}

// A ResolvedSecret is a value, and where it is from in words fit to print.
type ResolvedSecret struct {
	Value plaintext.Bytes
	From  string
}

// A DataPoolResolver provides data pools. It is safe for concurrent use.
type DataPoolResolver interface {
	// Has reports whether there is a data pool for a parameter that a request leaves
	// out. It does not look into it.
	Has(ctx context.Context, p signature.Parameter) (bool, error)
	// Resolve returns the folder of a data pool, empty if there is none; the
	// reference is nil where the request has none. A [PoolError] is for the caller
	// to read.
	Resolve(ctx context.Context, p signature.Parameter, reference *signature.DataPoolReference) (dir string, err error)
}

// A PoolError says why executions cannot use a data pool, in words for the caller.
type PoolError struct{ Reason string }

func (e *PoolError) Error() string { return e.Reason }

// Has reports whether a request may leave the parameter out.
func (r Resolvers) Has(ctx context.Context, p signature.Parameter) (bool, error) {
	switch {
	case p.Kind == signature.Secret && r.Secrets != nil:
		return r.Secrets.Has(ctx, p)
	case p.Kind == signature.DataPool && r.DataPools != nil:
		return r.DataPools.Has(ctx, p)
	default:
		return false, nil
	}
}

// asker asks Has for a function that takes no error, and keeps the first one.
type asker struct {
	ctx       context.Context //nolint:containedctx // it lives as long as one call
	resolvers Resolvers
	err       error
}

func (a *asker) has(p signature.Parameter) bool {
	has, err := a.resolvers.Has(a.ctx, p)
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

// RequestSignature is what a request must bring: the signature, with all that
// the server provides optional. It changes when that does.
func (r *Revision) RequestSignature(ctx context.Context) (*signature.Signature, error) {
	a := &asker{ctx: ctx, resolvers: r.Resolvers}
	relaxed := r.Signature.WithOptional(a.has)
	return relaxed, a.err
}

// accept validates a body, in which all may be missing that the server
// provides.
func (r *revision) accept(ctx context.Context, body []byte) (*signature.Request, error) {
	validator, err := r.validator()
	if err != nil {
		return nil, err
	}
	a := &asker{ctx: ctx, resolvers: r.Resolvers}
	relaxed := validator.WithOptional(a.has)
	if a.err != nil {
		return nil, a.err
	}
	request, err := relaxed.Request(body)
	if err != nil {
		return nil, err
	}
	if err := r.acceptDataPools(ctx, request); err != nil {
		request.Clear()
		return nil, err
	}
	return request, nil
}

// acceptDataPools looks whether executions could use the data pools of a request.
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
