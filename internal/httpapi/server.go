package httpapi

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"github.com/qhubctl/qhubctl/internal/httpserver"
)

// maxHeader bounds the headers of a request.
const maxHeader = 32 << 10

// Serve answers the requests that come in by a listener until ctx ends. Then
// event streams and long polls end, and other requests have a moment to.
func (a *API) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           a,
		ConnContext:       a.Peers.ConnContext,
		ReadHeaderTimeout: a.Limits.HeaderTimeout,
		IdleTimeout:       a.Limits.IdleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug),
		// Bodies and answers have deadlines of their own, which progress
		// extends: see readBody and response.
	}
	return httpserver.Serve(ctx, server, listener, a.Drain, a.Limits.Shutdown)
}
