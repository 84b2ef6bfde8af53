// Package access says who a caller is and what it may do.
//
// An [Authenticator] makes a [Principal] of a request. A handler asks a principal
// for a [Right], and for nothing else. Which rights a principal has is one table,
// [Table]: it depends on the kind of the caller, on its role in the tenant that it
// acts for, and on the scopes of its token.
//
// # Resources
//
//	tenant (a user or an organization)
//	  ├─ members       users of an organization, each with a role
//	  ├─ tokens        of users: personal access tokens
//	  └─ applications  each with at most two live access keys, and subscriptions
//
// Every resource belongs to one tenant. A lookup of a resource of another tenant
// gives [ErrNotFound], as if it did not exist.
package access

import (
	"context"
	"errors"
	"net/http"
	"slices"
)

// The errors of this package, to be matched with errors.Is.
var (
	// ErrUnauthenticated is the error of a request whose caller is not known. It
	// is the same for a token that is missing, malformed, unknown, expired or
	// revoked.
	ErrUnauthenticated = errors.New("the caller has not shown a valid token")
	// ErrNotMember says that the caller named a tenant that it does not belong
	// to, whether that tenant exists or not.
	ErrNotMember = errors.New("the caller is not a member of this organization")
	// ErrTooManyFailures says that an address has failed to authenticate too often.
	ErrTooManyFailures = errors.New("too many failed attempts from this address")
	// ErrForbidden says that the caller lacks a right.
	ErrForbidden = errors.New("the caller may not do this")
	// ErrNotFound says that a resource does not exist, or not for this caller.
	ErrNotFound = errors.New("not found")
	// ErrExists says that a name is taken.
	ErrExists = errors.New("this name is taken")
	// ErrInvalid says that an argument has no meaning. Nothing was changed.
	ErrInvalid = errors.New("invalid")
	// ErrConflict says that the state of a resource does not allow a change, such
	// as removing the last owner.
	ErrConflict = errors.New("not possible now")
)

// A Kind is the kind of a principal.
type Kind string

// These are the kinds of principals.
const (
	// Anonymous is any caller of a server that needs no token. It has proved no
	// identity.
	Anonymous Kind = "anonymous"
	// ServerToken is a caller that has shown the one token of a server.
	ServerToken Kind = "server-token"
	// Person is a user with a personal access token.
	Person Kind = "person"
	// Application is an application with an access token of POST /token.
	Application Kind = "application"
	// Execution is a running execution with its execution token.
	Execution Kind = "execution"
)

// A Principal is a caller. The zero value is no caller and may do nothing.
type Principal struct {
	Kind Kind
	// ID tells principals of one kind apart: the id of the user, the application
	// or the execution. It is empty where there is one only.
	ID string
	// Tenant is the id of the tenant that the caller acts for. A person acts for
	// the organization of X-OrganizationId, or for itself; an application for the
	// tenant that owns it; an execution for the tenant that owns its service.
	Tenant string
	// Role is the role in that tenant. It is empty where the kind of the principal
	// alone decides, as for applications.
	Role Role
	// Credential is the id of the token or access key that the caller has shown.
	Credential string
	// Application is the application that the caller acts for: its own id, or the
	// one that started the execution. Empty for persons.
	Application string
	// Rights is what it may do. Principals share the slice: do not change it.
	Rights []Right
}

// Known reports whether the caller has proved its identity.
func (p Principal) Known() bool { return p.Kind != "" && p.Kind != Anonymous }

// May reports whether the principal has a right.
func (p Principal) May(right Right) bool { return slices.Contains(p.Rights, right) }

// An Authenticator identifies callers.
type Authenticator interface {
	// Authenticate returns the caller of a request, or an error that matches
	// [ErrUnauthenticated], [ErrNotMember] or [ErrTooManyFailures]. It is safe for
	// concurrent use.
	Authenticate(r *http.Request) (Principal, error)
	// Challenge says in a WWW-Authenticate header how to become known. It is
	// empty where callers need no token.
	Challenge() string
}

// everything is what callers of a server with one service, and one token or none,
// may do.
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
