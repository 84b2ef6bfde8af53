package platformapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/httpserver"
	"github.com/qhubctl/qhubctl/internal/panics"
	"github.com/qhubctl/qhubctl/internal/peer"
)

const (
	// bodyTime is how long a body may take to arrive, and pieceTime each piece of a
	// body that is read by [Patient].
	bodyTime  = time.Minute
	pieceTime = 30 * time.Second
	// answerTime is how long a client may take to accept 64 KiB of an answer.
	answerTime = 30 * time.Second
)

// authorize authenticates the caller, and refuses callers without the right to a route.
func (a *API) authorize(ctx huma.Context, next func(huma.Context)) {
	route, _ := ctx.Operation().Metadata[routeKey].(Route)
	r, w := humago.Unwrap(ctx)
	inner := context.WithValue(context.WithValue(ctx.Context(), originKey{}, origin(r)), rightKey{}, route.Right)
	if route.Public {
		if sameSite(w, r) {
			next(huma.WithContext(ctx, inner))
		}
		return
	}
	caller, ok := a.Identify(w, r)
	inner = a.recorded(inner, caller, route, r)
	switch {
	case !ok:
	case !caller.May(route.Right):
		a.recordDenial(inner)
		WriteProblem(w, NewProblem(http.StatusForbidden, "The caller does not have this right: "+string(route.Right)+"."))
	default:
		next(huma.WithContext(ctx, access.With(inner, caller)))
	}
}

// Identify returns the caller of a request. Routes of the API need no call; it is for
// handlers that stand beside it. If it returns false, it has answered the request.
func (a *API) Identify(w http.ResponseWriter, r *http.Request) (access.Principal, bool) {
	if !sameSite(w, r) {
		return access.Principal{}, false
	}
	caller, err := a.options.Auth.Authenticate(r)
	switch {
	case peer.FromExecution(r) && !caller.Known():
		WriteProblem(w, NewProblem(http.StatusForbidden, "An execution needs its execution token here."))
	case err != nil:
		if errors.Is(err, access.ErrUnauthenticated) {
			w.Header().Set("WWW-Authenticate", a.options.Auth.Challenge())
		}
		a.WriteError(w, r, err)
	default:
		if caller.Known() {
			httpserver.Trust(r.Context())
		}
		return caller, true
	}
	return access.Principal{}, false
}

// WriteError answers with the problem that an error is.
func (a *API) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	WriteProblem(w, a.problem(r.Context(), Route{Method: r.Method, Path: r.Pattern}, err))
}

// sameSite refuses requests that a page of another site has made.
func sameSite(w http.ResponseWriter, r *http.Request) bool {
	if http.NewCrossOriginProtection().Check(r) == nil {
		return true
	}
	WriteProblem(w, NewProblem(http.StatusForbidden, "A page of another site may not do this."))
	return false
}

type rightKey struct{}

// RightOf is the right that the route of a request asks for.
func RightOf(ctx context.Context) access.Right {
	right, _ := ctx.Value(rightKey{}).(access.Right)
	return right
}

type originKey struct{}

// Origin is the address at which the client has called the server, such as
// http://127.0.0.1:8700.
func Origin(ctx context.Context) string {
	text, _ := ctx.Value(originKey{}).(string)
	return text
}

func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
}

// An answer notes whether it has begun.
type answer struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// begun reports whether an answer has begun.
func begun(w http.ResponseWriter) bool {
	a, ok := w.(*answer)
	return ok && a.begun
}

// ServeHTTP answers a request. A slash at the end of an address makes no difference.
func (a *API) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	started, w := time.Now(), &answer{ResponseWriter: out}
	defer func() { a.end(w, r, started, recover()) }()
	secure(w.Header())
	control := http.NewResponseController(w)
	if r.ContentLength != 0 {
		_ = control.SetReadDeadline(started.Add(a.bodyTime)) // a recorder of tests has none
	}
	r.Body = &timedBody{r.Body, control}
	_ = control.SetWriteDeadline(started.Add(a.bodyTime + answerTime))
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

// A timedBody ends the deadline for a body with the body. One that passes while a handler
// still works would end the context of the request, and of all later ones of the
// connection.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

// Read implements [io.Reader].
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// end answers for a handler that has panicked, and logs the request.
func (a *API) end(w *answer, r *http.Request, started time.Time, cause any) {
	if cause != nil {
		if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(http.ErrAbortHandler) //nolint:forbidigo // this is how net/http is told
		}
		what, trace := panics.Describe(cause)
		p := internal()
		a.options.Log.Error("a request caused a panic", "instance", p.Instance, "route", r.Pattern, "panic", what, "stack", trace)
		if w.begun {
			panic(http.ErrAbortHandler) //nolint:forbidigo // half an answer must not look whole
		}
		WriteProblem(w, p)
	}
	level := slog.LevelInfo
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		level = slog.LevelDebug
	}
	a.options.Log.LogAttrs(r.Context(), level, "request", slog.String("route", r.Pattern), slog.Duration("took", time.Since(started)))
}
