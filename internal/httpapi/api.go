package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/peer"
)

// Options configure an API. All fields except Service may be zero.
type Options struct {
	// Service is the service that the API serves. It is required.
	Service Service
	// Base is the path below which the API answers, such as /gateway/t/s/1. Empty
	// means the root. All links begin with it.
	Base string
	// URL is the address of the API for clients. Empty: the address that a request
	// has used.
	URL string
	// Auth decides which callers may use the API. Nil: all, with any token or none.
	Auth Authenticator
	// LoopbackOnly refuses requests whose Host is not a name of this machine. It
	// keeps web pages from calling a server that needs no token.
	LoopbackOnly bool
	// Peers recognizes connections that come from executions. The API answers those
	// only with a token that Auth knows. Nil: there are none.
	Peers *peer.Guard
	// Pages are additional pages by their path. Each writes its own answer.
	Pages map[string]http.Handler
	// Home is the page to which / redirects browsers. Empty: it does not redirect.
	Home string
	// Log gets a line for every request. Nil: the API logs nothing.
	Log    *slog.Logger
	Limits Limits
}

// Limits bound the resources that one caller can take from the others. Zero values
// mean the defaults.
type Limits struct {
	// Body is the largest size of a request body in bytes. Bodies is the bound on
	// the bodies of all open requests together.
	Body, Bodies int64
	// HeaderTimeout and BodyTimeout are how long a request may take to arrive.
	HeaderTimeout, BodyTimeout time.Duration
	// WriteTimeout is how long a client may take to accept 64 KiB of an answer.
	WriteTimeout time.Duration
	// IdleTimeout is how long a connection may stay open without a request.
	IdleTimeout time.Duration
	// Wait is the longest wait of GET /{id}?wait=.
	Wait time.Duration
	// PollHold is how long GET /{id} is held while the execution has not ended. The
	// time counts from the acceptance or from the previous poll. A client that polls
	// once and then sleeps thus learns of the end of a short execution, and tight
	// polling does not take the processor time that the execution needs.
	PollHold time.Duration
	// KeepAlive is how often an event stream sends a comment to show that it is alive.
	KeepAlive time.Duration
	// Shutdown is how long requests may take to end when the server shuts down.
	Shutdown time.Duration
}

// DefaultLimits returns limits that suit a server with known users.
func DefaultLimits() Limits {
	return Limits{
		Body: 16 << 20, Bodies: 80 << 20,
		HeaderTimeout: 10 * time.Second, BodyTimeout: time.Minute, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		Wait: time.Minute, PollHold: 100 * time.Millisecond, KeepAlive: 15 * time.Second, Shutdown: 5 * time.Second,
	}
}

func orDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

func (l *Limits) fill() {
	d := DefaultLimits()
	orDefault(&l.Body, d.Body)
	orDefault(&l.Bodies, d.Bodies)
	orDefault(&l.HeaderTimeout, d.HeaderTimeout)
	orDefault(&l.BodyTimeout, d.BodyTimeout)
	orDefault(&l.WriteTimeout, d.WriteTimeout)
	orDefault(&l.IdleTimeout, d.IdleTimeout)
	orDefault(&l.Wait, d.Wait)
	orDefault(&l.PollHold, d.PollHold)
	orDefault(&l.KeepAlive, d.KeepAlive)
	orDefault(&l.Shutdown, d.Shutdown)
}

// An API answers requests. Make one with [New].
type API struct {
	Options

	// handler answers requests below the base path, elsewhere all others.
	handler, elsewhere http.Handler
	// bodies is the memory in bytes that bodies hold now.
	bodies atomic.Int64
	// draining ends when the server begins to shut down: held requests then
	// answer at once.
	draining  context.Context //nolint:containedctx // the server's life, not a request's
	drain     context.CancelFunc
	pollTimes pollTimes
}

// New makes an API.
func New(o Options) *API {
	o.Limits.fill()
	if o.Auth == nil {
		o.Auth = Anyone{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Base = strings.TrimSuffix(o.Base, "/")
	a := &API{Options: o}
	a.draining, a.drain = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	for pattern, route := range a.routes() {
		mux.Handle(pattern, a.dispatch(route))
	}
	a.handler = a.instrument(a.authenticate(a.exactPath(mux)))
	a.elsewhere = a.instrument(a.authenticate(a.dispatch(nil)))
	return a
}

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.Base == "" {
		a.handler.ServeHTTP(w, r)
		return
	}
	below, ok := belowBase(a.Base, r)
	if !ok {
		a.elsewhere.ServeHTTP(w, r)
		return
	}
	a.handler.ServeHTTP(w, below)
}

// Drain ends event streams and long polls, including later ones, so that the
// server can shut down.
func (a *API) Drain() { a.drain() }

// A handler answers a request or returns an error. It must not return an error
// after it has begun to answer.
type handler func(w http.ResponseWriter, r *http.Request) error

// An action is a handler and the right that a caller needs for it.
type action struct {
	right  access.Right
	handle handler
}

// A route has an action for each method.
type route map[string]action

func (a *API) routes() map[string]route {
	routes := map[string]route{
		"/{$}":                   {http.MethodGet: {access.Read, a.list}, http.MethodPost: {access.Execute, a.start}},
		"/{id}":                  {http.MethodGet: {access.Read, a.status}},
		"/{id}/result":           {http.MethodGet: {access.Read, a.result}},
		"/{id}/result/{file...}": {http.MethodGet: {access.Read, a.file}},
		"/{id}/log":              {http.MethodGet: {access.Read, a.log}},
		"/{id}/cancel":           {http.MethodPut: {access.Execute, a.cancel}},
		"/openapi.json":          {http.MethodGet: {access.Read, a.openapi}},
		"/":                      nil,
	}
	for address, page := range a.Pages {
		routes[address] = route{http.MethodGet: {access.Read, func(w http.ResponseWriter, r *http.Request) error {
			page.ServeHTTP(w, r)
			return nil
		}}}
	}
	return routes
}

// dispatch picks the handler for the method, and refuses callers that lack the
// right for it.
func (a *API) dispatch(methods route) http.Handler {
	if methods == nil {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.writeError(w, r, notFound("No resource has this address."))
		})
	}
	if get, ok := methods[http.MethodGet]; ok {
		methods[http.MethodHead] = get // net/http leaves the body out
	}
	allowed := []string{http.MethodOptions}
	for method := range methods {
		allowed = append(allowed, method)
	}
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		picked, ok := methods[r.Method]
		switch {
		case ok && !access.From(r.Context()).May(picked.right):
			a.writeError(w, r, problem(http.StatusForbidden, "The token does not grant this right: "+string(picked.right)+"."))
		case ok:
			if err := picked.handle(w, r); err != nil {
				a.writeError(w, r, err)
			}
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", allow)
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", allow)
			a.writeError(w, r, problem(http.StatusMethodNotAllowed, "This address accepts the methods "+allow+"."))
		}
	})
}

// exactPath answers 404 for paths such as a//b and a/../b, which the mux would
// redirect.
func (a *API) exactPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requested := r.URL.EscapedPath()
		clean := path.Clean(requested)
		if requested != "/" && (clean == "/" || clean != strings.TrimSuffix(requested, "/")) {
			a.writeError(w, r, notFound("No resource has this address."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// requestID returns the execution that a request names. An invalid id is answered
// like an unknown one.
func requestID(r *http.Request) (execution.ID, error) {
	id, err := execution.ParseID(r.PathValue("id"))
	if err != nil {
		return "", notFound("There is no such execution.")
	}
	return id, nil
}
