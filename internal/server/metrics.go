package server

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/httpserver"
	"github.com/qhubctl/qhubctl/internal/metrics"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

// metricsServer counts and serves the metrics of a server. Without --metrics it is nil.
type metricsServer struct {
	*metrics.Metrics
	listener net.Listener
	// start returns how the service starts now.
	start atomic.Pointer[func() metrics.Start]
}

// MetricsOptions are the address of the metrics, and the version and commit of the
// program that they show.
type MetricsOptions struct{ Address, Version, Commit string }

// listen listens at the address of the metrics.
func (o *MetricsOptions) listen(ctx context.Context, limiter *httpserver.Limiter) (*metricsServer, error) {
	if o == nil {
		return nil, nil //nolint:nilnil // no metrics are wanted, which is no error
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, &metricsListenError{o.Address, err}
	}
	return &metricsServer{Metrics: metrics.New(o.Version, o.Commit), listener: limiter.Listener(listener)}, nil
}

type metricsListenError struct {
	address string
	err     error
}

func (e *metricsListenError) Error() string {
	return fmt.Sprintf("cannot listen for --metrics: %v", e.err)
}
func (e *metricsListenError) Unwrap() error { return e.err }
func (e *metricsListenError) Hint() string {
	return fmt.Sprintf("another program may use %s, or this machine does not have the address; choose another one, or a free port with port 0", e.address)
}

func (m *metricsServer) close() {
	if m != nil {
		_ = m.listener.Close()
	}
}

// observer returns the observer for the engine. Without metrics it is nil.
func (m *metricsServer) observer() engine.Observer {
	if m == nil {
		return nil
	}
	return m
}

func (m *metricsServer) storeOptions() sqlite.Options {
	if m == nil {
		return sqlite.Options{}
	}
	return sqlite.Options{Committed: m.Committed}
}

// Counted wraps a runner so that the metrics count its starts. A pool counts its own.
func (s *Server) Counted(r runner.Runner) runner.Runner {
	if s.metrics == nil {
		return r
	}
	return &countedRunner{r, s.metrics.StartedAsPlanned}
}

// ShowStart sets the function that tells the metrics how the service starts.
func (s *Server) ShowStart(start func() metrics.Start) {
	if s.metrics != nil {
		s.metrics.start.Store(&start)
	}
}

// MetricsURL is the address of the metrics. It is empty without metrics.
func (s *Server) MetricsURL() string {
	if s.metrics == nil {
		return ""
	}
	return urlOf(s.metrics.listener) + metrics.Path
}

// countedRunner counts the executions that it starts.
type countedRunner struct {
	runner.Runner
	count func()
}

func (r *countedRunner) Start(ctx context.Context, job runner.Job) (runner.Run, error) {
	run, err := r.Runner.Start(ctx, job)
	if err == nil {
		r.count()
	}
	return run, err
}

// showMetrics serves the metrics until ctx ends; then the channel is closed.
func (s *Server) showMetrics(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	if s.metrics == nil {
		close(ended)
		return ended
	}
	page := s.metrics.Page(metrics.Sources{
		QueueStats: s.engine.QueueStats, Slots: s.engine.Slots(), Zygotes: s.zygotes,
		Start: func() metrics.Start {
			if start := s.metrics.start.Load(); start != nil {
				return (*start)()
			}
			return metrics.Start{}
		},
	})
	go func() {
		defer close(ended)
		if err := metrics.Serve(ctx, s.metrics.listener, page, s.peers, s.log); err != nil {
			s.log.Error("metrics are not shown any more", "error", err)
		}
	}()
	return ended
}
