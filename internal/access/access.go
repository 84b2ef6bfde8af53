// Package access says who a caller is and what it may do. Authenticators make
// principals of requests; handlers ask a principal for a right, and for nothing
// else.
package access

import (
	"context"
	"errors"
	"slices"
)

// ErrUnauthenticated is the error of a request whose caller is not known.
var ErrUnauthenticated = errors.New("the caller has not shown a valid token")

// A Kind says what a principal is.
type Kind string

// The kinds of principals.
const (
	// Anonymous is any caller of a server that asks for no token. It proves
	// nothing about itself.
	Anonymous Kind = "anonymous"
	// ServerToken is a caller that has shown the one token of a server.
	ServerToken Kind = "server-token"
)

// A Right is one kind of action.
type Right string

// The rights.
const (
	// Read looks at executions, their results and logs, and at the description
	// of the service.
	Read Right = "read"
	// Execute starts and cancels executions.
	Execute Right = "execute"
)

// A Principal is a caller. The zero value is no caller and may do nothing.
type Principal struct {
	Kind Kind
	// ID tells principals of one kind apart; empty where there is one only.
	ID string
	// Rights is what it may do.
	Rights []Right
}

// Known reports whether the caller has proved who it is.
func (p Principal) Known() bool { return p.Kind != "" && p.Kind != Anonymous }

// May reports whether the principal has a right.
func (p Principal) May(right Right) bool { return slices.Contains(p.Rights, right) }

// everything is what callers of a server with one service, and one token or none,
// may do.
var everything = []Right{Read, Execute}

// Anyone is the principal of each caller where no token is asked for.
func Anyone() Principal { return Principal{Kind: Anonymous, Rights: everything} }

// TokenHolder is the principal of a caller with the one token of a server.
func TokenHolder() Principal { return Principal{Kind: ServerToken, Rights: everything} }

type contextKey struct{}

// With returns a context that carries the principal of a request.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns the principal of a request. Without one it is the zero value,
// which may do nothing.
func From(ctx context.Context) Principal {
	p, _ := ctx.Value(contextKey{}).(Principal)
	return p
}
