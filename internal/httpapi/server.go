package httpapi

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"

	"github.com/qhubctl/qhubctl/internal/httpserver"
	"github.com/qhubctl/qhubctl/internal/peer"
)

// maxHeader bounds the headers of a request.
const maxHeader = 32 << 10

// Serve answers the requests of a listener until ctx ends. Then it ends event
// streams and long polls, and gives other requests Limits.Shutdown to end.
func (a *API) Serve(ctx context.Context, listener net.Listener) error {
	return Serve(ctx, listener, a)
}

// Serve serves several APIs, each below its base path. The peers, the limits and
// the log of the server are those of the first API.
func Serve(ctx context.Context, listener net.Listener, apis ...*API) error {
	if len(apis) == 0 {
		return errors.New("a server needs an API")
	}
	first := apis[0]
	var handler http.Handler = first
	if len(apis) > 1 {
		handler = newGateway(apis)
	}
	drain := func() {
		for _, a := range apis {
			a.Drain()
		}
	}
	return ServeHandler(ctx, listener, handler, HandlerOptions{Peers: first.Peers, Limits: first.Limits, Log: first.Log, Drain: drain})
}

// HandlerOptions say how a handler is served.
type HandlerOptions struct {
	// Peers tells the connections of executions. Nil: there are none.
	Peers *peer.Guard
	// Limits bound the headers of requests, and how long the end may take.
	Limits Limits
	// TLS is how the server proves who it is. Nil: it speaks plain HTTP.
	TLS *tls.Config
	Log *slog.Logger
	// Drain ends what would be answered for long, when the server ends.
	Drain func()
}

// ServeHandler answers the requests that come in by a listener until ctx ends. The
// handler bounds bodies and answers itself, as an [API] does.
func ServeHandler(ctx context.Context, listener net.Listener, handler http.Handler, o HandlerOptions) error {
	o.Limits.fill()
	server := &http.Server{
		Handler:           handler,
		ConnContext:       o.Peers.ConnContext,
		ReadHeaderTimeout: o.Limits.HeaderTimeout,
		IdleTimeout:       o.Limits.IdleTimeout,
		MaxHeaderBytes:    maxHeader,
		TLSConfig:         o.TLS,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		// Bodies and answers have separate deadlines, which progress
		// extends: see readBody and response.
	}
	return httpserver.Serve(ctx, server, listener, o.Drain, o.Limits.Shutdown)
}

// A gateway passes each request to the API with the longest base path that the
// request is below. It is no http.ServeMux, which would redirect requests for a//b.
type gateway []*API

func newGateway(apis []*API) gateway {
	g := slices.Clone(apis)
	slices.SortFunc(g, func(a, b *API) int { return cmp.Compare(len(b.Base), len(a.Base)) })
	return g
}

// ServeHTTP implements [http.Handler]. A request below no base path gets 404.
func (g gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, a := range g {
		if _, ok := belowBase(a.Base, r); ok {
			a.ServeHTTP(w, r)
			return
		}
	}
	g[0].ServeHTTP(w, r)
}
