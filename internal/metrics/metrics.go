package metrics

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	vm "github.com/VictoriaMetrics/metrics"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Bounds of the histograms, in seconds: from the time of a fork, over the start
// of an interpreter, to the patience of a caller.
var (
	waitBounds   = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800}
	runBounds    = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600}
	commitBounds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
)

// Metrics are the numbers of one server. It is a [engine.Observer], and safe
// for concurrent use.
type Metrics struct {
	set *vm.Set

	accepted, started, withheld, planned *vm.Counter
	refused                              map[refusal]*vm.Counter
	ended                                map[execution.Status]*vm.Counter
	waited, ran, commits                 *vm.PrometheusHistogram

	// ask writes the sampled numbers here first, one reader at a time.
	reading sync.Mutex
	sampled sampled
}

// sampled are the numbers that other packages keep.
type sampled struct {
	pending, running, slots       *vm.Gauge
	warm                          *vm.Counter
	cold                          map[forkserver.Cause]*vm.Counter
	fromSpare, awaited            *vm.Counter
	zygotes, zygoteMemory         *vm.Gauge
	made, evicted, idle, failures *vm.Counter
}

// New makes the numbers of a server of a version, built from a commit.
func New(version, commit string) *Metrics {
	vm.ExposeMetadata(true) // a setting of the process, which has no other numbers
	s := vm.NewSet()
	m := &Metrics{
		set:      s,
		accepted: s.NewCounter("qhubctl_executions_accepted_total"),
		started:  s.NewCounter("qhubctl_executions_started_total"),
		withheld: s.NewCounter("qhubctl_result_files_withheld_total"),
		planned:  s.NewCounter(startsCold(plannedCause)),
		refused:  map[refusal]*vm.Counter{},
		ended:    map[execution.Status]*vm.Counter{},
		waited:   s.NewPrometheusHistogramExt("qhubctl_execution_wait_seconds", waitBounds),
		ran:      s.NewPrometheusHistogramExt("qhubctl_execution_run_seconds", runBounds),
		commits:  s.NewPrometheusHistogramExt("qhubctl_store_commit_seconds", commitBounds),
		sampled:  newSampled(s),
	}
	for _, r := range refusals {
		m.refused[r.as] = s.NewCounter(fmt.Sprintf("qhubctl_requests_refused_total{cause=%q}", r.as))
	}
	m.refused[otherwise] = s.NewCounter(fmt.Sprintf("qhubctl_requests_refused_total{cause=%q}", otherwise))
	for _, status := range execution.Statuses() {
		if status.Final() {
			m.ended[status] = s.NewCounter(fmt.Sprintf("qhubctl_executions_ended_total{state=%q}", status))
		}
	}
	s.NewGauge(fmt.Sprintf("qhubctl_build_info{version=%s,revision=%s,goversion=%s}",
		label(version), label(cmp.Or(commit, "unknown")), label(runtime.Version())), nil).Set(1)
	return m
}

func newSampled(s *vm.Set) sampled {
	a := sampled{
		pending:      s.NewGauge("qhubctl_executions_pending", nil),
		running:      s.NewGauge("qhubctl_executions_running", nil),
		slots:        s.NewGauge("qhubctl_execution_slots", nil),
		warm:         s.NewCounter(`qhubctl_execution_starts_total{start="warm",cause="none"}`),
		cold:         map[forkserver.Cause]*vm.Counter{},
		fromSpare:    s.NewCounter(`qhubctl_forks_total{standby="ready"}`),
		awaited:      s.NewCounter(`qhubctl_forks_total{standby="awaited"}`),
		zygotes:      s.NewGauge("qhubctl_templates", nil),
		zygoteMemory: s.NewGauge("qhubctl_template_memory_bytes", nil),
		made:         s.NewCounter("qhubctl_templates_started_total"),
		evicted:      s.NewCounter(`qhubctl_templates_ended_total{cause="evicted"}`),
		idle:         s.NewCounter(`qhubctl_templates_ended_total{cause="idle"}`),
		failures:     s.NewCounter("qhubctl_template_failures_total"),
	}
	for _, cause := range forkserver.Causes() {
		a.cold[cause] = s.NewCounter(startsCold(string(cause)))
	}
	return a
}

// plannedCause is the cause of cold starts of services that never have a zygote.
const plannedCause = "planned"

func startsCold(cause string) string {
	return fmt.Sprintf("qhubctl_execution_starts_total{start=\"cold\",cause=%q}", cause)
}

// refusal is the cause for which a request was refused.
type refusal string

const otherwise refusal = "error"

var refusals = []struct {
	as      refusal
	matches func(error) bool
}{
	{"invalid", func(err error) bool { _, is := errors.AsType[signature.Errors](err); return is }},
	{"queue_full", is(store.ErrQueueFull)},
	{"disk_full", is(store.ErrFull)},
	{"idempotency", is(store.ErrIdempotencyMismatch)},
	{"closing", is(store.ErrClosed)},
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// Accepted implements [engine.Observer].
func (m *Metrics) Accepted() { m.accepted.Inc() }

// Refused implements [engine.Observer].
func (m *Metrics) Refused(err error) {
	for _, r := range refusals {
		if r.matches(err) {
			m.refused[r.as].Inc()
			return
		}
	}
	m.refused[otherwise].Inc()
}

// Started implements [engine.Observer].
func (m *Metrics) Started(waited time.Duration) {
	m.started.Inc()
	m.waited.Update(waited.Seconds())
}

// Ended implements [engine.Observer].
func (m *Metrics) Ended(as execution.Status, ran time.Duration) {
	if counter := m.ended[as]; counter != nil {
		counter.Inc()
	}
	if ran > 0 {
		m.ran.Update(ran.Seconds())
	}
}

// Withheld implements [engine.Observer].
func (m *Metrics) Withheld() { m.withheld.Inc() }

// Committed records how long a commit of the store took.
func (m *Metrics) Committed(took time.Duration) { m.commits.Update(took.Seconds()) }

// StartedAsPlanned counts a cold start of a service that never has a zygote. The
// pool of zygotes counts those of other services.
func (m *Metrics) StartedAsPlanned() { m.planned.Inc() }

var _ engine.Observer = (*Metrics)(nil)
