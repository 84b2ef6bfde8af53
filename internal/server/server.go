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
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/qhubctl/qhubctl/internal/descriptors"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/httpapi"
	"github.com/qhubctl/qhubctl/internal/interrupt"
	"github.com/qhubctl/qhubctl/internal/memory"
	"github.com/qhubctl/qhubctl/internal/peer"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/vault"
	"github.com/qhubctl/qhubctl/internal/web"
)

const (
	// keepFor is how long executions are kept after their end.
	keepFor = 30 * 24 * time.Hour
	// shutdownGrace is how long executions may still run when the server shuts down.
	shutdownGrace = 10 * time.Second
	// garbageTarget is the GOGC of a server, unless the variable is set. A server has
	// a heap of a few megabytes: with the default of 100, the collector would run
	// every few executions.
	garbageTarget = 400
)

// Options configure a server: its address, its data and its executions.
type Options struct {
	Host string
	Port int
	// TLS is how the server proves who it is. Nil: it speaks plain HTTP.
	TLS *tls.Config
	// Token is the token that callers must send.
	Token Token
	// MasterKey is the source of the key that seals secrets. Nil: a file in the data
	// folder, which the first start makes.
	MasterKey vault.KeySource
	// Database has the state in Postgres. Nil: it is a SQLite file in the data folder.
	Database *Database
	// Metrics are served at a separate address. Nil: there are no metrics.
	Metrics *MetricsOptions
	// Concurrency is how many executions run at once. Zero: eight for each
	// processor.
	Concurrency int
	Sandbox     SandboxOptions
	// Policy says which revision runs an execution that waited.
	Policy engine.Policy
	// Registry finds revisions that were activated before. Nil: there are none.
	Registry engine.Registry
	// Network is the widest network that executions may reach.
	Network  sandbox.Network
	Log      *slog.Logger
	Reporter Reporter
}

// Reporter reports events and warnings to the operator.
type Reporter interface {
	Say(format string, args ...any)
	Warn(format string, args ...any)
}

// A Server serves executions. Make one with [Listen].
type Server struct {
	options Options
	log     *slog.Logger
	// closers release resources, the last one first.
	closers []func() error

	listener   net.Listener
	dir        string // the data folder
	token      Token
	executions *sqlite.Store
	keySource  vault.KeySource
	keyring    *vault.Keyring
	wrappedBy  uint32           // the version of the master key that all secrets are wrapped by
	machine    *sandbox.Machine // nil: executions are not confined
	peers      *peer.Guard      // nil: executions cannot be distinguished from other callers
	engine     *engine.Engine
	zygotes    *forkserver.Pool
	metrics    *metricsServer // nil: there are no metrics
	audit      *auditLog      // nil: there is none
}

// Listen opens the ports and the sandbox. The server does not answer requests before
// [Server.Serve]. The caller closes the server.
func Listen(ctx context.Context, o Options) (*Server, error) {
	s := &Server{options: o, log: o.Log, token: o.Token, zygotes: forkserver.NewPool(0)}
	s.closers = append(s.closers, tuneMemory())
	if err := s.listen(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// tuneMemory configures the garbage collector. The returned function restores it.
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

// OnClose registers a function that Close calls. Functions run in reverse order, so
// one that is registered before Open runs after the engine is closed.
func (s *Server) OnClose(f func() error) { s.closers = append(s.closers, f) }

// UseDir sets the data folder of the server. For [MadeToken] it makes or reads the
// token there.
func (s *Server) UseDir(dir string) (err error) {
	s.dir = dir
	s.token, err = s.token.keptIn(dir)
	return err
}

// Open opens the store, the keys and the engine in the folder that [Server.UseDir] has
// set.
func (s *Server) Open(ctx context.Context) error {
	executions, err := OpenState(ctx, s.dir, s.options.Database, s.metrics.storeOptions())
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
		Registry: s.options.Registry,
	})
	if err != nil {
		return err
	}
	s.OnClose(func() error { return s.closeEngine(ctx) })
	return nil
}

// workers is how many executions run at once: at most as many as the limit of open
// files allows.
func (s *Server) workers() int {
	slots := s.Slots()
	if wanted := s.wantedSlots(); wanted > slots {
		s.log.Warn("fewer executions run at once than could: raise the limit of open files (ulimit -n)", "wanted", wanted, "run", slots)
	}
	return slots
}

func (s *Server) wantedSlots() int { return cmp.Or(s.options.Concurrency, engine.DefaultWorkers()) }

// Slots is how many executions run at once.
func (s *Server) Slots() int { return min(s.wantedSlots(), descriptors.Executions()) }

// DatabaseName is the name of the database in the data folder of a server.
const DatabaseName = "executions.db"

// OpenStore opens the database in the data folder of a server.
func OpenStore(ctx context.Context, dir string, o sqlite.Options) (*sqlite.Store, error) {
	if err := inFolder(dir); err != nil {
		return nil, err
	}
	executions, err := sqlite.Open(ctx, filepath.Join(dir, DatabaseName), o)
	if err != nil {
		return nil, fmt.Errorf("cannot open the executions in %s: %w", dir, err)
	}
	return executions, nil
}

// CopyDatabase copies the state after one commit of the database at path, which servers
// may be using, to a new file.
func CopyDatabase(ctx context.Context, path, copyPath string) error {
	return sqlite.Snapshot(ctx, path, copyPath)
}

// VerifyDatabase returns an error if a database that no server uses is damaged, or if
// this program is too old for it. It changes nothing.
func VerifyDatabase(ctx context.Context, path string) error { return sqlite.Verify(ctx, path) }

// StoreOptions adjust a store.
type StoreOptions = sqlite.Options

// Adoption says what becomes of the executions of another database.
type Adoption = sqlite.Adoption

// Adopted counts the executions that were taken over.
type Adopted = sqlite.Adopted

// AdoptExecutions takes the executions of the database at from over into the one at path.
// See [sqlite.Adopt].
func AdoptExecutions(ctx context.Context, path, from string, a Adoption, copied func([]execution.ID) error) (Adopted, error) {
	return sqlite.Adopt(ctx, path, from, a, copied)
}

// Engine returns the engine. It is nil before [Server.Open].
func (s *Server) Engine() *engine.Engine { return s.engine }

// Store is what the server keeps its state in. It is nil before [Server.Open].
func (s *Server) Store() *sqlite.Store { return s.executions }

// Keyring seals secrets. It is nil before [Server.Open].
func (s *Server) Keyring() *vault.Keyring { return s.keyring }

// Peers tell the connections of executions; nil if they cannot be distinguished.
func (s *Server) Peers() *peer.Guard { return s.peers }

// Machine returns the sandbox of executions, or nil if they run without one.
func (s *Server) Machine() *sandbox.Machine { return s.machine }

// Zygotes returns the pool that bounds the zygotes of all services.
func (s *Server) Zygotes() *forkserver.Pool { return s.zygotes }

// Secrets returns the secrets of the server itself, which no execution may show.
func (s *Server) Secrets() []plaintext.Named {
	own := []plaintext.Named{{Value: s.token.value, Own: true}}
	return append(own, s.options.Database.secrets()...)
}

// Ready reports an error while the server can do nothing for its callers, as its
// database does not answer.
func (s *Server) Ready(ctx context.Context) error { return s.executions.Ping(ctx) }

// TokenFile is the file of a token that the server has made, or empty.
func (s *Server) TokenFile() string { return s.token.file }

// NewAPI makes the Service API of one service, with its pages, below a base path. An
// empty base is the root.
func (s *Server) NewAPI(service, base string, describe web.Describer) *httpapi.API {
	return httpapi.New(httpapi.Options{
		Service: s.engine.Service(service), Auth: s.token.authenticator(), Peers: s.peers, LoopbackOnly: !s.token.Asked(),
		Base: base, Pages: web.Pages(base, describe), Home: web.Home, Log: s.log,
	})
}

// Serve serves APIs with different base paths until ctx ends. Meanwhile it loads new
// master keys and serves the metrics.
func (s *Server) Serve(ctx context.Context, apis ...*httpapi.API) error {
	end := s.inBackground(ctx)
	defer end()
	return httpapi.Serve(ctx, s.listener, apis...)
}

// ServeHandler is [Server.Serve] for a handler with several APIs, which drain ends
// the long answers of.
func (s *Server) ServeHandler(ctx context.Context, handler http.Handler, drain func()) error {
	end := s.inBackground(ctx)
	defer end()
	return httpapi.ServeHandler(ctx, s.listener, handler, httpapi.HandlerOptions{Peers: s.peers, Log: s.log, Drain: drain, TLS: s.options.TLS})
}

// inBackground does what a server does while it answers, until the returned
// function is called.
func (s *Server) inBackground(ctx context.Context) (end func()) {
	background, stop := context.WithCancel(ctx)
	following, showing, auditing := s.followKeys(background), s.showMetrics(background), s.keepAudit(background)
	return func() {
		stop()
		<-following
		<-showing
		<-auditing
	}
}

// Close releases all resources of the server. Running executions get a grace time to
// end.
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

// closeEngine waits up to shutdownGrace for running executions. Another Ctrl-C, after
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
