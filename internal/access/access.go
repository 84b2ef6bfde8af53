// Package access defines callers and their rights. An authenticator turns a request
// into a principal. A handler only asks whether the principal has a right.
package access

import (
	"context"
	"errors"
	"slices"
)

// ErrUnauthenticated is the error of a request from an unknown caller.
var ErrUnauthenticated = errors.New("the caller has not shown a valid token")

// A Kind is the kind of a principal.
type Kind string

// These are the kinds of principals.
const (
	// Anonymous is any caller of a server that needs no token. It has proved no
	// identity.
	Anonymous Kind = "anonymous"
	// ServerToken is a caller that has shown the one token of a server.
	ServerToken Kind = "server-token"
)

// A Right is one kind of action.
type Right string

// These are the rights.
const (
	// Read allows a caller to read executions, their results and logs, and the
	// description of the service.
	Read Right = "read"
	// Execute allows a caller to start and cancel executions.
	Execute Right = "execute"
)

// A Principal is a caller. The zero value is no caller and may do nothing.
type Principal struct {
	Kind Kind
	// ID distinguishes principals of one kind. It is empty if there is only one.
	ID string
	// Rights are the rights of the principal.
	Rights []Right
}

// Known reports whether the caller has proved its identity.
func (p Principal) Known() bool { return p.Kind != "" && p.Kind != Anonymous }

// May reports whether the principal has a right.
func (p Principal) May(right Right) bool { return slices.Contains(p.Rights, right) }

// everything holds the rights of callers of a server that has one service, and one
// token or none.
var everything = []Right{Read, Execute}

// Anyone returns the principal of each caller of a server that needs no token.
func Anyone() Principal { return Principal{Kind: Anonymous, Rights: everything} }

// TokenHolder returns the principal of a caller that has the one token of a server.
func TokenHolder() Principal { return Principal{Kind: ServerToken, Rights: everything} }

type contextKey struct{}

// With returns a context that carries the principal of a request.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns the principal of a request. If the context has none, it returns the
// zero value, which has no rights.
func From(ctx context.Context) Principal {
	p, _ := ctx.Value(contextKey{}).(Principal)
	return p
}
