package platformapi_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/store"
)

// reader authenticates each caller as one that may read, unless its token is bad.
type reader struct{ err error }

func (a reader) Authenticate(*http.Request) (access.Principal, error) {
	return access.Principal{Kind: access.Application, ID: "app", Rights: []access.Right{access.Read}}, a.err
}
func (reader) Challenge() string { return "Bearer" }

type nothing struct{}

// get registers a route at /x whose handler is f, and asks for it.
func get(t *testing.T, auth access.Authenticator, route platformapi.Route, f func(context.Context) error) (*httptest.ResponseRecorder, string) {
	t.Helper()
	var log bytes.Buffer
	api := platformapi.New(platformapi.Options{Auth: auth, Log: slog.New(slog.NewTextHandler(&log, nil))})
	route.Method, route.Path, route.ID = http.MethodGet, "/x", "x"
	platformapi.Register(api, route, func(ctx context.Context, _ *nothing) (*nothing, error) { return nil, f(ctx) })
	w := httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", http.NoBody))
	return w, log.String()
}

// TestCallers has a handler called only for callers with the right to its route.
func TestCallers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		auth   reader
		route  platformapi.Route
		want   int
		called bool
	}{
		"right":           {reader{}, platformapi.Route{Right: access.Read}, 204, true},
		"another right":   {reader{}, platformapi.Route{Right: access.Deploy}, 403, false},
		"no right":        {reader{}, platformapi.Route{}, 403, false},
		"public":          {reader{access.ErrUnauthenticated}, platformapi.Route{Public: true}, 204, true},
		"bad token":       {reader{access.ErrUnauthenticated}, platformapi.Route{Right: access.Read}, 401, false},
		"not a member":    {reader{access.ErrNotMember}, platformapi.Route{Right: access.Read}, 403, false},
		"too many":        {reader{access.ErrTooManyFailures}, platformapi.Route{Right: access.Read}, 429, false},
		"store is closed": {reader{store.ErrClosed}, platformapi.Route{Right: access.Read}, 503, false},
	} {
		called := false
		w, _ := get(t, c.auth, c.route, func(ctx context.Context) error {
			called = true
			if !c.route.Public && access.From(ctx).ID != "app" {
				t.Errorf("%s: access.From = %+v, want the caller", name, access.From(ctx))
			}
			return nil
		})
		if w.Code != c.want || called != c.called {
			t.Errorf("%s: GET /x = %d, handler called: %t; want %d, %t", name, w.Code, called, c.want, c.called)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (challenge != "") != (c.want == 401) {
			t.Errorf("%s: WWW-Authenticate = %q, want one with 401 only", name, challenge)
		}
	}
}

// TestErrorsStayInside logs errors and panics, and tells the caller nothing of them.
func TestErrorsStayInside(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(context.Context) error{
		"error": func(context.Context) error { return errors.New("inner words") },
		"panic": func(context.Context) error { panic(errors.New("inner words")) },
	} {
		w, log := get(t, reader{}, platformapi.Route{Right: access.Read}, f)
		if body := w.Body.String(); w.Code != http.StatusInternalServerError || strings.Contains(body, "inner words") || !strings.Contains(body, "errorMessage") {
			t.Errorf("%s: GET /x = %d %s, want a 500 that does not repeat it", name, w.Code, body)
		}
		if log == "" {
			t.Errorf("%s: the log is empty, want the cause", name)
		}
	}
}
