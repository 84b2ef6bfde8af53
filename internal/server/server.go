// Package server is a process that serves executions: it listens, keeps the
// state of a data folder, runs the engine, shows metrics, follows the master
// key, and shuts down gracefully. What it serves is the caller's: package
// devserver registers one workspace with it.
//
//	s, err := server.Listen(ctx, options) // ports and sandbox
//	err = s.UseDir(dir)                   // token
//	err = s.Open(ctx)                     // store, keys, engine
//	err = s.Engine().Service(id).Activate(…)
//	err = s.Serve(ctx, s.NewAPI(id, …))   // until ctx ends
//	err = s.Close()
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/qhubctl/qhubctl/internal/descriptors"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/httpapi"
	"github.com/qhubctl/qhubctl/internal/interrupt"
	"github.com/qhubctl/qhubctl/internal/memory"
	"github.com/qhubctl/qhubctl/internal/peer"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/vault"
	"github.com/qhubctl/qhubctl/internal/web"
)

const (
	// keepFor is how long executions are kept after their end.
	keepFor = 30 * 24 * time.Hour
	// shutdownGrace is how long executions may go on when the server ends.
	shutdownGrace = 10 * time.Second
	// garbageTarget is the GOGC of a server, unless the variable is set. A server
	// holds a few megabytes: with the usual 100 the collector would run every few
	// executions.
	garbageTarget = 400
)

// Options say how a server listens, and what it keeps and runs.
type Options struct {
	Host string
	Port int
	// Token is what callers have to show.
	Token Token
	// MasterKey is where the key is that seals secrets. Nil: a file in the data
	// folder, which the first start makes.
	MasterKey vault.KeySource
	// Metrics are shown at a separate address. Nil: nothing is measured.
	Metrics *MetricsOptions
	// Concurrency is how many executions run at once. Zero: eight for each
	// processor.
	Concurrency int
	Sandbox     SandboxOptions
	// Policy says which revision runs an execution that waited.
	Policy engine.Policy
	// Network is the most that executions reach.
	Network  sandbox.Network
	Log      *slog.Logger
	Reporter Reporter
}

// Reporter reports events and warnings to the operator.
type Reporter interface {
	Say(format string, args ...any)
	Warn(format string, args ...any)
}

// A Server is a process that serves. Make one with [Listen].
type Server struct {
	options Options
	log     *slog.Logger
	// closers release resources, the last one first.
	closers []func() error

	listener   net.Listener
	dir        string // of its state
	token      Token
	executions store.Sealed
	keySource  vault.KeySource
	keyring    *vault.Keyring
	wrappedBy  uint32           // the version of the master key that all secrets are wrapped by
	machine    *sandbox.Machine // nil: executions are not confined
	peers      *peer.Guard      // nil: executions cannot be distinguished from other callers
	engine     *engine.Engine
	zygotes    *forkserver.Pool
	metrics    *metricsServer // nil: nothing is measured
}

// Listen takes the ports and looks at what executions can be confined by.
// Nothing is answered yet. The caller closes the server.
func Listen(ctx context.Context, o Options) (*Server, error) {
	s := &Server{options: o, log: o.Log, token: o.Token, zygotes: forkserver.NewPool(0)}
	s.closers = append(s.closers, tuneMemory())
	if err := s.listen(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// tuneMemory sets how garbage is collected, until the returned function is
// called.
func tuneMemory() (restore func() error) {
	percent := garbageTarget
	if os.Getenv("GOGC") == "" {
		percent = debug.SetGCPercent(garbageTarget)
	}
	limit := memory.SoftLimit()
	return func() error {
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(percent)
		}
		if limit > 0 {
			debug.SetMemoryLimit(limit)
		}
		return nil
	}
}

// OnClose has a function called when the server closes, after the engine if
// that is opened later.
func (s *Server) OnClose(f func() error) { s.closers = append(s.closers, f) }

// UseDir names the folder of the server's state. It makes the token there that
// [Token].Made stands for.
func (s *Server) UseDir(dir string) (err error) {
	s.dir = dir
	s.token, err = s.token.keptIn(dir)
	return err
}

// Open opens the store, the keys and the engine in the folder of [Server.UseDir].
func (s *Server) Open(ctx context.Context) error {
	executions, err := OpenStore(ctx, s.dir, s.metrics.storeOptions())
	if err != nil {
		return err
	}
	s.executions = executions
	s.OnClose(executions.Close)
	s.keySource = KeySource(s.options.MasterKey, s.dir)
	if s.keyring, err = openKeyring(ctx, s.options.Reporter, s.keySource, executions); err != nil {
		return err
	}
	s.wrappedBy = s.keyring.Version()
	s.OnClose(func() error { s.keyring.Clear(); return nil })
	s.engine, err = engine.Open(ctx, engine.Config{
		Store: executions, Keyring: s.keyring, Dir: s.dir, Log: s.log, Workers: s.workers(), Retention: keepFor,
		Observer: s.metrics.observer(), Policy: s.options.Policy, Recoverer: process.Recoverer{},
	})
	if err != nil {
		return err
	}
	s.OnClose(func() error { return s.closeEngine(ctx) })
	return nil
}

// workers is how many executions run at once: no more than there are descriptors
// for.
func (s *Server) workers() int {
	wanted, most := cmp.Or(s.options.Concurrency, engine.DefaultWorkers()), descriptors.Executions()
	if wanted > most {
		s.log.Warn("fewer executions run at once than could: raise the limit of open files (ulimit -n)", "wanted", wanted, "run", most)
	}
	return min(wanted, most)
}

// DatabaseName is the file of the executions in the folder of a server.
const DatabaseName = "executions.db"

// OpenStore opens the executions in the folder of a server.
func OpenStore(ctx context.Context, dir string, o sqlite.Options) (*sqlite.Store, error) {
	executions, err := sqlite.Open(ctx, filepath.Join(dir, DatabaseName), o)
	if err != nil {
		return nil, fmt.Errorf("cannot open the executions in %s: %w", dir, err)
	}
	return executions, nil
}

// Engine runs the executions. It is nil before [Server.Open].
func (s *Server) Engine() *engine.Engine { return s.engine }

// Machine is what executions are confined by; nil if they are not.
func (s *Server) Machine() *sandbox.Machine { return s.machine }

// Zygotes bounds the processes that are forked, of all services.
func (s *Server) Zygotes() *forkserver.Pool { return s.zygotes }

// Secrets are the server's own, which no execution may show.
func (s *Server) Secrets() []plaintext.Named {
	return []plaintext.Named{{Value: s.token.value, Own: true}}
}

// TokenFile is where a token stands that the server has made; empty if none.
func (s *Server) TokenFile() string { return s.token.file }

// NewAPI makes the Service API of one service below a base path, empty for the
// root, with its pages.
func (s *Server) NewAPI(service, base string, describe web.Describer) *httpapi.API {
	return httpapi.New(httpapi.Options{
		Service: s.engine.Service(service), Auth: s.token.authenticator(), Peers: s.peers, LoopbackOnly: !s.token.Asked(),
		Base: base, Pages: web.Pages(base, describe), Home: web.Home, Log: s.log,
	})
}

// Serve answers for APIs with different base paths until ctx ends. Meanwhile it
// takes over new master keys and shows the metrics.
func (s *Server) Serve(ctx context.Context, apis ...*httpapi.API) error {
	background, stop := context.WithCancel(ctx)
	following, showing := s.followKeys(background), s.showMetrics(background)
	defer func() {
		stop()
		<-following
		<-showing
	}()
	return httpapi.Serve(ctx, s.listener, apis...)
}

// Close gives back all that was opened. It lets running executions end, for a
// moment.
func (s *Server) Close() error {
	var err error
	for i := len(s.closers) - 1; i >= 0; i-- {
		if closed := s.closers[i](); err == nil {
			err = closed
		}
	}
	s.closers = nil
	return err
}

// closeEngine lets running executions end, for a moment. Another Ctrl-C, after
// the one that has ended ctx, stops them at once.
func (s *Server) closeEngine(ctx context.Context) error {
	patience, stop := context.WithTimeout(context.Background(), shutdownGrace)
	defer stop()
	if load, err := s.engine.QueueStats(patience); err == nil && load.Active > 0 {
		s.options.Reporter.Say("waiting for %d running executions; press Ctrl-C again to stop them", load.Active)
	}
	var again <-chan os.Signal
	if by, ok := interrupt.Of(ctx); ok {
		again = by.Again
	}
	closed := make(chan struct{})
	defer close(closed)
	go func() {
		select {
		case <-again:
			stop()
		case <-closed:
		}
	}()
	return s.engine.Close(patience)
}
