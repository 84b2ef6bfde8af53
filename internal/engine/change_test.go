//go:build unix

package engine_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

// closable is a runner that notes its end.
type closable struct {
	runner.Runner
	closed atomic.Bool
}

func (c *closable) Close() error {
	c.closed.Store(true)
	return c.Runner.Close()
}

// When a revision is replaced, its running executions go on, and the new revision runs
// the waiting ones. One whose request the new revision refuses fails.
func TestReplacedService(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	old := probeService(t)
	first := &closable{Runner: old.Runner}
	old.Runner, old.Concurrency = first, 1
	s.set(old)
	path, letGo := pipe(t)
	running := s.submit(action("hold").with("text", path).token(secretValue))
	s.awaitLog(running, "ready")
	good := s.submit(action("return").with("text", "x").token(secretValue))
	bad := s.submit(action("print").with("number", 3))

	replaced := probeService(t)
	replaced.ID = "2"
	replaced.Signature = parse(t, strings.ReplaceAll(probeDocument, `"number"`, `"count"`))
	s.set(replaced)
	if current, ok := s.probe().Current(); !ok || current != replaced {
		t.Errorf("Current() = %+v, %t, want the replacing revision", current, ok)
	}
	if first.closed.Load() {
		t.Error("the runner was closed while its execution runs, want it kept")
	}
	letGo()
	if e := s.wait(running); e.Status != execution.Succeeded || e.ServiceRevision != "1" {
		t.Errorf("the running execution is %s by revision %s: %v, want SUCCEEDED by 1", e.Status, e.ServiceRevision, e.Problem)
	}
	if e := s.wait(good); e.Status != execution.Succeeded || !strings.Contains(s.text(good), "NOTICE the service has changed") {
		t.Errorf("the waiting execution is %s: %v, want SUCCEEDED with a notice in its log:\n%s", e.Status, e.Problem, s.text(good))
	}
	e := s.wait(bad)
	if e.Status != execution.Failed || e.Problem.Type != execution.TypeChanged || e.Problem.Extensions["errors"] == nil {
		t.Errorf("a request that the new revision refuses is %s: %+v, want FAILED with %s", e.Status, e.Problem, execution.TypeChanged)
	}
	deadline := time.Now().Add(patience)
	for !first.closed.Load() {
		if time.Now().After(deadline) {
			t.Fatal("the runner of the replaced revision is open, want it closed after its last execution")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func parse(t *testing.T, document string) *signature.Signature {
	t.Helper()
	parsed, err := signature.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// requiring is the probe with a secret that it cannot do without.
func requiring(t *testing.T, secret func(signature.Parameter) (plaintext.Bytes, string, bool)) *engine.Revision {
	service := probeService(t)
	service.Signature = parse(t, strings.ReplaceAll(probeDocument,
		`"kind": "secret", "required": false`, `"kind": "secret", "required": true`))
	service.Resolvers.Secrets = &ownSecrets{find: secret}
	return service
}

func required(s *signature.Signature, name string) bool {
	p, ok := s.Lookup(name)
	return ok && p.Required
}

func TestSecretsOfTheServer(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	kept := plaintext.FromString("the-server's-own")
	var gone atomic.Bool
	service := requiring(t, func(p signature.Parameter) (plaintext.Bytes, string, bool) {
		return kept, ".env", p.Name == "api_token" && !gone.Load()
	})
	service.Concurrency = 1
	s.set(service)
	if s, err := service.RequestSignature(t.Context()); err != nil || required(s, "api_token") {
		t.Errorf("RequestSignature(server has the secret): %v, want the secret optional", err)
	}
	for range 2 { // the engine wipes no value that is not its own
		if log := s.text(s.run(action("leak")).ID); !strings.Contains(log, "stdout [redacted]\n") {
			t.Errorf("the log is %q, want the server's secret masked", log)
		}
	}
	if log := s.text(s.run(action("leak").token("the-caller's-own")).ID); !strings.Contains(log, "stdout [redacted]\n") {
		t.Errorf("the log is %q, want the caller's secret masked", log)
	}
	path, letGo := pipe(t)
	held := s.submit(action("hold").with("text", path))
	late := s.submit(action("nothing"))
	s.awaitLog(held, "ready")
	gone.Store(true)
	if s, err := service.RequestSignature(t.Context()); err != nil || !required(s, "api_token") {
		t.Errorf("RequestSignature(server lacks the secret): %v, want the secret required", err)
	}
	letGo()
	e := s.wait(late)
	if e.Status != execution.Failed || e.Problem.Type != execution.TypeSecrets {
		t.Errorf("an execution whose secret is gone is %s: %+v, want FAILED with %s", e.Status, e.Problem, execution.TypeSecrets)
	}
	_, err := s.probe().Submit(t.Context(), engine.Submission{Body: action("nothing").json()})
	if errs := (signature.Errors{}); !errors.As(err, &errs) {
		t.Errorf("Submit(without the secret) = %v, want signature.Errors", err)
	}
	s.wait(held)
}

// An engine that closes gives back what it has not started, and lets what
// runs end.
func TestCloseWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	service := probeService(t)
	service.Concurrency = 1
	s.set(service)
	path, letGo := pipe(t)
	running := s.submit(action("hold").with("text", path))
	waiting := s.submit(action("return").with("text", "later"))
	s.awaitLog(running, "ready")
	closed := make(chan error, 1)
	go func() { closed <- s.Close(context.Background()) }()
	for {
		_, err := s.probe().Submit(t.Context(), engine.Submission{Body: action("nothing").json()})
		if errors.Is(err, engine.ErrClosed) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	letGo()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	for id, want := range map[execution.ID]execution.Status{running: execution.Succeeded, waiting: execution.Pending} {
		if e, err := s.probe().Get(t.Context(), id); err != nil || e.Status != want {
			t.Errorf("Get(after Close) = %s, %v, want %s", e.Status, err, want)
		}
	}
	if left, err := os.ReadDir(filepath.Join(dir, "work")); err != nil || len(left) > 0 {
		t.Errorf("Close left the folders %v, %v, want none", left, err)
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	next := serve(t, dir)
	next.set(probeService(t))
	if e := next.wait(waiting); e.Status != execution.Succeeded {
		t.Errorf("the execution that waited is %s: %v, want SUCCEEDED", e.Status, e.Problem)
	}
}

// An engine that must close stops what runs, and says so.
func TestCloseStops(t *testing.T) {
	t.Parallel()
	s, err := open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	s.set(probeService(t))
	id := s.submit(action("sleep"))
	s.awaitLog(id, "ready")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Close(ended); err != nil {
		t.Error(err)
	}
	e, err := s.probe().Get(t.Context(), id)
	if err != nil || e.Status != execution.Failed || e.Problem.Type != execution.TypeInterrupted {
		t.Errorf("Get(stopped by Close) = %s, %v: %+v, want FAILED with %s", e.Status, err, e.Problem, execution.TypeInterrupted)
	}
	if err := s.store.Close(); err != nil {
		t.Error(err)
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir)
	s.set(probeService(t))
	id := s.run(action("fill").with("number", 10)).ID
	results := filepath.Join(dir, "results", string(id))
	if _, err := os.Stat(results); err != nil {
		t.Fatal(err)
	}
	brief := serve(t, dir, func(c *engine.Config) { c.Retention = time.Millisecond })
	deadline := time.Now().Add(patience)
	for {
		if _, err := brief.probe().Get(t.Context(), id); errors.Is(err, store.ErrNotFound) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the execution is still there, want retention to remove it")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if _, err := os.Stat(results); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat(results of a removed execution) = %v, want it gone", err)
	}
}
