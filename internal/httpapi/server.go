package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
)

// maxHeader bounds the headers of a request.
const maxHeader = 32 << 10

// Serve answers the requests that come in by a listener until ctx ends. Then
// event streams and long polls end, and other requests have a moment to.
func (a *API) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           a,
		ReadHeaderTimeout: a.Limits.HeaderTimeout,
		IdleTimeout:       a.Limits.IdleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug),
		// Bodies and answers have deadlines of their own, which progress
		// extends: see readBody and response.
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	a.Drain()
	patience, stop := context.WithTimeout(context.WithoutCancel(ctx), a.Limits.Shutdown)
	defer stop()
	err := server.Shutdown(patience)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // whoever is left has been slow
	}
	if ending := <-ended; err == nil && !errors.Is(ending, http.ErrServerClosed) {
		err = ending
	}
	return err
}
