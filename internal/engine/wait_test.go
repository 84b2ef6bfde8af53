//go:build unix

package engine_test

import (
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
)

// The engine that runs an execution, or will run it, notifies the callers that wait for
// it: waiting does not poll the store.
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
					t.Errorf("Wait() = %s, %v, want a final state", e.Status, err)
				}
			}
		})
	}
	waiting.Wait()
	close(started)
}

// While an execution is being cancelled, a read never returns an older state than an
// earlier read.
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
				t.Fatalf("Get() = %s after a later state, want states that never go back", e.Status)
			}
			rank = now
		}
		select {
		case <-started: // it had begun
		default:
		}
	}
}
