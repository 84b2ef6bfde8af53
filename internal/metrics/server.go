package metrics

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/qhubctl/qhubctl/internal/httpserver"
	"github.com/qhubctl/qhubctl/internal/peer"
)

const (
	// headerTime bounds the time of a request, writeTime that of an answer, and
	// idleTime that of an idle connection: Prometheus asks every minute at least.
	headerTime = 5 * time.Second
	writeTime  = 10 * time.Second
	idleTime   = 2 * time.Minute
	// shutdownTime is how long a reader may continue when the server ends.
	shutdownTime = time.Second
	maxHeader    = 16 << 10
)

// Path is the path of the page.
const Path = "/metrics"

// Serve answers the requests for a page that come in by a listener until ctx
// ends. It refuses executions, which peers recognises. It logs mistakes of callers
// at debug level.
func Serve(ctx context.Context, listener net.Listener, page http.Handler, peers *peer.Guard, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.Handle("GET "+Path, page)
	server := &http.Server{
		Handler: refuseExecutions(mux), ConnContext: peers.ConnContext, MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: headerTime, ReadTimeout: headerTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return httpserver.Serve(ctx, server, listener, func() {}, shutdownTime)
}

// refuseExecutions answers executions with a problem document.
func refuseExecutions(next http.Handler) http.Handler {
	const refusal = `{"type":"about:blank","title":"Forbidden","status":403,"detail":"An execution may not read the metrics of the server that runs it."}` + "\n"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !peer.FromExecution(r) {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, refusal) // the caller may be gone
	})
}
