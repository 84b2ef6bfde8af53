package cli

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/httpserver"
	"github.com/qhubctl/qhubctl/internal/metrics"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

// checkMetrics wants the host named: left out it would be every address of the
// machine, and whoever reaches one of them may read.
func (o *serveOptions) checkMetrics() error {
	if o.metrics == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(o.metrics)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || host == "" {
		return usagef("--metrics is %q; it takes HOST:PORT, such as 127.0.0.1:9464, or 0.0.0.0:9464 for other machines to read it", o.metrics)
	}
	return nil
}

// metricsServer are the numbers of a server. Without --metrics there are none: nil.
type metricsServer struct {
	*metrics.Metrics
	listener net.Listener
	// start tells how the service is started, as it is now.
	start atomic.Pointer[func() metrics.Start]
}

// measure takes the address that the numbers are read at.
func (o *serveOptions) measure(ctx context.Context, limiter *httpserver.Limiter) (*metricsServer, error) {
	if o.metrics == "" {
		return nil, nil //nolint:nilnil // nothing is measured, and that is no error
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", o.metrics)
	if err != nil {
		return nil, &metricsListenError{o.metrics, err}
	}
	info, err := readVersion()
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	return &metricsServer{Metrics: metrics.New(info.Version, info.Commit), listener: limiter.Listener(listener)}, nil
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
	return fmt.Sprintf("something else may use %s, or it is no address of this machine; take another one, or port 0, which is a free one", e.address)
}

func (m *metricsServer) close() {
	if m != nil {
		_ = m.listener.Close()
	}
}

// observer is what an engine tells of executions; nil: nobody.
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

// counted has the starts of a runner counted that those of a pool are not.
func (m *metricsServer) counted(r runner.Runner, program *forkserver.Program) runner.Runner {
	if m == nil || program != nil {
		return r
	}
	return &countedRunner{r, m.StartedAsPlanned}
}

// follow has the numbers tell how a service is started from now on: as forks
// of a program, or for a reason always cold.
func (m *metricsServer) follow(opened *service, program *forkserver.Program, whyNot string) {
	if m == nil {
		return
	}
	start := func() metrics.Start { return metrics.Start{Reason: whyNot} }
	if program != nil {
		start = func() metrics.Start {
			state := program.State()
			return metrics.Start{Warm: state.Warm, Preparing: !state.Warm && state.Reason == "", Reason: opened.masker.String(state.Reason)}
		}
	}
	m.start.Store(&start)
}

// countedRunner counts what it starts.
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

// showMetrics has the numbers be read until ctx ends; then the channel is
// closed.
func (s *serving) showMetrics(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	if s.metricsServer == nil {
		close(ended)
		return ended
	}
	page := s.metricsServer.Page(metrics.Sources{
		QueueStats: s.engine.QueueStats, Slots: s.engine.Slots(), Zygotes: s.zygotes,
		Start: func() metrics.Start { return (*s.metricsServer.start.Load())() },
	})
	go func() {
		defer close(ended)
		if err := metrics.Serve(ctx, s.metricsServer.listener, page, s.peers, s.log); err != nil {
			s.log.Error("metrics are not shown any more", "error", err)
		}
	}()
	return ended
}
