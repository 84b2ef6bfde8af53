// Package devserver serves one workspace. It registers the service with a server, and
// registers it again after each change of the workspace's files.
package devserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/build"
	"github.com/qhubctl/qhubctl/internal/descriptors"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/limits"
	"github.com/qhubctl/qhubctl/internal/metrics"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/reference"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/secretref"
	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/web"
	"github.com/qhubctl/qhubctl/internal/workspace"
)

const (
	// DefaultImportAge is the default of Options.ImportAge on the command line.
	DefaultImportAge = time.Hour
	// spares is how many spare forks wait for requests. More would not start
	// executions sooner: while a request uses one, another one is made.
	spares = 2
	// grace is how long an execution may take to end after it is asked to.
	grace = 10 * time.Second
)

// Options select a workspace and configure how it is served.
type Options struct {
	Service build.Options
	Server  server.Options
	// Limits and Network bound executions. The workspace sets such limits, too: the
	// stricter ones count. Network is a key of [Networks], or empty for no bound.
	Limits  limits.Limits
	Network string
	// ImportAge is how long executions share an import of the service. Zero: always.
	ImportAge time.Duration
	// NoReload ignores changes of the workspace.
	NoReload bool
	// SecretFiles are additional files that no execution may read, such as the files
	// of tokens and keys.
	SecretFiles []string
	Log         *slog.Logger
	Reporter    Reporter
	// Started is called when the service accepts requests.
	Started func(Started) error
}

// Reporter reports progress, warnings and errors to the user.
type Reporter interface {
	build.Reporter
	Say(format string, args ...any)
	Error(err error)
	// Log returns the writer for the output of the service during its import.
	Log() io.Writer
}

// Started describes a service that accepts requests.
type Started struct {
	Service   *build.Service
	Signature *signature.Signature
	URL       string
	// MetricsURL and TokenFile are empty if there are none.
	MetricsURL, TokenFile string
	// Token says that callers must send a token.
	Token bool
}

// devServer serves one workspace.
type devServer struct {
	options   Options
	reporter  Reporter
	log       *slog.Logger
	server    *server.Server
	id        string // the service's id
	dir       string // the server's data folder
	current   *service
	warming   sync.WaitGroup
	revisions *workspace.Revisions
	// references resolves the references of secrets.
	references *reference.Resolver
}

// service is one revision of the service, with its sandbox and snapshot.
type service struct {
	*build.Service
	// watched identifies the watched files: a change reloads the service.
	watched string
	// confinement is the sandbox of its processes.
	confinement build.Confinement
	// own are the secrets of the server itself.
	own []plaintext.Named
	// snapshot is the copy of the workspace that executions see. Nil: they see the
	// workspace.
	snapshot *workspace.Snapshot
}

// masked returns all values that no execution may show.
func (s *service) masked(finder *secretref.Finder) []plaintext.Named {
	return append(finder.AllValues(), s.own...)
}

// Run serves the workspace until ctx ends.
func Run(ctx context.Context, o Options) (err error) {
	s := &devServer{options: o, reporter: o.Reporter, log: o.Log}
	defer s.warming.Wait()
	o.Server.Policy = engine.FollowNewest // authors change the workspace while it is served
	if s.server, err = server.Listen(ctx, o.Server); err != nil {
		return err
	}
	defer func() {
		if closed := s.server.Close(); err == nil {
			err = closed
		}
	}()
	described, err := s.load(ctx)
	if err != nil {
		return err
	}
	if s.id, err = loadOrCreateID(filepath.Join(s.dir, "service-id")); err != nil {
		return err
	}
	if err := s.server.Open(ctx); err != nil {
		return err
	}
	if err := s.register(ctx, described, s.warming.Go); err != nil {
		return err
	}
	api := s.server.NewAPI(s.id, "", s.described)
	ctx, stop := context.WithCancel(ctx)
	watching := s.reloadOnChange(ctx)
	defer func() {
		stop()
		<-watching
	}()
	err = o.Started(Started{
		Service: s.current.Service, Signature: described, URL: s.server.URL(), MetricsURL: s.server.MetricsURL(),
		TokenFile: s.server.TokenFile(), Token: o.Server.Token.Asked(),
	})
	if err != nil {
		return err
	}
	if err := s.server.Serve(ctx, api); err != nil {
		return err
	}
	s.reporter.Say("%s", "stopped answering")
	return nil
}

// load prepares the workspace and learns the signature of the service.
func (s *devServer) load(ctx context.Context) (*signature.Signature, error) {
	built, err := build.Open(ctx, s.options.Service, s.reporter)
	if err != nil {
		return nil, err
	}
	if s.references == nil {
		if s.references, err = built.References(); err != nil {
			return nil, err
		}
		s.server.OnClose(s.references.Close)
	}
	opened := &service{Service: built, watched: built.Workspace.WatchKey(built.Environment)}
	if s.dir, err = built.Workspace.ServeDir(); err != nil {
		return nil, err
	}
	if err := s.server.UseDir(s.dir); err != nil {
		return nil, err
	}
	opened.own = s.server.Secrets()
	opened.Mask(opened.masked(secretref.NewFinder(nil, opened.Files)))
	if err := s.confine(ctx, opened); err != nil {
		return nil, err
	}
	described, err := opened.Signature(ctx, s.reporter.Log(), opened.confinement)
	if err != nil {
		return nil, errors.Join(err, opened.close())
	}
	s.current = opened
	return described, nil
}

// loadOrCreateID reads the id of the service, or makes one. The store finds the
// executions of the service by this id.
func loadOrCreateID(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		id := uuid.NewString()
		return id, os.WriteFile(path, []byte(id+"\n"), 0o600)
	}
	return strings.TrimSpace(string(text)), err
}

// register activates the current service in the engine. It passes the import of the
// service to prepare, which runs it now or in the background.
func (s *devServer) register(ctx context.Context, described *signature.Signature, prepare func(func())) error {
	opened := s.current
	if err := build.CheckOwnSecrets(secretref.NewFinder(nil, opened.Files), described, s.reporter.Warn); err != nil {
		return err
	}
	run, program, whyNot := s.runner(opened)
	run = opened.closing(run)
	if program != nil {
		prepare(func() {
			if program.Prepare(ctx) == nil {
				s.log.Debug("the service starts "+build.StartText(opened.LearnStart(program)), "confined", program.State().Sandboxed)
			}
		})
	}
	counted := run
	if program == nil { // a pool counts its own starts
		counted = s.server.Counted(run)
	}
	if err := s.server.Engine().Service(s.id).Activate(s.revision(opened, counted, described)); err != nil {
		return errors.Join(err, run.Close())
	}
	s.server.ShowStart(func() metrics.Start {
		if program == nil {
			return metrics.Start{Reason: whyNot}
		}
		state := program.State()
		return metrics.Start{Warm: state.Warm, Preparing: !state.Warm && state.Reason == "", Reason: opened.Masker.String(state.Reason)}
	})
	return nil
}

// revision makes the revision of the service for the engine.
func (s *devServer) revision(opened *service, run runner.Runner, described *signature.Signature) *engine.Revision {
	w := opened.Workspace
	id := opened.Key
	if id == "" {
		id = uuid.NewString()
	}
	finder := secretref.NewFinder(nil, opened.Files)
	description := w.Description
	if described.Description != "" {
		description = described.Description
	}
	return &engine.Revision{
		ID: id, Name: w.Name, Version: w.Version, Description: description, Signature: described,
		Runner: run,
		Limits: s.bounds(w.Limits), Concurrency: s.options.Server.Concurrency,
		Resolvers: engine.Resolvers{Secrets: &secrets{opened, finder, s.references}, DataPools: newPools(opened)},
	}
}

// runner makes the runner of the service. If possible, executions are forks of a
// zygote, and are isolated from each other like processes with separate sandboxes.
// Otherwise executions start cold: program is nil, and whyNot has the reason.
func (s *devServer) runner(opened *service) (r runner.Runner, program *forkserver.Program, whyNot string) {
	sb := opened.confinement.Sandbox
	_, whyNot = opened.Forkable()
	if whyNot == "" && !descriptors.Warm() {
		return opened.ColdRunner(sb), nil, "there are too few file descriptors to keep a process ready: raise their limit (ulimit -n)"
	}
	if sb.Confines() {
		if err := s.server.Machine().RequireForks(); err != nil {
			return opened.ColdRunner(sb), nil, fmt.Sprintf("this machine does not keep forks apart: %v", err)
		}
	}
	r, program = opened.Runner(build.RunnerOptions{
		Log: s.log, Spares: spares, MaxAge: s.options.ImportAge, Sandbox: sb,
		Scratch: s.server.Engine().Scratch(), Pool: s.server.Zygotes(),
	})
	return r, program, whyNot
}

// described returns the description of the service for its pages.
func (s *devServer) described(ctx context.Context) (web.Service, error) {
	r, ok := s.server.Engine().Service(s.id).Current()
	if !ok {
		return web.Service{}, errors.New("the service has no revision")
	}
	request, err := r.RequestSignature(ctx)
	if err != nil {
		s.log.Error("cannot learn which secrets and data pools there are", "error", err)
		return web.Service{}, err
	}
	return web.Service{Name: r.Name, Version: r.Version, Description: r.Description, Signature: r.Signature, Request: request}, nil
}
