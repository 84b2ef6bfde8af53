package bench

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkServing is executions from POST to the final state, by our server
// and by the published one: services of several kinds, and so many callers at
// once, each with one execution at a time. The servers run one after the other,
// in one run.
//
// Of each row it reports the rate, the latencies, the processor time of all
// processes of the server for one execution, and how many executions failed. It
// also reports the peak memory of the server alone and of all its processes
// together; pages that several processes share count once.
func BenchmarkServing(b *testing.B) {
	all := contenders(b)
	for _, kind := range workloads {
		b.Run("service="+kind.name, func(b *testing.B) {
			for _, c := range all {
				if kind.golang == "" && c.golang || !kind.whole && c.variant {
					continue // nothing that it could import, or nothing new
				}
				b.Run("server="+c.name, func(b *testing.B) { benchmarkContender(b, c, kind) })
			}
		})
	}
}

func benchmarkContender(b *testing.B, c contender, kind workload) {
	s := startServer(b, c, kind)
	modes := []string{"poll"}
	if c.waits && kind.whole {
		modes = append(modes, "wait")
	}
	for _, way := range modes {
		b.Run("by="+way, func(b *testing.B) {
			for _, callers := range kind.callers {
				b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
					benchmarkServer(b, &load{server: s, wait: way == "wait", callers: callers})
				})
			}
		})
	}
}

func benchmarkServer(b *testing.B, l *load) {
	l.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: l.callers}, Timeout: time.Minute}
	defer l.client.CloseIdleConnections()
	// Memory is looked at now, not later, when looking would take the time of
	// those that are measured.
	forgetPeak(l.server.pid)
	together := watchMemory(l.server.pid, l.warmUp)
	l.times, l.failures = nil, atomic.Int64{}

	before := processorTime(b, l.server.pid)
	begun := time.Now()
	l.run(func() bool { return b.Loop() })
	elapsed := time.Since(begun)
	used := processorTime(b, l.server.pid) - before

	n := len(l.times)
	slices.Sort(l.times)
	b.ReportMetric(float64(n)/elapsed.Seconds(), "executions/s")
	b.ReportMetric(milliseconds(l.times[n/2]), "p50-ms")
	b.ReportMetric(milliseconds(l.times[n*99/100]), "p99-ms")
	b.ReportMetric(milliseconds(used)/float64(n), "cpu-ms/execution")
	b.ReportMetric(peakMB(l.server.pid), "MB-server")
	b.ReportMetric(together, "MB-together")
	b.ReportMetric(float64(l.failures.Load()), "failures")
	b.ReportMetric(0, "ns/op")
	if first := l.failure.Load(); first != nil {
		b.Logf("%d executions failed, the first: %v", l.failures.Load(), *first)
	}
}

// A load is executions that callers start and follow to their end.
type load struct {
	server  *server
	client  *http.Client
	callers int
	// wait follows an execution by one request that is answered at its end,
	// instead of one each millisecond.
	wait bool

	mu       sync.Mutex
	times    []time.Duration
	failures atomic.Int64
	failure  atomic.Pointer[error]
}

// run has each caller start an execution, and then others for as long as more
// says so. So more, which may be the loop of a benchmark, is asked no earlier
// than one has ended, and sees how long they take.
func (l *load) run(more func() bool) {
	task := make(chan struct{})
	var group sync.WaitGroup
	for range l.callers {
		group.Go(func() {
			for range task {
				l.one()
			}
		})
	}
	for range l.callers {
		task <- struct{}{}
	}
	for more() {
		task <- struct{}{}
	}
	close(task)
	group.Wait()
}

// warmUp goes on until the server has imported all that it needs, has its
// spare forks and its memory filled.
func (l *load) warmUp() {
	callers := l.callers
	defer func() { l.callers = callers }()
	l.callers = min(callers, 16) // more wait for each other
	left, until := 20, time.Now().Add(time.Second)
	l.run(func() bool {
		left--
		return left >= 0 && time.Now().Before(until)
	})
}

func (l *load) one() {
	begun := time.Now()
	err := l.server.execute(l.client, l.wait)
	took := time.Since(begun)
	if err != nil {
		l.failures.Add(1)
		l.failure.CompareAndSwap(nil, &err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, took)
}
