package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/panics"
)

// instrument wraps all handlers. It sets deadlines and headers, writes the access
// log, and recovers from panics.
func (a *API) instrument(next http.Handler) http.Handler {
	return http.HandlerFunc(func(raw http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		w := newResponse(raw, a.Limits.WriteTimeout)
		if r.ContentLength != 0 {
			w.unread = true
			_ = w.control.SetReadDeadline(begun.Add(a.Limits.BodyTimeout))
		}
		secure(w.Header())
		defer func() {
			whole := true
			if cause := recover(); cause != nil {
				whole = a.recovered(w, r, cause)
			}
			a.logAccess(w, r, time.Since(begun))
			if !whole {
				abort()
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// abort cuts the connection, so that a client does not take half an answer for
// a whole one. It does not return.
func abort() {
	panic(http.ErrAbortHandler) //nolint:forbidigo // the way to make net/http cut a connection
}

// secure sets the headers of every answer: clients must not render answers as pages
// and must not cache them.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
}

// recovered answers for a handler that has panicked. It reports false if the answer
// has already begun: then the connection must be cut.
func (a *API) recovered(w *response, r *http.Request, cause any) (answered bool) {
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		return false
	}
	what, trace := panics.Describe(cause)
	a.Log.Error("a request caused a panic", "route", r.Pattern, "panic", what, "stack", trace)
	if w.status != 0 {
		return false
	}
	a.writeError(w, r, execution.Internal())
	return true
}

// logAccess logs a request with its route instead of its address, which may hold a
// secret by mistake. Requests that only read are logged at a lower level.
func (a *API) logAccess(w *response, r *http.Request, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case w.status >= http.StatusInternalServerError:
		level = slog.LevelError
	case w.status < http.StatusBadRequest && r.Method == http.MethodGet, r.Method == http.MethodHead:
		level = slog.LevelDebug
	}
	if !a.Log.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", method(r)), slog.String("route", routeName(r.Pattern)), slog.Int("status", w.status),
		slog.Int64("bytes", w.written), slog.Duration("took", took),
	}
	if id, err := execution.ParseID(r.PathValue("id")); err == nil {
		attrs = append(attrs, slog.String("execution", id.String()))
	}
	if w.err != nil || errors.Is(r.Context().Err(), context.Canceled) {
		attrs = append(attrs, slog.Bool("clientGone", true))
	}
	a.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

// method returns the method of a request for the log, or "other" for an unknown one.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return r.Method
	default:
		return "other"
	}
}

// routeName returns a pattern in the form that the documentation uses.
func routeName(pattern string) string {
	return strings.ReplaceAll(strings.TrimSuffix(pattern, "{$}"), "...}", "}")
}
