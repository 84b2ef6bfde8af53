//go:build unix

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/store"
)

func pinned(c *engine.Config) { c.Policy = engine.Pinned }

// loads counts what a factory does.
type loads struct{ loaded, closed chan string }

func newLoads() *loads { return &loads{make(chan string, 100), make(chan string, 100)} }

// load is a [engine.RunnerFactory].
func (l *loads) load(_ context.Context, r *engine.Revision) (runner.Runner, error) {
	l.loaded <- r.ID
	return &loadedRunner{probeRunner(), l, r.ID}, nil
}

type loadedRunner struct {
	*process.Runner
	loads *loads
	id    string
}

func (r *loadedRunner) Close() error {
	r.loads.closed <- r.id
	return r.Runner.Close()
}

// next waits for the next event.
func next(t *testing.T, events <-chan string) string {
	t.Helper()
	select {
	case id := <-events:
		return id
	case <-time.After(patience):
		t.Fatal("nothing was loaded or closed, want an event")
		return ""
	}
}

// revision is one of the probe, loaded on demand. Only the first takes "number".
func revision(t *testing.T, id string, l *loads) *engine.Revision {
	t.Helper()
	r := probeService(t)
	r.ID, r.Runner, r.Load = id, nil, l.load
	if id != "1" {
		r.Signature = parse(t, strings.ReplaceAll(probeDocument, `"number"`, `"count"`))
	}
	return r
}

// TestPinnedRevision activates a revision while executions run and wait that
// another one has accepted: they run as that one, and new ones as the new one.
func TestPinnedRevision(t *testing.T) {
	t.Parallel()
	l := newLoads()
	s := serve(t, t.TempDir(), pinned)
	first := revision(t, "1", l)
	first.Concurrency = 1
	s.set(first)
	path, letGo := pipe(t)
	running := s.submit(action("hold").with("text", path))
	s.awaitLog(running, "ready")
	waiting := s.submit(action("print").with("number", 3)) // which the second does not accept
	second := revision(t, "2", l)
	second.Concurrency = 1
	s.set(second)
	late := s.submit(action("print").with("count", 3))
	letGo()
	for id, want := range map[execution.ID]string{running: "1", waiting: "1", late: "2"} {
		e := s.wait(id)
		if e.Status != execution.Succeeded || e.ServiceRevision != want || strings.Contains(s.text(id), "NOTICE") {
			t.Errorf("an execution accepted by revision %s is %s: %v, with log %q; want SUCCEEDED without a notice", want, e.Status, e.Problem, s.text(id))
		}
	}
	if a, b := next(t, l.loaded), next(t, l.loaded); a != "1" || b != "2" || len(l.loaded) > 0 {
		t.Errorf("loaded %s, %s and %d more, want each revision once", a, b, len(l.loaded))
	}
}

// TestIdleRunnersAreUnloaded loads a runner for each of two executions that are
// further apart than it is kept.
func TestIdleRunnersAreUnloaded(t *testing.T) {
	t.Parallel()
	l := newLoads()
	s := serve(t, t.TempDir(), pinned, func(c *engine.Config) { c.RunnerIdle = 20 * time.Millisecond })
	s.set(revision(t, "1", l))
	for round := range 2 {
		path, letGo := pipe(t)
		id := s.submit(action("hold").with("text", path))
		s.awaitLog(id, "ready")
		if got := next(t, l.loaded); got != "1" {
			t.Errorf("round %d: loaded %q, want 1", round, got)
		}
		if len(l.closed) > 0 {
			t.Errorf("round %d: a runner was closed while its execution runs, want it kept", round)
		}
		letGo()
		s.wait(id)
		if got := next(t, l.closed); got != "1" {
			t.Errorf("round %d: closed %q, want 1", round, got)
		}
	}
}

// TestRunnerThatCannotBeLoaded ends the execution, and not the service.
func TestRunnerThatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	l := newLoads()
	s := serve(t, t.TempDir(), pinned)
	r := revision(t, "1", l)
	fails := true
	r.Load = func(ctx context.Context, r *engine.Revision) (runner.Runner, error) {
		if fails {
			fails = false
			return nil, errors.New("no artifact")
		}
		return l.load(ctx, r)
	}
	s.set(r)
	if e := s.run(action("nothing")); e.Status != execution.Failed || e.Problem.Type != execution.TypeStart {
		t.Errorf("the execution is %s: %v, want FAILED with %s", e.Status, e.Problem, execution.TypeStart)
	}
	if e := s.run(action("nothing")); e.Status != execution.Succeeded {
		t.Errorf("the next execution is %s: %v, want SUCCEEDED", e.Status, e.Problem)
	}
}

// registry has revisions by their id.
type registry map[string]*engine.Revision

func (r registry) Revision(_ context.Context, _, id string) (*engine.Revision, error) {
	found, ok := r[id]
	if !ok {
		return nil, fmt.Errorf("%w: revision %s", store.ErrNotFound, id)
	}
	return found, nil
}

// TestRevisionOfAnEarlierEngine starts an engine with a new revision on what an
// earlier one has accepted: the registry has one of the former revisions.
func TestRevisionOfAnEarlierEngine(t *testing.T) {
	t.Parallel()
	dir, l := t.TempDir(), newLoads()
	s, err := open(t.Context(), dir, pinned)
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	holding := revision(t, "holding", l)
	holding.Concurrency = 1
	s.set(holding)
	s.awaitLog(s.submit(action("sleep")), "ready") // so that what follows waits
	waiting := map[string]execution.ID{}
	for _, id := range []string{"1", "gone"} {
		r := revision(t, id, l)
		r.Concurrency = 1
		s.set(r)
		waiting[id] = s.submit(action("nothing"))
	}
	s.shutdown()
	s = serve(t, dir, pinned, func(c *engine.Config) {
		c.Registry, c.RunnerIdle = registry{"1": revision(t, "1", l)}, 20*time.Millisecond
	})
	s.set(revision(t, "2", l))
	if e := s.wait(waiting["1"]); e.Status != execution.Succeeded {
		t.Errorf("the execution of a revision of the registry is %s: %v, want SUCCEEDED", e.Status, e.Problem)
	}
	if e := s.wait(waiting["gone"]); e.Status != execution.Failed || e.Problem.Type != execution.TypeChanged {
		t.Errorf("the execution of a revision that is gone is %s: %v, want FAILED with %s", e.Status, e.Problem, execution.TypeChanged)
	}
}

// TestDeactivate takes a service away while an execution runs: that one ends as it
// would, its runner is closed then, and new requests find no service.
func TestDeactivate(t *testing.T) {
	t.Parallel()
	l := newLoads()
	s := serve(t, t.TempDir(), pinned)
	s.set(revision(t, "1", l))
	path, letGo := pipe(t)
	running := s.submit(action("hold").with("text", path))
	s.awaitLog(running, "ready")
	s.probe().Deactivate()
	if _, err := s.trySubmit(action("print")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Submit after Deactivate = %v, want ErrNotFound", err)
	}
	if _, ok := s.probe().Current(); ok {
		t.Error("Current after Deactivate has a revision")
	}
	letGo()
	if e := s.wait(running); e.Status != execution.Succeeded {
		t.Errorf("the execution that ran has ended %s, want SUCCEEDED", e.Status)
	}
	if id := next(t, l.closed); id != "1" {
		t.Errorf("closed was %s, want 1", id)
	}
	s.probe().Deactivate() // there is nothing
	s.set(revision(t, "1", l))
	if e := s.wait(s.submit(action("print"))); e.Status != execution.Succeeded {
		t.Errorf("after it was activated again, an execution has ended %s", e.Status)
	}
}
