// Package httpserver serves any http.Handler: it bounds connections by address
// and in total, and finishes open requests when its context ends.
package httpserver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// Serve answers the requests of a listener until ctx ends. Then it calls drain, which
// should end long answers, and gives all others until patience is over. The listener
// may be one of a [Limiter].
func Serve(ctx context.Context, server *http.Server, listener net.Listener, drain func(), patience time.Duration) error {
	if limited, ok := listener.(*limitedListener); ok {
		limited.limiter.attach(server)
	}
	ended := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			ended <- server.ServeTLS(listener, "", "") // the certificate is in its settings
			return
		}
		ended <- server.Serve(listener)
	}()
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
		err = server.Close() // the remaining clients were too slow
	}
	if ending := <-ended; err == nil && !errors.Is(ending, http.ErrServerClosed) {
		err = ending
	}
	return err
}
