// Package httpserver serves HTTP until it is told to end, and lets what is being
// answered come to its end.
package httpserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// Serve answers what comes in by a listener until ctx ends. Then it calls drain,
// which is to end what would go on for long, and gives the rest so much time. The
// listener may be one of a [Limiter].
func Serve(ctx context.Context, server *http.Server, listener net.Listener, drain func(), patience time.Duration) error {
	if limited, ok := listener.(*limitedListener); ok {
		limited.limiter.attach(server)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	drain()
	patient, stop := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer stop()
	err := server.Shutdown(patient)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close() // whoever is left has been slow
	}
	if ending := <-ended; err == nil && !errors.Is(ending, http.ErrServerClosed) {
		err = ending
	}
	return err
}
