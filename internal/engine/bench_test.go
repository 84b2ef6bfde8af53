//go:build unix

package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/store"
)

// idle is a runner whose executions run until they are stopped, without a
// process, and that tells when it is asked to start one.
type idle struct {
	started chan execution.ID
}

func (r *idle) Start(_ context.Context, job runner.Job) (runner.Run, error) {
	if err := job.Admit(); err != nil {
		return nil, err
	}
	if r.started != nil {
		r.started <- job.ID
	}
	return &idleRun{stopped: make(chan struct{})}, nil
}

func (r *idle) Close() error { return nil }

type idleRun struct {
	once    sync.Once
	stopped chan struct{}
}

func (r *idleRun) Stop() { r.once.Do(func() { close(r.stopped) }) }

func (r *idleRun) Wait() (runner.Outcome, error) {
	<-r.stopped
	return runner.Outcome{Stopped: true, ExitCode: -1}, nil
}

func (r *idleRun) Artifacts() (runner.Artifacts, error)  { return &runner.Output{}, nil }
func (r *idleRun) Pool(string) (runner.Artifacts, error) { return nil, fs.ErrNotExist }
func (r *idleRun) Close() error                          { return nil }

// onBoth runs a benchmark on an empty server and on one with 100,000
// executions that have ended, which must make no difference.
func onBoth(b *testing.B, run func(b *testing.B, s *server)) {
	for _, ended := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("ended=%d", ended), func(b *testing.B) {
			s := serve(b, b.TempDir(), func(c *engine.Config) {
				c.Queue = store.QueueLimit{PerService: 10_000_000, Total: 10_000_000}
			})
			inParallel(64, ended, func() {
				e := execution.Execution{ID: execution.NewID(), ServiceID: serviceID, Type: execution.Managed}
				if _, err := s.store.Accept(b.Context(), store.NewExecution{Execution: e, Request: []byte(`{}`)}); err != nil {
					b.Error(err)
				}
				if _, err := s.store.Cancel(b.Context(), e.ID); err != nil {
					b.Error(err)
				}
			})
			run(b, s)
		})
	}
}

func inParallel(callers, n int, f func()) {
	var left atomic.Int64
	left.Store(int64(n))
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				f()
			}
		})
	}
	group.Wait()
}

// Requests with a secret from 16 callers into a deep queue: one execution
// holds the only slot.
func BenchmarkSubmit(b *testing.B) {
	onBoth(b, func(b *testing.B, s *server) {
		service := probeService(b)
		service.Runner, service.Concurrency = &idle{}, 1
		s.set(service)
		s.submit(action("sleep"))
		request := action("return").with("text", "benchmark").token("a-token-of-forty-characters-in-all-000000").json()
		b.ResetTimer()
		inParallel(16, b.N, func() {
			_, err := s.probe().Submit(b.Context(), engine.Submission{Body: append([]byte(nil), request...)})
			if err != nil {
				b.Error(err)
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	})
}

// One caller on a server with nothing to do: from the call of Submit until the
// process of the service exists.
func BenchmarkAcceptToStart(b *testing.B) {
	onBoth(b, func(b *testing.B, s *server) {
		service := probeService(b)
		timed := &startTimer{Runner: probeRunner(), started: make(chan time.Time, 1)}
		service.Runner = timed
		s.set(service)
		var all []time.Duration
		for b.Loop() {
			began := time.Now()
			id := s.submit(action("nothing").token("a-token-of-forty-characters-in-all-000000"))
			all = append(all, (<-timed.started).Sub(began))
			s.wait(id)
		}
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "ms-median")
		b.ReportMetric(float64(all[len(all)*9/10].Microseconds())/1000, "ms-p90")
	})
}

// startTimer tells when a process was started.
type startTimer struct {
	runner.Runner
	started chan time.Time
}

func (r *startTimer) Start(ctx context.Context, job runner.Job) (runner.Run, error) {
	run, err := r.Runner.Start(ctx, job)
	r.started <- time.Now()
	return run, err
}

func BenchmarkGet(b *testing.B) {
	onBoth(b, func(b *testing.B, s *server) {
		s.set(probeService(b))
		id := s.run(action("return").with("text", "benchmark")).ID
		b.ResetTimer()
		inParallel(16, b.N, func() {
			e, err := s.probe().Get(b.Context(), id)
			if err == nil {
				_, err = json.Marshal(e)
			}
			if err != nil {
				b.Error(err)
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	})
}

// Whole executions of a small program, from 16 callers.
func BenchmarkExecutions(b *testing.B) {
	onBoth(b, func(b *testing.B, s *server) {
		s.set(probeService(b))
		b.ResetTimer()
		inParallel(16, b.N, func() {
			id, err := s.trySubmit(action("nothing").token("a-token-of-forty-characters-in-all-000000"))
			if err != nil {
				b.Error(err)
				return
			}
			if e, err := s.probe().Wait(b.Context(), id); err != nil || e.Status != execution.Succeeded {
				b.Errorf("Wait() = %s, %v: %v, want SUCCEEDED", e.Status, err, e.Problem)
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	})
}
