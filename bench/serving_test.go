package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// The published packages, as they are compared.
var publishedServer = []string{"qhub-serve==1.4.3", "qhub-commons==1.2.2"}

// trivial is a service that does nothing but what all do: take a model, return
// a value.
const trivial = `
from pydantic import BaseModel

class InputData(BaseModel):
    n: int

def run(data: InputData) -> dict:
    return {"n": data.n}
`

// A contender is a server of the trivial service.
type contender struct {
	name  string
	start func(b *testing.B, dir string, port int) *exec.Cmd
	// wait follows an execution to its end in one request.
	wait bool
}

// BenchmarkServing is executions of a trivial service from POST to the final
// state, by our server and by the published one, with callers that ask for the
// state every millisecond. The servers run one after the other in one run.
//
// The published server runs executions as threads of one process and keeps
// nothing; by its own command it runs in its reload mode.
func BenchmarkServing(b *testing.B) {
	for _, c := range contenders(b) {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			if err := os.MkdirAll(filepath.Join(dir, "src"), 0o755); err != nil {
				b.Fatal(err)
			}
			for name, text := range map[string]string{"__init__.py": "", "program.py": trivial} {
				if err := os.WriteFile(filepath.Join(dir, "src", name), []byte(text), 0o600); err != nil {
					b.Fatal(err)
				}
			}
			url, pid := startServer(b, c, dir)
			for _, callers := range []int{1, 4, 16} {
				b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
					benchmarkServer(b, c, url, callers)
					b.ReportMetric(residentMB(b, pid), "MB-server")
				})
			}
		})
	}
}

func contenders(b *testing.B) []contender {
	b.Helper()
	qhubctl := built(b)
	kit, err := testenv.Venv("bench-kit", kitWheel(b))
	if err != nil {
		b.Fatal(err)
	}
	published, err := testenv.Venv("bench-published", publishedServer...)
	if err != nil {
		b.Fatal(err)
	}
	ours := func(_ *testing.B, dir string, port int) *exec.Cmd {
		return exec.Command(qhubctl, "serve", dir, "--quiet", "--port", strconv.Itoa(port), "--python", testenv.Program(kit, "python"))
	}
	cold := func(b *testing.B, dir string, port int) *exec.Cmd {
		if err := os.WriteFile(filepath.Join(dir, "pyproject.toml"), []byte("[tool.qhubctl]\nstart = \"cold\"\n"), 0o600); err != nil {
			b.Fatal(err)
		}
		return ours(b, dir, port)
	}
	reload := func(_ *testing.B, dir string, port int) *exec.Cmd {
		return exec.Command(testenv.Program(published, "qhub-serve"), "--workspace", dir, "--port", strconv.Itoa(port), "--log-level", "ERROR")
	}
	direct := func(_ *testing.B, dir string, port int) *exec.Cmd {
		command := exec.Command(testenv.Program(published, "python"), "-m", "uvicorn", "qhub_serve.app:app", "--port", strconv.Itoa(port),
			"--log-level", "error", "--app-dir", dir)
		command.Env = append(os.Environ(), "ENTRYPOINT=src.program:run", "WORKSPACE="+dir, "LOG_LEVEL=ERROR")
		return command
	}
	return []contender{
		{"qhubctl", ours, false}, {"qhubctl-long-poll", ours, true}, {"qhubctl-cold", cold, false},
		{"qhub-serve-by-uvicorn", direct, false}, {"qhub-serve", reload, false},
	}
}

// kitWheel is the wheel of our kit, as `init` places it.
func kitWheel(b *testing.B) string {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "service")
	timed(b, "", os.Environ(), built(b), "init", dir, "--quiet", "--lang", "python")
	wheels, err := filepath.Glob(filepath.Join(dir, "vendor", "*.whl"))
	if err != nil || len(wheels) != 1 {
		b.Fatalf("%v %v", wheels, err)
	}
	return wheels[0]
}

// residentMB is the memory of a process alone, without its children.
func residentMB(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // not Linux
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb / 1000
		}
	}
	return 0
}

// startServer starts a server in a group of its own, which ends with the
// benchmark, and returns its address once it answers, and its process.
func startServer(b *testing.B, c contender, dir string) (url string, pid int) {
	b.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	command := c.start(b, dir, port)
	command.Dir = dir
	var log bytes.Buffer
	command.Stdout, command.Stderr = io.Discard, &log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
		kill := time.AfterFunc(20*time.Second, func() { _ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) })
		_ = command.Wait()
		kill.Stop()
	})
	url = "http://127.0.0.1:" + strconv.Itoa(port)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url+"/", http.NoBody)
		if err != nil {
			b.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
			return url, command.Process.Pid
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s does not answer: %v\n%s", c.name, err, &log)
		}
	}
}

func benchmarkServer(b *testing.B, c contender, url string, callers int) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	for range 20 { // it has imported all that it needs, and stands ready
		execute(b, client, c, url)
	}
	var mu sync.Mutex
	var times []time.Duration
	var wait sync.WaitGroup
	work := make(chan struct{})
	for range callers {
		wait.Go(func() {
			for range work {
				took := execute(b, client, c, url)
				mu.Lock()
				times = append(times, took)
				mu.Unlock()
			}
		})
	}
	begun := time.Now()
	for b.Loop() {
		work <- struct{}{}
	}
	close(work)
	wait.Wait()
	rate := float64(len(times)) / time.Since(begun).Seconds()
	slices.Sort(times)
	b.ReportMetric(milliseconds(times[len(times)/2]), "p50-ms")
	b.ReportMetric(milliseconds(times[len(times)*99/100]), "p99-ms")
	b.ReportMetric(rate, "executions/s")
	b.ReportMetric(0, "ns/op")
}

// execute starts an execution and follows it to its end.
func execute(b *testing.B, client *http.Client, c contender, url string) time.Duration {
	begun := time.Now()
	var state struct{ ID, Status string }
	call(b, client, http.MethodPost, url+"/", `{"data": {"n": 1}}`, &state)
	address := url + "/" + state.ID
	if c.wait {
		address += "?wait=30s"
	}
	for state.Status == "PENDING" || state.Status == "RUNNING" || state.Status == "UNKNOWN" {
		if !c.wait {
			time.Sleep(time.Millisecond)
		}
		call(b, client, http.MethodGet, address, "", &state)
		if time.Since(begun) > time.Minute {
			b.Error("an execution does not end")
			break
		}
	}
	if state.Status != "SUCCEEDED" {
		b.Errorf("an execution is %s", state.Status)
	}
	return time.Since(begun)
}

func call(b *testing.B, client *http.Client, method, url, body string, answer any) {
	request, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusNotFound && method == http.MethodGet {
		return // the published server may not know yet what it has accepted
	}
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s", method, response.Status, text)
	}
	if err == nil {
		err = json.Unmarshal(text, answer)
	}
	if err != nil {
		b.Error(err)
	}
}
