// Package platformapi is the frame of the platform API: it authenticates callers, asks
// for the right of each route, writes problem documents, and describes all routes as
// OpenAPI 3.1. Other packages register their routes with it:
//
//	api := platformapi.New(platformapi.Options{Auth: …})
//	platformapi.Register(api, platformapi.Route{Method: "GET", Path: "/qc-catalog/things", Right: access.ViewTenant, …},
//		func(ctx context.Context, in *struct{}) (*platformapi.Body[[]Thing], error) { … })
//
// [Register] is for routes that take and give JSON. [Stream] is for routes that read
// their request or write their answer piece by piece, and for those that take secrets.
//
// A route without a right is open to everyone only if it says so: Public. Handlers read
// the caller by [access.From]. Their errors are those of package access, a [*Problem],
// or another error, which the caller learns nothing of.
package platformapi

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
)

// Options say how callers are authenticated, and how errors are explained.
type Options struct {
	Auth access.Authenticator
	// Explain makes a problem of an error that this package does not know. It returns
	// nil for one that it does not know either. Nil: there are none.
	Explain func(error) *Problem
	// Version is that of the program.
	Version string
	// Audit keeps the entries of requests that change something. Nil: they are not recorded.
	Audit audit.Store
	// Log gets failures. Nil: they are not logged.
	Log *slog.Logger
}

// A Route is an address with a method.
type Route struct {
	Method, Path string
	// ID names the operation in the description, Summary says what it does, and
	// Description, if any, what a caller must know beyond that.
	ID, Summary, Description, Tag string
	// Right is what the caller needs. Routes without one are refused, unless they are
	// Public.
	Right  access.Right
	Public bool
	// Status is that of a success. Zero: 200, or 204 without a body.
	Status int
	// MaxBody bounds a request of [Register]. Zero: 1 MiB.
	MaxBody int64
	// Takes and Gives are the bodies of a [Stream], for the description.
	Takes, Gives []Content
	// MayTakeNothing says that a [Stream] needs no body.
	MayTakeNothing bool
	// MayBeEmpty says that a [Stream] also succeeds with 204 and no body.
	MayBeEmpty bool
	// Refusals are the bodies of errors of a [Stream] that are no problem documents.
	Refusals map[int][]Content
	// Errors are statuses of errors beyond those that all routes have.
	Errors []int
}

// A Content is a form of a body: a media type, and the Go type of its values. A nil Of
// means bytes.
type Content struct {
	Type string
	Of   reflect.Type
}

// JSONOf is the content of a JSON document that a T makes.
func JSONOf[T any]() []Content { return []Content{{"application/json", reflect.TypeFor[T]()}} }

// A Body is an answer with a JSON document.
type Body[T any] struct{ Body T }

// A Created is an answer with a JSON document, and the address of the new thing.
type Created[T any] struct {
	Location string `header:"Location" doc:"The address of the new thing."`
	Body     T
}

// An API answers requests. Register all routes before the first request.
type API struct {
	options  Options
	mux      *http.ServeMux
	huma     huma.API
	routes   []Route
	document func() ([]byte, error)
	denials  sync.Map // limiters by the id of the tenant
	bodyTime time.Duration
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
	a := &API{options: o, mux: http.NewServeMux(), bodyTime: bodyTime}
	config := huma.DefaultConfig("qhubctl platform API", o.Version)
	config.Info.Description = about
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", namer())
	config.AllowAdditionalPropertiesByDefault = true // clients send members that we do not read
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":  {Type: "apiKey", In: "header", Name: "X-Auth-Token", Description: "A personal access token, or the token of an execution."},
		"bearer": {Type: "http", Scheme: "bearer", Description: "The same tokens."},
	}
	a.huma = humago.New(a.mux, config)
	a.huma.UseMiddleware(a.authorize)
	a.document = sync.OnceValues(a.describe)
	a.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		WriteProblem(w, NewProblem(http.StatusNotFound, "There is nothing here."))
	})
	return a
}

// routeKey is where an operation keeps its route.
const routeKey = "route"

// operation describes a route to huma.
func (a *API) operation(route Route) huma.Operation {
	o := huma.Operation{
		Method: route.Method, Path: route.Path, OperationID: route.ID, Summary: route.Summary, Description: route.Description,
		Tags: []string{route.Tag}, DefaultStatus: route.Status, MaxBodyBytes: route.MaxBody, BodyReadTimeout: bodyTime,
		Metadata: map[string]any{routeKey: route},
		Errors:   append([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusTooManyRequests, http.StatusServiceUnavailable}, route.Errors...),
	}
	if route.Method != http.MethodGet {
		o.Errors = append(o.Errors, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusInsufficientStorage)
	}
	if !route.Public {
		o.Security = []map[string][]string{{"token": {}}, {"bearer": {}}}
		o.Errors = append(o.Errors, http.StatusUnauthorized, http.StatusForbidden)
	}
	a.routes = append(a.routes, route)
	return o
}

// Register adds a route. It must not be called once requests are answered.
func Register[I, O any](a *API, route Route, handle func(context.Context, *I) (*O, error)) {
	huma.Register(a.huma, a.operation(route), func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, route, err)
		}
		return out, nil
	})
}

// Stream adds a route whose handler reads the body of the request and writes the answer
// itself. Its input has the parameters only. An error that it returns becomes the answer
// if none has begun, and breaks the answer off otherwise.
func Stream[I any](a *API, route Route, handle func(ctx context.Context, in *I, w http.ResponseWriter, r *http.Request) error) {
	huma.Register(a.huma, a.operation(route), func(_ context.Context, in *I) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(c huma.Context) {
			r, w := humago.Unwrap(c)
			err := handle(c.Context(), in, w, r.WithContext(c.Context()))
			if err == nil {
				return
			}
			p := a.problem(c.Context(), route, err)
			if begun(w) {
				panic(http.ErrAbortHandler) //nolint:forbidigo // half an answer must not look whole
			}
			WriteProblem(w, p)
		}}, nil
	})
}

// Handle adds a route that answers as it likes, to anyone, and stands in no description.
// The pattern is that of an [http.ServeMux].
func (a *API) Handle(pattern string, h http.Handler) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if sameSite(w, r) {
			h.ServeHTTP(w, r)
		}
	})
}

// Routes are those of [Register] and [Stream].
func (a *API) Routes() []Route { return slices.Clone(a.routes) }

// Alias has the description show a T as an As. It is for types that encode themselves.
func Alias[T, As any](a *API) {
	a.huma.OpenAPI().Components.Schemas.RegisterTypeAlias(reflect.TypeFor[T](), reflect.TypeFor[As]())
}

// problem explains an error to the caller.
func (a *API) problem(ctx context.Context, route Route, err error) *Problem {
	p := explain(err)
	if p == nil && a.options.Explain != nil {
		p = a.options.Explain(err)
	}
	if p == nil && ctx.Err() != nil {
		return NewProblem(http.StatusServiceUnavailable, "The request was cancelled.") // the client has gone
	}
	if p == nil {
		p = internal()
	}
	if p.Status == http.StatusForbidden {
		a.recordDenial(ctx)
	}
	if p.Status >= http.StatusInternalServerError {
		p = p.named()
		a.options.Log.Error("request failed", "instance", p.Instance, "method", route.Method, "route", route.Path, "error", err)
	}
	return p
}
