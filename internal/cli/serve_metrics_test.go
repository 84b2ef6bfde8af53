//go:build unix

package cli_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/metrics/metricstest"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
)

var metricsAddress = regexp.MustCompile(`Metrics (http://\S+/metrics)`)

// metrics reads the page that a server shows to Prometheus.
func (s *served) metrics() (page *metricstest.Page, text string) {
	s.t.Helper()
	found := metricsAddress.FindStringSubmatch(s.said.String())
	if found == nil {
		s.t.Fatalf("it does not say where its metrics are:\n%s", s.said)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, found[1], http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("%v %s", err, response.Status)
	}
	if page, err = metricstest.Parse(string(body)); err != nil {
		s.t.Fatalf("%v\n%s", err, body)
	}
	return page, string(body)
}

func (s *served) metricsText() string {
	_, text := s.metrics()
	return text
}

// awaitMetrics waits until the page has these numbers: an end is known a
// moment before it is counted.
func (s *served) awaitMetrics(want map[string]float64) (text string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		page, text := s.metrics()
		wrong := ""
		for series, value := range want {
			if got, ok := page.Samples[series]; !ok || got != value {
				wrong = series
			}
		}
		if wrong == "" {
			return text
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s is not %v:\n%s", wrong, want[wrong], text)
		}
	}
}

// execute runs an execution to its end, with the secret, and gives its id.
func (s *served) execute(data string) string {
	s.t.Helper()
	out, errs, _ := s.qhubctl("executions", "start", "-d", `{"data":`+data+`}`, "--secret", "api_token=@"+fileOf(s.t, theSecret), "--output", "json")
	id := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).FindString(out)
	if id == "" {
		s.t.Fatalf("no execution: %s %s", out, errs)
	}
	s.get("/" + id + "?wait=60s")
	return id
}

const (
	startsWarm = `qhubctl_execution_starts_total{start="warm",cause="none"}`
	succeeded  = `qhubctl_executions_ended_total{state="SUCCEEDED"}`
	failed     = `qhubctl_executions_ended_total{state="FAILED"}`
)

func startsCold(cause string) string {
	return `qhubctl_execution_starts_total{start="cold",cause="` + cause + `"}`
}

func TestServeShowsMetrics(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("warm starts need Linux")
	}
	s := serve(t, workspaceDir(t), "--metrics", "127.0.0.1:0", "--concurrency", "3")
	s.awaitMetrics(map[string]float64{"qhubctl_templates": 1, `qhubctl_service_start_info{start="warm",reason=""}`: 1})
	ids := []string{s.execute(`{"action":"echo"}`), s.execute(`{"action":"files"}`), s.execute(`{"action":"fail"}`)}
	if _, _, code := s.qhubctl("executions", "start", "-d", `{"data":7,"note":"`+theSecret+`"}`); code == 0 {
		t.Error("a wrong request was accepted")
	}
	want := map[string]float64{
		"qhubctl_executions_accepted_total": 3, "qhubctl_executions_started_total": 3, succeeded: 2, failed: 1,
		"qhubctl_execution_wait_seconds_count": 3, "qhubctl_execution_run_seconds_count": 3,
		"qhubctl_executions_pending": 0, "qhubctl_executions_running": 0, "qhubctl_execution_slots": 3,
		`qhubctl_requests_refused_total{cause="invalid"}`: 1,
		startsWarm: 3, startsCold("preparing"): 0, startsCold("planned"): 0, "qhubctl_templates_started_total": 1,
	}
	text := s.awaitMetrics(want)
	page, _ := s.metrics()
	if page.Samples["qhubctl_template_memory_bytes"] < 1<<20 || page.Samples["qhubctl_store_commit_seconds_count"] < 3 {
		t.Errorf("the zygote takes nothing, or nothing is committed:\n%s", text)
	}
	// Nothing of an execution, a request or this machine.
	for _, id := range append(ids, s.dir, "hello", "plan.txt", "api_token") {
		if strings.Contains(text, id) {
			t.Errorf("%q is in:\n%s", id, text)
		}
	}
	s.wantNoSecretSaid(text)
	if code := s.stop(); code != 0 {
		t.Errorf("it ended with %d: %s", code, s.said)
	}
	address := strings.TrimPrefix(strings.TrimSuffix(metricsAddress.FindStringSubmatch(s.said.String())[1], "/metrics"), "http://")
	if connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address); err == nil {
		_ = connection.Close()
		t.Error("metrics are shown after the end")
	}
}

// Cold starts are counted by their cause, and what a service was before it
// changed still counts.
func TestServeCountsColdStarts(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("warm starts need Linux")
	}
	s := serve(t, workspaceDir(t), "--metrics", "127.0.0.1:0", "--no-sandbox") // which keeps .env from it
	s.awaitMetrics(map[string]float64{"qhubctl_templates": 1})
	s.execute(`{}`)
	// A thread that is there after the import, with a secret for its name.
	path := filepath.Join(s.dir, "src", "program.py")
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(s.dir, ".env"), "SECRET_API_TOKEN="+theSecret+"\n")
	write(path, strings.Replace(string(program), "\ndef run", `
import threading
with open(os.path.join(os.path.dirname(__file__), "..", ".env")) as dotenv:
    name = dotenv.read().strip().partition("=")[2]
threading.Thread(target=time.sleep, args=(600,), daemon=True, name=name).start()

def run`, 1))
	until(t, `service_start_info{start="cold"`, s.metricsText)
	s.execute(`{}`)
	text := s.awaitMetrics(map[string]float64{startsWarm: 1, startsCold("unforkable"): 1, succeeded: 2, "qhubctl_templates": 0})
	if !regexp.MustCompile(`qhubctl_service_start_info\{start="cold",reason="[^}]*thread[^}]*\[redacted\][^}]*"\} 1\n`).MatchString(text) {
		t.Errorf("the reason is not shown, or its secret is:\n%s", text)
	}
	s.wantNoSecretSaid(text)
	write(filepath.Join(s.dir, "pyproject.toml"), "[project]\nname = \"tested\"\nversion = \"3.2\"\n[tool.qhubctl]\nstart = \"cold\"\n")
	until(t, "the workspace says so", s.metricsText)
	s.execute(`{}`)
	s.awaitMetrics(map[string]float64{
		startsWarm: 1, startsCold("unforkable"): 1, startsCold("planned"): 1, succeeded: 3,
		`qhubctl_service_start_info{start="cold",reason="the workspace says so"}`: 1,
	})
}

func TestServeRefusesMetricsAddress(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	dir := workspaceDir(t)
	for _, c := range []struct {
		address string
		says    []string
	}{
		{"9464", []string{`--metrics is "9464"`, "HOST:PORT", "127.0.0.1:9464"}},
		{":9464", []string{"HOST:PORT", "0.0.0.0:9464"}},
		{"127.0.0.1:http-alt", []string{"HOST:PORT"}},
		{"127.0.0.1:70000", []string{"HOST:PORT"}},
		{"127.0.0.1:-1", []string{"HOST:PORT"}},
		{taken.Addr().String(), []string{"cannot listen for --metrics", "address already in use", "another program may use " + taken.Addr().String(), "port 0"}},
		{"192.0.2.1:9464", []string{"cannot listen for --metrics", "this machine does not have the address"}},
	} {
		args := []string{"serve", dir, "--port", "0", "--python", runnertest.SDKPython(t).Interpreter, "--metrics", c.address}
		_, errs, code := call(t, args...)
		if code != 2 || slices.ContainsFunc(c.says, func(want string) bool { return !strings.Contains(errs, want) }) {
			t.Errorf("serve --metrics %s = %d %s, want 2 and %q", c.address, code, errs, c.says)
		}
	}
}

// Without the flag nothing listens, and nothing is said of it.
func TestServeWithoutMetrics(t *testing.T) {
	t.Parallel()
	s := serve(t, workspaceDir(t))
	if strings.Contains(s.said.String(), "etrics") || s.get("/metrics") != http.StatusNotFound {
		t.Errorf("there are metrics:\n%s", s.said)
	}
}
