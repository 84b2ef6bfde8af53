//go:build unix

package engine_test

import (
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
)

// Whoever waits for an execution is told of its end by the engine that has it,
// or will have: the store is not asked again and again for that.
func TestWaitingNeedsNoPolling(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), func(c *engine.Config) { c.Workers, c.Poll = 2, time.Hour })
	service := probeService(t)
	started := make(chan *idleRun, 1)
	service.Runner = &gate{started}
	s.set(service)
	go func() {
		for run := range started {
			run.Stop()
		}
	}()
	var waiting sync.WaitGroup
	for range 8 {
		waiting.Go(func() {
			for range 50 {
				accepted, err := s.probe().Submit(t.Context(), engine.Submission{Body: action("nothing").json()})
				if err != nil {
					t.Error(err)
					return
				}
				e, err := s.probe().Wait(t.Context(), accepted.Execution.ID)
				if err != nil || !e.Status.Final() {
					t.Errorf("it is %s: %v", e.Status, err)
				}
			}
		})
	}
	waiting.Wait()
	close(started)
}

// What is read while an execution is being cancelled is never older than what
// was read before.
func TestStatesNeverGoBack(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir(), func(c *engine.Config) { c.Workers, c.Poll = 1, time.Hour })
	service := probeService(t)
	started := make(chan *idleRun, 1)
	service.Runner = &gate{started}
	s.set(service)
	for range 50 {
		accepted, err := s.probe().Submit(t.Context(), engine.Submission{Body: action("nothing").json()})
		if err != nil {
			t.Fatal(err)
		}
		id := accepted.Execution.ID
		if _, err := s.probe().Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		rank := 0
		for rank < 2 {
			e, err := s.probe().Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			now := map[execution.Status]int{execution.Pending: 0, execution.Running: 1}[e.Status]
			if e.Status.Final() {
				now = 2
			}
			if now < rank {
				t.Fatalf("it is %s again", e.Status)
			}
			rank = now
		}
		select {
		case <-started: // it had begun
		default:
		}
	}
}
