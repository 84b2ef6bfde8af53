package metrics

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"unicode/utf8"

	vm "github.com/VictoriaMetrics/metrics"

	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Sources are read for each page.
type Sources struct {
	// QueueStats counts waiting and active executions.
	QueueStats func(context.Context) (store.QueueStats, error)
	// Slots is how many executions the server runs at once.
	Slots int
	// Zygotes are the processes that are forked, of all services.
	Zygotes *forkserver.Pool
	// Start returns how the service starts now.
	Start func() Start
}

// Start describes how a service is started.
type Start struct {
	// Warm: a process is ready to be forked. Preparing: one is being made, or
	// will be when it is needed.
	Warm, Preparing bool
	// Reason says why neither. It is masked already.
	Reason string
}

// maxReason is how long a reason may be, in bytes.
const maxReason = 200

// Page serves the metrics, at every path.
func (m *Metrics) Page(from Sources) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := m.text(r.Context(), from)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(text) // an error means that the reader has gone
	})
}

func (m *Metrics) text(ctx context.Context, from Sources) []byte {
	m.reading.Lock()
	defer m.reading.Unlock()
	m.sampled.ask(ctx, from)
	var text bytes.Buffer
	m.set.WritePrometheus(&text)
	vm.WriteGaugeUint64(&text, from.Start().series(), 1)
	vm.WriteProcessMetrics(&text)
	vm.WriteFDMetrics(&text)
	return withHelp(text.Bytes())
}

// ask reads the numbers that other packages keep. Unknown numbers become NaN.
func (a *sampled) ask(ctx context.Context, from Sources) {
	pending, running := math.NaN(), math.NaN()
	if load, err := from.QueueStats(ctx); err == nil {
		pending, running = float64(load.Pending), float64(load.Active)
	}
	a.pending.Set(pending)
	a.running.Set(running)
	a.slots.Set(float64(from.Slots))
	a.zygotes.Set(float64(from.Zygotes.Zygotes()))
	a.zygoteMemory.Set(float64(from.Zygotes.Memory()))
	stats := from.Zygotes.Stats()
	a.warm.Set(uint64(stats.Warm))
	for cause, counter := range a.cold {
		counter.Set(uint64(stats.Cold[cause]))
	}
	a.fromSpare.Set(uint64(stats.FromSpare))
	a.awaited.Set(uint64(stats.Awaited))
	a.made.Set(uint64(stats.Zygotes))
	a.evicted.Set(uint64(stats.Evicted))
	a.idle.Set(uint64(stats.Idle))
	a.failures.Set(uint64(stats.Failed))
}

func (s Start) series() string {
	start := "cold"
	switch {
	case s.Warm:
		start = "warm"
	case s.Preparing:
		start = "preparing"
	}
	return fmt.Sprintf("qhubctl_service_start_info{start=%q,reason=%s}", start, label(shortened(s.Reason)))
}

func shortened(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= maxReason {
		return text
	}
	text = text[:maxReason]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text + "…"
}

// label quotes a value in the way of the format.
func label(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}

// withHelp adds the help texts. The library begins each family with an empty
// line for that. Families without a text are left out: the library has many of
// the process, and some of them break the format.
func withHelp(text []byte) []byte {
	var out bytes.Buffer
	says := ""
	for line := range bytes.Lines(text) {
		if name, begins := bytes.CutPrefix(bytes.TrimSpace(line), []byte("# HELP ")); begins {
			if says = help[string(name)]; says != "" {
				fmt.Fprintf(&out, "# HELP %s %s\n", name, says)
			}
			continue
		}
		if says != "" {
			out.Write(line)
		}
	}
	return out.Bytes()
}
