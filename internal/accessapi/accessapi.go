// Package accessapi has the routes of the platform API about logins, organizations,
// applications, access keys and subscriptions, as the published clients call them, and
// the token endpoint.
package accessapi

import (
	"context"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

// The paths below which the published clients call.
const (
	catalog = "/qc-catalog"
	users   = "/user-service"
)

// accountType is that of every account: nothing is sold here.
const accountType = "STANDARD"

// A Catalog knows services, as far as access to them is concerned.
type Catalog interface {
	// Subscribable describes a service that a tenant may subscribe to.
	// [access.ErrNotFound]: there is none, or not for this tenant.
	Subscribable(ctx context.Context, tenant, service string) (Service, error)
	// Describe describes a service that is subscribed to.
	Describe(ctx context.Context, service string) (Service, error)
	// Owned is how many services a tenant owns.
	Owned(ctx context.Context, tenant string) (int, error)
}

// A Service is what a subscriber sees of a service.
type Service struct {
	ID              string `json:"id"`
	DefinitionID    string `json:"serviceDefinitionId,omitempty"`
	Name            string `json:"name"`
	Type            string `json:"type,omitempty"`
	Lifecycle       string `json:"lifecycle,omitempty"`
	Context         string `json:"context,omitempty" doc:"The id of the tenant that owns it."`
	Version         string `json:"version,omitempty"`
	GatewayEndpoint string `json:"gatewayEndpoint,omitempty"`
}

// Options say what the routes work with.
type Options struct {
	Access  *access.Service
	Catalog Catalog
	// Execution describes an execution to itself. Nil: by its id only.
	Execution func(ctx context.Context, id string) (any, error)
}

type routes struct{ Options }

// Register adds all routes to an API.
func Register(api *platformapi.API, o Options) {
	r := routes{o}
	r.login(api)
	r.tokens(api)
	r.users(api)
	r.organizations(api)
	r.members(api)
	r.invitations(api)
	r.applications(api)
	r.accessKeys(api)
	r.subscriptions(api)
	r.providerTokens(api)
	r.oauth(api)
}

// none is the input of a route that takes nothing.
type none struct{}

// ByID names a resource in the address. It is exported for the reflection that fills it.
type ByID struct {
	ID string `path:"id" maxLength:"64" doc:"The id of the resource."`
}

// PageByID names a part of a list that a resource has.
type PageByID struct {
	ByID
	platformapi.PageQuery
}

// A text is a time, or null. The published clients read yyyy-MM-dd HH:mm:ss, UTC.
func text(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(time.DateTime)
	return &s
}

// day is a date, or null.
func day(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(time.DateOnly)
	return &s
}

// list converts the elements of a slice. The result is never nil.
func list[A, B any](all []A, convert func(A) B) []B {
	out := make([]B, 0, len(all))
	for _, one := range all {
		out = append(out, convert(one))
	}
	return out
}

// answer is a body with a document, unless there is an error.
func answer[T any](document T, err error) (*platformapi.Body[T], error) {
	if err != nil {
		return nil, err
	}
	return &platformapi.Body[T]{Body: document}, nil
}

// page is a part of a list, unless there is an error.
func page[T any](q *platformapi.PageQuery, all []T, err error) (*platformapi.List[T], error) {
	if err != nil {
		return nil, err
	}
	return platformapi.ListOf(q, all), nil
}
