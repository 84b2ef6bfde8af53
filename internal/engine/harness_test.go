//go:build unix

package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/limits"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// patience is how long anything may take on a busy machine.
const patience = 3 * time.Minute

// serviceID is the service that the tests run.
const serviceID = "probe"

// server is an engine with what it needs.
type server struct {
	*engine.Engine
	t     testing.TB
	dir   string
	store *sqlite.Store
}

// serve opens an engine on a folder. It is closed by the test's cleanup.
func serve(t testing.TB, dir string, options ...func(*engine.Config)) *server {
	t.Helper()
	s, err := open(t.Context(), dir, options...)
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	t.Cleanup(s.shutdown)
	return s
}

func open(ctx context.Context, dir string, options ...func(*engine.Config)) (*server, error) {
	opened, err := sqlite.Open(ctx, filepath.Join(dir, "store.db"), sqlite.Options{ScrubAfter: 100 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	ring, err := vault.OpenFile(filepath.Join(dir, "master.key"))
	if err != nil {
		return nil, err
	}
	config := engine.Config{Store: opened, Keyring: ring, Dir: dir, Policy: engine.FollowNewest, Recoverer: process.Recoverer{}}
	for _, option := range options {
		option(&config)
	}
	openedEngine, err := engine.Open(ctx, config)
	return &server{Engine: openedEngine, dir: dir, store: opened}, err
}

// shutdown stops what runs, and checks that nothing is left.
func (s *server) shutdown() {
	s.t.Helper()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(ended); err != nil {
		s.t.Errorf("closing the engine: %v", err)
	}
	if err := s.store.Close(); err != nil {
		s.t.Errorf("closing the store: %v", err)
	}
}

// probeService is the service that does what a test asks for.
func probeService(t testing.TB) *engine.Revision {
	t.Helper()
	described, err := signature.Parse([]byte(probeDocument))
	if err != nil {
		t.Fatal(err)
	}
	return &engine.Revision{
		ID: "1", Signature: described, Runner: probeRunner(),
		Limits: limits.Limits{Grace: 5 * time.Second},
	}
}

func probeRunner() *process.Runner {
	env := runner.BaseEnvironment()
	env[roleVariable] = asService
	return &process.Runner{Program: process.Binary{Path: os.Args[0]}, Environment: env}
}

// serveProbe is a server with the probe.
func serveProbe(t testing.TB, options ...func(*engine.Config)) *server {
	t.Helper()
	s := serve(t, t.TempDir(), options...)
	s.set(probeService(t))
	return s
}

func (s *server) set(revision *engine.Revision) {
	s.t.Helper()
	if err := s.probe().Activate(revision); err != nil {
		s.t.Fatal(err)
	}
}

// probe is the service that the tests run.
func (s *server) probe() *engine.Service { return s.Service(serviceID) }

// ownSecrets are secrets of the server. Nil functions have none.
type ownSecrets struct {
	find   func(signature.Parameter) (value plaintext.Bytes, from string, ok bool)
	masked func() []plaintext.Named
}

func (o *ownSecrets) Has(_ context.Context, p signature.Parameter) (bool, error) {
	if o.find == nil {
		return false, nil
	}
	_, _, ok := o.find(p)
	return ok, nil
}

func (o *ownSecrets) Resolve(_ context.Context, p signature.Parameter) (s engine.ResolvedSecret, ok bool, err error) {
	if o.find == nil {
		return s, false, nil
	}
	value, from, ok := o.find(p)
	return engine.ResolvedSecret{Value: plaintext.New(bytes.Clone(value.Reveal())), From: from}, ok, nil
}

func (o *ownSecrets) Masked(context.Context) ([]plaintext.Named, error) {
	if o.masked == nil {
		return nil, nil
	}
	return o.masked(), nil
}

type body map[string]any

func action(name string) body { return body{"action": name} }

func (b body) with(name string, value any) body {
	b[name] = value
	return b
}

func (b body) token(value string) body {
	return b.with("$secrets", map[string]string{"api_token": value})
}

func (b body) json() []byte {
	text, err := json.Marshal(b)
	if err != nil {
		panic(err)
	}
	return text
}

// submit starts an execution and gives its id.
func (s *server) submit(b body) execution.ID {
	s.t.Helper()
	id, err := s.trySubmit(b)
	if err != nil {
		s.t.Fatalf("submitting %v: %v", b["action"], err)
	}
	return id
}

// trySubmit is submit for goroutines, which must not end a test.
func (s *server) trySubmit(b body) (execution.ID, error) {
	accepted, err := s.probe().Submit(s.t.Context(), engine.Submission{Body: b.json()})
	return accepted.Execution.ID, err
}

// wait waits for the end of an execution.
func (s *server) wait(id execution.ID) execution.Execution {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	e, err := s.probe().Wait(ctx, id)
	if err != nil {
		s.t.Fatal(err)
	}
	if !e.Status.Final() {
		s.t.Fatalf("%s is still %s, want it ended; its log: %q", id, e.Status, s.text(id))
	}
	return e
}

// run runs an execution to its end.
func (s *server) run(b body) execution.Execution {
	s.t.Helper()
	return s.wait(s.submit(b))
}

// log reads a whole log.
func (s *server) log(id execution.ID) []execution.LogEntry {
	s.t.Helper()
	lines, err := s.probe().ReadLog(s.t.Context(), id, 0, 1_000_000)
	if err != nil {
		s.t.Fatal(err)
	}
	entries := make([]execution.LogEntry, len(lines))
	for i, line := range lines {
		entries[i] = line.Entry
	}
	return entries
}

// text is a log as text.
func (s *server) text(id execution.ID) string {
	s.t.Helper()
	var text strings.Builder
	for _, entry := range s.log(id) {
		text.WriteString(string(entry.Severity) + " " + entry.Message + "\n")
	}
	return text.String()
}

// awaitLog waits until a log has a text.
func (s *server) awaitLog(id execution.ID, want string) string {
	s.t.Helper()
	watch, err := s.probe().Watch(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	defer watch.Stop()
	timeout := time.After(patience)
	for {
		text := s.text(id)
		if strings.Contains(text, want) {
			return text
		}
		select {
		case <-watch.C:
		case <-timeout:
			s.t.Fatalf("the log is %q, want %q in it", text, want)
		}
	}
}

func (s *server) result(id execution.ID) engine.Result {
	s.t.Helper()
	result, err := s.probe().Result(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return result
}

func (s *server) file(id execution.ID, name string) string {
	s.t.Helper()
	opened, file, err := s.probe().OpenFile(s.t.Context(), id, name)
	if err != nil {
		s.t.Fatalf("opening %q: %v", name, err)
	}
	defer func() { _ = opened.Close() }()
	content, err := io.ReadAll(opened)
	if err != nil {
		s.t.Fatal(err)
	}
	if int64(len(content)) != file.Size {
		s.t.Errorf("%s has %d bytes, want %d", name, len(content), file.Size)
	}
	return string(content)
}

// pipe is a named pipe: what reads it waits until let go.
func pipe(t testing.TB) (path string, letGo func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, func() {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

// workDirs are the folders of running executions.
func (s *server) workDirs() []string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.dir, "work", "*", "executions", "qhubctl-run-*"))
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// load waits until what waits and runs is as wanted.
func (s *server) awaitLoad(want store.ServiceStats) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	watch := s.store.WatchQueue()
	defer watch.Stop()
	for {
		load, err := s.QueueStats(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if load.Services[serviceID] == want {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the load is %+v, want %+v", load.Services[serviceID], want)
		}
		select {
		case <-watch.C:
		case <-time.After(10 * time.Millisecond): // no signal reports a claim
		}
	}
}
