//go:build unix

package engine_test

import (
	"context"
	"maps"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
)

// tally is an observer that counts.
type tally struct {
	mu   sync.Mutex
	seen map[string]int
}

func newTally() *tally { return &tally{seen: map[string]int{}} }

func (t *tally) add(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen[what]++
}

func (t *tally) Accepted()     { t.add("accepted") }
func (t *tally) Refused(error) { t.add("refused") }
func (t *tally) Withheld()     { t.add("withheld") }

func (t *tally) Started(waited time.Duration) {
	if waited > 0 && waited < patience {
		t.add("started")
	}
}

func (t *tally) Ended(as execution.Status, ran time.Duration) {
	t.add("ended " + string(as))
	if ran > 0 && ran < patience {
		t.add("ran")
	}
}

// observed is a server with an observer. The counts are complete after the server is
// closed: a caller may learn of an end before the observer counts it.
func observed(t *testing.T, dir string, workers int) (*server, func(want map[string]int)) {
	t.Helper()
	counts := newTally()
	s := serve(t, dir, func(c *engine.Config) { c.Observer, c.Workers = counts, workers })
	s.set(probeService(t))
	return s, func(want map[string]int) {
		t.Helper()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Close(ended); err != nil {
			t.Error(err)
		}
		if !maps.Equal(counts.seen, want) {
			t.Errorf("the observer counted %v, want %v", counts.seen, want)
		}
	}
}

func TestObserverSeesEverything(t *testing.T) {
	t.Parallel()
	s, want := observed(t, t.TempDir(), 4)
	s.run(action("nothing"))
	s.run(action("leak").token(secretValue)) // a binary file, among others
	s.run(action("exit").with("number", 3))
	for range 2 { // the second is the first
		body := action("nothing").json()
		a, err := s.probe().Submit(t.Context(), engine.Submission{Body: body, IdempotencyKey: "key"})
		if err != nil {
			t.Fatal(err)
		}
		s.wait(a.Execution.ID)
	}
	if _, err := s.trySubmit(body{"action": 1}); err == nil {
		t.Error("Submit(wrong body) = no error, want one")
	}
	id := s.submit(action("sleep"))
	s.awaitLog(id, "ready")
	if _, err := s.probe().Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	s.wait(id)
	s.awaitLog(s.submit(action("sleep")), "ready") // is interrupted by the end
	want(map[string]int{
		"accepted": 6, "refused": 1, "started": 6, "ran": 6, "withheld": 1,
		"ended SUCCEEDED": 3, "ended FAILED": 2, "ended CANCELLED": 1,
	})
}

// However many callers cancel an execution, and at any moment, it ends once.
func TestObserverSeesEachEndOnce(t *testing.T) {
	t.Parallel()
	const executions, callers = 30, 4
	s, want := observed(t, t.TempDir(), 2)
	var calls sync.WaitGroup
	var ids []execution.ID
	for range executions {
		ids = append(ids, s.submit(action("sleep")))
	}
	for _, id := range ids {
		for range callers {
			calls.Go(func() {
				if _, err := s.probe().Cancel(t.Context(), id); err != nil {
					t.Error(err)
				}
			})
		}
	}
	calls.Wait()
	for _, id := range ids {
		s.wait(id)
	}
	started := 0
	for _, id := range ids {
		if e, err := s.probe().Get(t.Context(), id); err != nil || !e.StartedAt.IsZero() {
			started++
		}
	}
	counts := map[string]int{"accepted": executions, "ended CANCELLED": executions}
	if started > 0 {
		counts["started"], counts["ran"] = started, started
	}
	want(counts)
}

// The engine that finds a running execution of a dead engine ends it.
func TestObserverSeesInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	left, err := sqlite.Open(t.Context(), filepath.Join(dir, "store.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := left.Accept(t.Context(), store.NewExecution{
		Execution: execution.Execution{ID: execution.NewID(), ServiceID: serviceID, ServiceRevision: "1", Type: execution.Managed},
		Claim:     &store.Lease{Owner: "dead", Lease: time.Nanosecond},
	})
	if err != nil || !a.Claimed {
		t.Fatal(err, a)
	}
	if _, err := left.Start(t.Context(), a.Execution.ID, "dead"); err != nil {
		t.Fatal(err)
	}
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	_, want := observed(t, dir, 1)
	want(map[string]int{"ended FAILED": 1})
}
