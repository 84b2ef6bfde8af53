package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/lmittmann/tint"

	"github.com/qhubctl/qhubctl/internal/descriptors"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/httpapi"
	"github.com/qhubctl/qhubctl/internal/httpserver"
	"github.com/qhubctl/qhubctl/internal/memory"
	"github.com/qhubctl/qhubctl/internal/peer"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/vault"
	"github.com/qhubctl/qhubctl/internal/web"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

const (
	// keepFor is how long executions are kept after their end.
	keepFor = 30 * 24 * time.Hour
	// shutdownGrace is how long executions may go on when the server is to end.
	shutdownGrace = 10 * time.Second
	// garbage is how much of it a server gathers, in percent of what it holds,
	// unless GOGC says so. It holds a few megabytes: with the usual 100 it would
	// look through them every few executions.
	garbage = 400
)

// serving is one `qhubctl serve`.
type serving struct {
	streams *term.Streams
	options serveOptions
	log     *slog.Logger
	// ways to give back what was opened, the last first
	closers []func() error

	dir           string // of its own state
	id            string // of the service
	executions    store.Store
	keySource     vault.KeySource
	keyring       *vault.Keyring
	wrappedBy     uint32           // the version of the master key that all secrets are wrapped by
	machine       *sandbox.Machine // nil: executions are not confined
	engine        *engine.Engine
	zygotes       *forkserver.Pool // the processes that are forked, of all services
	metricsServer *metricsServer   // nil: nothing is measured
	current       *service
	warming       sync.WaitGroup
	api           *httpapi.API
	token         callerToken
	peers         *peer.Guard // nil: executions cannot be told from other callers
	revisions     *workspace.Revisions
}

// collectGarbage sets how garbage is collected, until the returned function is
// called.
func collectGarbage() (restore func()) {
	percent := garbage
	if os.Getenv("GOGC") == "" {
		percent = debug.SetGCPercent(garbage)
	}
	limit := memory.SoftLimit()
	return func() {
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(percent)
		}
		if limit > 0 {
			debug.SetMemoryLimit(limit)
		}
	}
}

// serveRun serves until it is interrupted.
func serveRun(ctx context.Context, streams *term.Streams, o serveOptions) (err error) {
	restore := collectGarbage()
	defer restore()
	s := &serving{streams: streams, options: o, log: newServerLog(streams, o.verbose), zygotes: forkserver.NewPool(0)}
	defer s.warming.Wait()
	defer func() {
		for i := len(s.closers) - 1; i >= 0; i-- {
			if closed := s.closers[i](); err == nil {
				err = closed
			}
		}
	}()
	if s.token, err = o.givenToken(); err != nil {
		return err
	}
	listener, err := o.listen(ctx) // first: it fails most often, and costs least
	if err != nil {
		return err
	}
	limiter := httpserver.NewLimiter(httpserver.Limits{Total: descriptors.Connections()}, s.log)
	listener = limiter.Listener(listener)
	defer func() { _ = listener.Close() }()
	if s.metricsServer, err = o.measure(ctx, limiter); err != nil {
		return err
	}
	defer s.metricsServer.close()
	if err := s.openSandbox(); err != nil {
		return err
	}
	if err := s.guard(); err != nil {
		return err
	}
	described, err := s.load(ctx)
	if err != nil {
		return err
	}
	if err := s.openEngine(ctx); err != nil {
		return err
	}
	if err := s.setService(ctx, described, s.warming.Go); err != nil {
		return err
	}
	s.newAPI()
	ctx, stop := context.WithCancel(ctx)
	watching, following, showing := s.reloadOnChange(ctx), s.followKeys(ctx), s.showMetrics(ctx)
	defer func() {
		stop()
		<-watching
		<-following
		<-showing
	}()
	url := addressOf(listener)
	s.greet(described, url)
	if err := writeAll(streams.Out, []byte(url+"\n")); err != nil {
		return err
	}
	err = s.api.Serve(ctx, listener)
	if err == nil {
		streams.Say("%s", "stopped answering")
	}
	return err
}

// addressOf is where this machine finds the API.
func addressOf(listener net.Listener) string {
	host, port, err := net.SplitHostPort(listener.Addr().String())
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// newServerLog writes for the person at the terminal.
func newServerLog(streams *term.Streams, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	switch {
	case streams.Quiet:
		level = slog.LevelError
	case verbose:
		level = slog.LevelDebug
	}
	return slog.New(tint.NewTextHandler(streams.Log(), &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !streams.Animate}))
}

// load prepares the workspace and learns the signature of the service.
func (s *serving) load(ctx context.Context) (*signature.Signature, error) {
	opened, err := s.options.open(ctx, s.streams)
	if err != nil {
		return nil, err
	}
	opened.watched = opened.workspace.WatchKey(opened.env)
	if s.dir, err = opened.workspace.ServeDir(); err != nil {
		return nil, err
	}
	if err := s.token.keepIn(s.dir); err != nil {
		return nil, err
	}
	opened.server = []plaintext.Named{{Value: s.token.value, Own: true}}
	opened.mask(opened.masked(secretref.NewFinder(nil, opened.files)))
	if err := s.confine(ctx, opened); err != nil {
		return nil, err
	}
	described, err := opened.signature(ctx, s.streams.Log())
	if err != nil {
		return nil, errors.Join(err, opened.close())
	}
	s.current = opened
	return described, nil
}

func (s *serving) openEngine(ctx context.Context) error {
	var err error
	if s.id, err = loadOrCreateID(filepath.Join(s.dir, "service-id")); err != nil {
		return err
	}
	executions, err := openExecutions(ctx, s.dir, s.metricsServer.storeOptions())
	if err != nil {
		return err
	}
	s.executions = executions
	s.closers = append(s.closers, executions.Close)
	s.keySource = s.options.masterKey.in(s.dir)
	if s.keyring, err = openKeyring(ctx, s.streams, s.keySource, executions); err != nil {
		return err
	}
	s.wrappedBy = s.keyring.Version()
	s.closers = append(s.closers, func() error { s.keyring.Clear(); return nil })
	s.engine, err = engine.Open(ctx, engine.Config{
		Store: executions, Keyring: s.keyring, Dir: s.dir, Log: s.log, Workers: s.workers(), Retention: keepFor,
		Observer: s.metricsServer.observer(),
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { return s.closeEngine(ctx) })
	return nil
}

// workers is how many executions run at once: no more than there are descriptors
// for.
func (s *serving) workers() int {
	wanted, most := cmp.Or(s.options.concurrency, engine.DefaultWorkers()), descriptors.Executions()
	if wanted > most {
		s.log.Warn("fewer executions run at once than could: raise the limit of open files (ulimit -n)", "wanted", wanted, "run", most)
	}
	return min(wanted, most)
}

const databaseName = "executions.db"

// openExecutions opens what a folder of serve keeps.
func openExecutions(ctx context.Context, dir string, o sqlite.Options) (*sqlite.Store, error) {
	executions, err := sqlite.Open(ctx, filepath.Join(dir, databaseName), o)
	if err != nil {
		return nil, fmt.Errorf("cannot open the executions in %s: %w", dir, err)
	}
	return executions, nil
}

// loadOrCreateID reads the id of the service, or makes one: its executions are found
// by it.
func loadOrCreateID(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		id := uuid.NewString()
		return id, os.WriteFile(path, []byte(id+"\n"), 0o600)
	}
	return strings.TrimSpace(string(text)), err
}

// closeEngine lets what runs end, for a moment. Another Ctrl-C, after the one
// that has ended ctx, ends it now.
func (s *serving) closeEngine(ctx context.Context) error {
	patience, stop := context.WithTimeout(context.Background(), shutdownGrace)
	defer stop()
	if load, err := s.engine.QueueStats(patience); err == nil && load.Active > 0 {
		s.streams.Say("waiting for %d that run; Ctrl-C again ends them", load.Active)
	}
	var again <-chan os.Signal
	var by *interruption
	if errors.As(context.Cause(ctx), &by) {
		again = by.again
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

// setService gives the engine the service as it is now. Importing it ahead is
// left to prepare, which runs its argument.
func (s *serving) setService(ctx context.Context, described *signature.Signature, prepare func(func())) error {
	opened := s.current
	if err := checkOwnSecrets(secretref.NewFinder(nil, opened.files), described, s.streams.Warn); err != nil {
		return err
	}
	run, program, whyNot := s.runner(opened, spares)
	run = opened.closing(run)
	if program != nil {
		prepare(func() {
			if program.Prepare(ctx) == nil {
				s.log.Debug("the service starts "+startText(opened.learnStart(program)), "confined", program.State().Sandboxed)
			}
		})
	}
	if err := s.engine.SetService(s.platformService(opened, s.metricsServer.counted(run, program), described)); err != nil {
		return errors.Join(err, run.Close())
	}
	s.metricsServer.follow(opened, program, whyNot)
	return nil
}

// platformService is the service as the engine runs it.
func (s *serving) platformService(opened *service, run runner.Runner, described *signature.Signature) *engine.Service {
	w := opened.workspace
	revision := opened.key
	if revision == "" {
		revision = uuid.NewString()
	}
	finder := secretref.NewFinder(nil, opened.files)
	description := w.Description
	if described.Description != "" {
		description = described.Description
	}
	pools := newPools(opened)
	return &engine.Service{
		ID: s.id, Revision: revision, Name: w.Name, Version: w.Version, Description: description, Signature: described,
		Runner: run,
		Limits: s.limits(w.Limits),
		Resolvers: engine.Resolvers{
			Secret: func(p signature.Parameter) (plaintext.Bytes, string, bool) {
				found, ok := finder.Find(p)
				return found.Value, found.From, ok
			},
			Masked:   func() []plaintext.Named { return opened.masked(finder) },
			DataPool: func(p signature.Parameter, _ *signature.DataPoolReference) (string, error) { return pools.find(p.Name) },
		},
	}
}

// runner runs the executions of the service, as forks of a process that is
// ready where that can be. Forks are kept apart as processes with a sandbox each
// are. Where this machine cannot do that, they start cold: whyNot says so where
// there is no process to be forked.
func (s *serving) runner(opened *service, spares int) (r runner.Runner, program *forkserver.Program, whyNot string) {
	sb := opened.sandbox
	cold := &process.Runner{
		Program: opened.program, Dir: opened.workspace.Dir, Environment: opened.environment(runner.Dir{}), Sandbox: sb,
	}
	if _, whyNot = opened.forkable(); whyNot == "" && !descriptors.Warm() {
		return cold, nil, "there are too few file descriptors to keep a process ready: raise their limit (ulimit -n)"
	}
	if sb.Confines() {
		if err := s.machine.RequireForks(); err != nil {
			return cold, nil, fmt.Sprintf("this machine does not keep forks apart: %v", err)
		}
	}
	_, whyNot = opened.forkable()
	r, program = opened.runner(s.log, spares, s.options.importAge, sb, s.engine.Scratch(), s.zygotes)
	return r, program, whyNot
}

func (s *serving) newAPI() {
	pages := web.Pages(func() (web.Service, bool) {
		p, ok := s.engine.Service(s.id)
		if !ok {
			return web.Service{}, false
		}
		return web.Service{
			Name: p.Name, Version: p.Version, Description: p.Description, Signature: p.Signature, Request: p.RequestSignature(),
		}, true
	})
	s.api = httpapi.New(httpapi.Options{
		Engine: s.engine, Service: s.id, Auth: s.token.authenticator(), Peers: s.peers, LoopbackOnly: s.options.auth == "", Pages: pages, Home: web.Home, Log: s.log,
	})
}
