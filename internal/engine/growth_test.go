//go:build unix

package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/runner"
)

// BenchmarkServices compares an engine with one service to an engine with a thousand,
// of which fifty have work. It measures how soon a runner gets an execution: from the
// request if a slot is free, and from the end of another execution if none is. It also
// measures the memory of the services. The two engines take turns, so that other load
// on the machine affects both.
func BenchmarkServices(b *testing.B) {
	fleets := []*fleet{newFleet(b, 1, 1), newFleet(b, 1000, 50)}
	atOnce, waiting := [2][]time.Duration{}, [2][]time.Duration{}
	for round := 0; b.Loop(); round++ {
		for i := range fleets {
			i = (i + round) % 2 // the first one also waits for older writes to the disk
			atOnce[i] = append(atOnce[i], fleets[i].startAtOnce(b))
			waiting[i] = append(waiting[i], fleets[i].startWaiting(b))
		}
	}
	for i, name := range []string{"one", "many"} {
		b.ReportMetric(microseconds(atOnce[i]), "µs-free-slot-"+name)
		b.ReportMetric(microseconds(waiting[i]), "µs-waiting-"+name)
	}
	b.ReportMetric(microseconds(atOnce[0])/microseconds(atOnce[1]), "free-slot-ratio")
	b.ReportMetric(microseconds(waiting[0])/microseconds(waiting[1]), "waiting-ratio")
	b.ReportMetric(fleets[1].each/1000, "kB/service")
	b.ReportMetric(0, "ns/op")
}

// liveHeap returns the size of the heap after garbage, including pools, is collected.
func liveHeap() (bytes float64) {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

// microseconds is the median.
func microseconds(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[len(times)/2].Nanoseconds()) / 1000
}

// A fleet is an engine with services, of which some have work, and one slot:
// an execution that ends lets one that waits start.
type fleet struct {
	*server
	active  []string
	each    float64 // bytes of memory of a service
	next    int
	started chan *idleRun
}

// backlog is how many executions wait where some do.
const backlog = 50

func newFleet(b *testing.B, services, active int) *fleet {
	b.Helper()
	c := &fleet{started: make(chan *idleRun, backlog)}
	c.server = serve(b, b.TempDir(), func(config *engine.Config) { config.Workers = 1 })
	before := liveHeap()
	for i := range services {
		service := probeService(b)
		service.ID, service.Runner = fmt.Sprintf("service-%d", i), &gate{c.started}
		c.set(service)
	}
	c.each = (liveHeap() - before) / float64(services)
	for i := range active {
		c.active = append(c.active, fmt.Sprintf("service-%d", i*services/active))
	}
	return c
}

// gate is a runner of executions that run until they are stopped, and that
// hands them over.
type gate struct{ started chan *idleRun }

func (r *gate) Start(_ context.Context, job runner.Job) (runner.Run, error) {
	if err := job.Admit(); err != nil {
		return nil, err
	}
	run := &idleRun{stopped: make(chan struct{})}
	r.started <- run
	return run, nil
}

func (r *gate) Close() error { return nil }

// request submits one for the next of the services that have work, and tells
// how to wait for its end.
func (c *fleet) request(b *testing.B) (ended func()) {
	b.Helper()
	service := c.active[c.next%len(c.active)]
	c.next++
	accepted, err := c.Service(service).Submit(b.Context(), engine.Submission{Body: action("nothing").json()})
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		if _, err := c.Service(service).Wait(b.Context(), accepted.Execution.ID); err != nil {
			b.Fatal(err)
		}
	}
}

// startAtOnce is from a request to its start, where a slot is free.
func (c *fleet) startAtOnce(b *testing.B) time.Duration {
	b.Helper()
	begun := time.Now()
	ended := c.request(b)
	run := <-c.started
	took := time.Since(begun)
	run.Stop()
	ended()
	return took
}

// startWaiting is from the end of one execution to the start of another that
// waits, with its claim in between.
func (c *fleet) startWaiting(b *testing.B) time.Duration {
	b.Helper()
	waits := make([]func(), backlog)
	for i := range waits {
		waits[i] = c.request(b)
	}
	run := <-c.started
	begun := time.Now()
	for range backlog - 1 {
		run.Stop()
		run = <-c.started
	}
	took := time.Since(begun) / (backlog - 1)
	run.Stop()
	for _, ended := range waits {
		ended()
	}
	return took
}
