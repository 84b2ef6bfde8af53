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

// Options say what an API serves, and to whom. Zero values have a sensible
// meaning, except for Service.
type Options struct {
	// Service is called.
	Service Service
	// Base is the path below which the API answers, such as /gateway/t/s/1; empty
	// is the root. All links are built from it.
	Base string
	// URL is where clients find the API; empty: where they have called it.
	URL string
	// Auth decides who may call. Nil: anyone, with any token or none.
	Auth Authenticator
	// LoopbackOnly refuses requests that do not name this machine as their host. It
	// keeps web pages from calling a server that asks for no token.
	LoopbackOnly bool
	// Peers tells the connections of executions. Those are answered only if they
	// show a token that Auth knows. Nil: there are none.
	Peers *peer.Guard
	// Pages are further pages by their path. What they write is theirs.
	Pages map[string]http.Handler
	// Home is the page that a browser which asks for / is led to, or empty.
	Home string
	// Log gets a line for every request. Nil: nobody is told.
	Log    *slog.Logger
	Limits Limits
}

// Limits bound what one caller can take from the others. Zero values mean the
// defaults.
type Limits struct {
	// Body is the size of a request, Bodies that of all which are in work.
	Body, Bodies int64
	// HeaderTimeout and BodyTimeout are how long a request may take to arrive,
	// WriteTimeout how long a client may take to accept 64 KiB of an answer,
	// IdleTimeout how long it may stay without asking for anything.
	HeaderTimeout, BodyTimeout, WriteTimeout, IdleTimeout time.Duration
	// Wait is how long GET /{id}?wait= may last.
	Wait time.Duration
	// PollHold is how long an execution may take to end, from its acceptance or from
	// when that was last asked, before GET /{id} says that it has not: clients
	// that ask once and then sleep get the end of a short one, and those that ask
	// all the time do not take the processor that it needs.
	PollHold time.Duration
	// KeepAlive is how often an event stream says that it is alive.
	KeepAlive time.Duration
	// Shutdown is how long requests may take to end when the server does.
	Shutdown time.Duration
}

// DefaultLimits suit a server that its users know.
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

	// handler answers below the base path, elsewhere all other requests.
	handler, elsewhere http.Handler
	// bodies is the memory that bodies hold at the moment.
	bodies atomic.Int64
	// draining ends when the server is about to: what would wait longer
	// answers now.
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

// Drain ends event streams and long polls, and those to come, so that a server
// can end.
func (a *API) Drain() { a.drain() }

// A handler answers a request, or says in an error why it cannot; it must not
// have begun to answer then.
type handler func(w http.ResponseWriter, r *http.Request) error

// An action is a handler, and the right that a caller needs for it.
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

// dispatch picks the handler for the method, and refuses callers without the right
// to it.
func (a *API) dispatch(methods route) http.Handler {
	if methods == nil {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.writeError(w, r, notFound("There is nothing here.")) })
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
			a.writeError(w, r, problem(http.StatusForbidden, "The token does not give this right: "+string(picked.right)+"."))
		case ok:
			if err := picked.handle(w, r); err != nil {
				a.writeError(w, r, err)
			}
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", allow)
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", allow)
			a.writeError(w, r, problem(http.StatusMethodNotAllowed, "This address takes "+allow+"."))
		}
	})
}

// exactPath keeps the mux from leading those who ask for a//b or a/../b
// elsewhere: there is nothing there.
func (a *API) exactPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requested := r.URL.EscapedPath()
		clean := path.Clean(requested)
		if requested != "/" && (clean == "/" || clean != strings.TrimSuffix(requested, "/")) {
			a.writeError(w, r, notFound("There is nothing here."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// requestID is the execution that a request names. One that cannot exist is
// one that does not.
func requestID(r *http.Request) (execution.ID, error) {
	id, err := execution.ParseID(r.PathValue("id"))
	if err != nil {
		return "", notFound("There is no such execution.")
	}
	return id, nil
}
