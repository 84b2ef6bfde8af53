package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/metrics"
	"github.com/qhubctl/qhubctl/internal/metrics/metricstest"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

// sources are the sources of a server with a load and a reason to start cold.
func sources(load error, reason string) metrics.Sources {
	return metrics.Sources{
		QueueStats: func(context.Context) (store.QueueStats, error) { return store.QueueStats{Pending: 5, Active: 2}, load },
		Slots:      8, Zygotes: forkserver.NewPool(0),
		Start: func() metrics.Start { return metrics.Start{Reason: reason} },
	}
}

// read returns the page as a reader gets it.
func read(t *testing.T, m *metrics.Metrics, from metrics.Sources) *metricstest.Page {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Page(from).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, metrics.Path, http.NoBody))
	if got := answer.Header().Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("Content-Type = %q, want the text format of Prometheus", got)
	}
	page, err := metricstest.Parse(answer.Body.String())
	if err != nil {
		t.Fatalf("Parse(the page) = %v, want nil\n%s", err, answer.Body)
	}
	return page
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	m := metrics.New("1.2.3", "")
	for range 3 {
		m.Accepted()
	}
	m.Started(2 * time.Millisecond)
	m.Started(time.Minute)
	m.Ended(execution.Succeeded, 40*time.Millisecond)
	m.Ended(execution.Cancelled, 0)
	m.Withheld()
	m.Committed(200 * time.Microsecond)
	m.StartedAsPlanned()
	for _, err := range []error{
		signature.Errors{{Path: "data"}}, fmt.Errorf("wrapped: %w", store.ErrQueueFull), store.ErrFull,
		store.ErrIdempotencyMismatch, store.ErrClosed, errors.New("another"), context.Canceled,
	} {
		m.Refused(err)
	}
	page := read(t, m, sources(nil, `a "quoted"`+"\n"+`back\slash`))
	for series, want := range map[string]float64{
		"qhubctl_executions_accepted_total":                                           3,
		"qhubctl_executions_started_total":                                            2,
		`qhubctl_executions_ended_total{state="SUCCEEDED"}`:                           1,
		`qhubctl_executions_ended_total{state="CANCELLED"}`:                           1,
		`qhubctl_executions_ended_total{state="FAILED"}`:                              0,
		"qhubctl_executions_pending":                                                  5,
		"qhubctl_executions_running":                                                  2,
		"qhubctl_execution_slots":                                                     8,
		`qhubctl_execution_wait_seconds_bucket{le="0.0025"}`:                          1,
		"qhubctl_execution_wait_seconds_sum":                                          60.002,
		"qhubctl_execution_run_seconds_count":                                         1,
		`qhubctl_execution_run_seconds_bucket{le="0.025"}`:                            0,
		`qhubctl_execution_run_seconds_bucket{le="0.05"}`:                             1,
		`qhubctl_store_commit_seconds_bucket{le="0.00025"}`:                           1,
		"qhubctl_result_files_withheld_total":                                         1,
		`qhubctl_execution_starts_total{start="cold",cause="planned"}`:                1,
		`qhubctl_execution_starts_total{start="warm",cause="none"}`:                   0,
		`qhubctl_requests_refused_total{cause="invalid"}`:                             1,
		`qhubctl_requests_refused_total{cause="queue_full"}`:                          1,
		`qhubctl_requests_refused_total{cause="disk_full"}`:                           1,
		`qhubctl_requests_refused_total{cause="idempotency"}`:                         1,
		`qhubctl_requests_refused_total{cause="closing"}`:                             1,
		`qhubctl_requests_refused_total{cause="error"}`:                               2,
		`qhubctl_service_start_info{start="cold",reason="a \"quoted\"\nback\\slash"}`: 1,
	} {
		if got, ok := page.Samples[series]; !ok || got != want {
			t.Errorf("%s = %v (there: %v), want %v", series, got, ok, want)
		}
	}
}

// TestNames checks the conventions of Prometheus, and that each number has a help
// text.
func TestNames(t *testing.T) {
	t.Parallel()
	page := read(t, metrics.New("1", "c"), sources(nil, ""))
	for family, kind := range page.Types {
		if strings.HasSuffix(family, "_total") != (kind == "counter") {
			t.Errorf("%s is a %s, want _total for counters alone", family, kind)
		}
		if kind == "histogram" && !strings.HasSuffix(family, "_seconds") {
			t.Errorf("the histogram %s has no unit, want _seconds", family)
		}
		if page.Help[family] == "" {
			t.Errorf("%s has no help, want a text", family)
		}
	}
	for family := range metrics.Help {
		reported := strings.HasPrefix(family, "process_") // by the system, where it does
		if page.Types[family] == "" && (!reported || runtime.GOOS == "linux") {
			t.Errorf("%s has help and no number, want both", family)
		}
	}
}

// TestLoadThatIsNotKnown: if the store has no numbers, they are NaN, and all others are there.
func TestLoadThatIsNotKnown(t *testing.T) {
	t.Parallel()
	page := read(t, metrics.New("1", "c"), sources(store.ErrBusy, ""))
	for _, name := range []string{"qhubctl_executions_pending", "qhubctl_executions_running"} {
		if got, ok := page.Samples[name]; !ok || !math.IsNaN(got) {
			t.Errorf("%s = %v, want NaN", name, got)
		}
	}
}

// TestReasonIsBounded: a reason is cut where a character ends.
func TestReasonIsBounded(t *testing.T) {
	t.Parallel()
	page := read(t, metrics.New("1", "c"), sources(nil, strings.Repeat("x", 199)+strings.Repeat("é", 5000)+"\xff"))
	if want := `qhubctl_service_start_info{start="cold",reason="` + strings.Repeat("x", 199) + `…"}`; page.Samples[want] != 1 {
		t.Errorf("the page has no %s, want it", want)
	}
}

// TestCountingAllocatesNothing checks the calls that every execution makes.
func TestCountingAllocatesNothing(t *testing.T) {
	m := metrics.New("1", "c")
	if n := testing.AllocsPerRun(100, func() {
		m.Accepted()
		m.Started(time.Second)
		m.Ended(execution.Failed, time.Second)
		m.Committed(time.Millisecond)
		m.StartedAsPlanned()
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestReadWhileCounting has several readers while the numbers grow; no number falls.
func TestReadWhileCounting(t *testing.T) {
	t.Parallel()
	m, from := metrics.New("1", "c"), sources(nil, "")
	var counting, reading sync.WaitGroup
	for range 4 {
		counting.Go(func() {
			for range 2000 {
				m.Accepted()
				m.Started(time.Millisecond)
			}
		})
		reading.Go(func() {
			last := 0.0
			for range 20 {
				now := read(t, m, from).Samples["qhubctl_executions_accepted_total"]
				if now < last {
					t.Errorf("executions_accepted_total = %v after %v, want no fall", now, last)
				}
				last = now
			}
		})
	}
	counting.Wait()
	reading.Wait()
	if got := read(t, m, from).Samples["qhubctl_execution_wait_seconds_count"]; got != 8000 {
		t.Errorf("%v are counted, want 8000", got)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	page := metrics.New("1", "c").Page(sources(nil, ""))
	go func() { ended <- metrics.Serve(ctx, listener, page, nil, slog.New(slog.DiscardHandler)) }()
	url := "http://" + listener.Addr().String()
	client := &http.Client{Transport: &http.Transport{}}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/metrics", http.StatusOK},
		{http.MethodHead, "/metrics", http.StatusOK},
		{http.MethodPost, "/metrics", http.StatusMethodNotAllowed},
		{http.MethodGet, "/", http.StatusNotFound},
		{http.MethodGet, "/metrics/more", http.StatusNotFound},
		{http.MethodGet, "/debug/pprof/", http.StatusNotFound},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, url+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != c.want {
			t.Errorf("%s %s = %d, want %d", c.method, c.path, response.StatusCode, c.want)
		}
	}
	stop() // with a connection that is kept
	if err := <-ended; err != nil {
		t.Error(err)
	}
	client.CloseIdleConnections()
	if connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String()); err == nil {
		_ = connection.Close()
		t.Error("it still listens")
	}
}
