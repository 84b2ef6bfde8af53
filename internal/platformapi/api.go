// Package platformapi is the frame of the platform API: it authenticates callers, asks
// for the right of each route, writes problem documents, and describes all routes as
// OpenAPI 3.1. Other packages register their routes with it:
//
//	api := platformapi.New(platformapi.Options{Auth: …})
//	platformapi.Register(api, platformapi.Route{Method: "GET", Path: "/qc-catalog/things", Right: access.ViewTenant, …},
//		func(ctx context.Context, in *struct{}) (*platformapi.Body[[]Thing], error) { … })
//
// A route without a right is open to everyone only if it says so: Public. Handlers read
// the caller by [access.From]. Their errors are those of package access, a [*Problem],
// or another error, which the caller learns nothing of.
package platformapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/httpserver"
	"github.com/qhubctl/qhubctl/internal/panics"
	"github.com/qhubctl/qhubctl/internal/peer"
)

// Options say how callers are authenticated, and how errors are explained.
type Options struct {
	Auth access.Authenticator
	// Explain makes a problem of an error that this package does not know. It returns
	// nil for one that it does not know either. Nil: there are none.
	Explain func(error) *Problem
	// Version is that of the program.
	Version string
	// Log gets failures. Nil: they are not logged.
	Log *slog.Logger
}

// A Route is an address with a method.
type Route struct {
	Method, Path string
	// ID names the operation in the description.
	ID, Summary, Tag string
	// Right is what the caller needs. Routes without one are refused, unless they are
	// Public.
	Right  access.Right
	Public bool
	// Status is that of a success. Zero: 200, or 204 without a body.
	Status int
	// MaxBody bounds a request. Zero: 1 MiB.
	MaxBody int64
}

// A Body is an answer with a JSON document.
type Body[T any] struct{ Body T }

// An API answers requests. Register all routes before the first request.
type API struct {
	options Options
	mux     *http.ServeMux
	huma    huma.API
	routes  []Route
}

// problems has huma answer with problem documents of ours: its own repeat values of
// requests. The hook is one of the process.
var problems = sync.OnceFunc(func() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return newProblem(status, message, errs)
	}
})

// New makes an API without routes.
func New(o Options) *API {
	problems()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &API{options: o, mux: http.NewServeMux()}
	config := huma.DefaultConfig("qhubctl platform API", o.Version)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.AllowAdditionalPropertiesByDefault = true // clients send members that we do not read
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":  {Type: "apiKey", In: "header", Name: "X-Auth-Token"},
		"bearer": {Type: "http", Scheme: "bearer"},
	}
	a.huma = humago.New(a.mux, config)
	a.huma.UseMiddleware(a.authorize)
	a.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		WriteProblem(w, NewProblem(http.StatusNotFound, "There is nothing here."))
	})
	return a
}

// routeKey is where an operation keeps its route.
const routeKey = "route"

// Register adds a route. It must not be called once requests are answered.
func Register[I, O any](a *API, route Route, handle func(context.Context, *I) (*O, error)) {
	operation := huma.Operation{
		Method: route.Method, Path: route.Path, OperationID: route.ID, Summary: route.Summary, Tags: []string{route.Tag},
		DefaultStatus: route.Status, MaxBodyBytes: route.MaxBody, Metadata: map[string]any{routeKey: route},
		Errors: []int{http.StatusBadRequest, http.StatusNotFound},
	}
	if !route.Public {
		operation.Security = []map[string][]string{{"token": {}}, {"bearer": {}}}
		operation.Errors = append(operation.Errors, http.StatusUnauthorized, http.StatusForbidden)
	}
	a.routes = append(a.routes, route)
	huma.Register(a.huma, operation, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, a.problem(route, err)
		}
		return out, nil
	})
}

// Handle adds a route that answers as it likes, to anyone, such as an endpoint of
// OAuth. The pattern is that of an [http.ServeMux].
func (a *API) Handle(pattern string, h http.Handler) { a.mux.Handle(pattern, h) }

// Routes are those of [Register].
func (a *API) Routes() []Route { return slices.Clone(a.routes) }

// OpenAPI is the description of all routes, as JSON.
func (a *API) OpenAPI() ([]byte, error) { return a.huma.OpenAPI().MarshalJSON() }

// problem explains an error to the caller.
func (a *API) problem(route Route, err error) *Problem {
	p := explain(err)
	if p == nil && a.options.Explain != nil {
		p = a.options.Explain(err)
	}
	if p == nil {
		a.options.Log.Error("request failed", "method", route.Method, "route", route.Path, "error", err)
		p = NewProblem(http.StatusInternalServerError, "The server could not do this. Its log says why.")
	}
	return p
}

// authorize authenticates the caller, and refuses callers without the right to a route.
func (a *API) authorize(ctx huma.Context, next func(huma.Context)) {
	route, _ := ctx.Operation().Metadata[routeKey].(Route)
	r, w := humago.Unwrap(ctx)
	if route.Public {
		next(ctx)
		return
	}
	caller, err := a.options.Auth.Authenticate(r)
	switch {
	case peer.FromExecution(r) && !caller.Known():
		WriteProblem(w, NewProblem(http.StatusForbidden, "An execution needs its execution token here."))
	case err != nil:
		p := a.problem(route, err)
		if p.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", a.options.Auth.Challenge())
		}
		WriteProblem(w, p)
	case !caller.May(route.Right):
		httpserver.Trust(r.Context())
		WriteProblem(w, NewProblem(http.StatusForbidden, "The caller does not have this right: "+string(route.Right)+"."))
	default:
		httpserver.Trust(r.Context())
		next(huma.WithContext(ctx, access.With(ctx.Context(), caller)))
	}
}

// ServeHTTP answers a request. A slash at the end of an address makes no difference.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(cause) //nolint:forbidigo // this is how net/http is told
		}
		what, trace := panics.Describe(cause)
		a.options.Log.Error("a request caused a panic", "panic", what, "stack", trace)
		WriteProblem(w, NewProblem(http.StatusInternalServerError, "The server could not do this. Its log says why."))
	}()
	if http.NewCrossOriginProtection().Check(r) != nil {
		WriteProblem(w, NewProblem(http.StatusForbidden, "A page of another site may not do this."))
		return
	}
	requested := r.URL.EscapedPath()
	exact := strings.TrimSuffix(requested, "/")
	if exact != "" && path.Clean(exact) != exact { // http.ServeMux would redirect
		WriteProblem(w, NewProblem(http.StatusNotFound, "There is nothing here."))
		return
	}
	if exact != requested && exact != "" {
		r = r.Clone(r.Context())
		r.URL.Path = strings.TrimSuffix(r.URL.Path, "/")
		r.URL.RawPath = strings.TrimSuffix(r.URL.RawPath, "/")
	}
	a.mux.ServeHTTP(w, r)
}
