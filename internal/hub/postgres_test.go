package hub_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/postgrestest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestStateInPostgres runs a platform whose state is in Postgres. The database restarts,
// and crashes, while executions run: each succeeds, and no caller sees an error. After
// kill -9 another process goes on.
func TestStateInPostgres(t *testing.T) {
	server := postgrestest.Start(t)
	folder, err := testenv.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program, dir := filepath.Join(folder, "qhubctl"), filepath.Join(t.TempDir(), "data")
	url := filepath.Join(t.TempDir(), "database")
	if err := os.WriteFile(url, []byte(server.Schema(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, kill := startProcess(t, program, dir, "--database", "@"+url)
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	endpoint := p.url + s.path()
	p.run(p.owner, endpoint, document{})

	var ended atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for ctx.Err() == nil {
				if text, ok := runOnce(t.Context(), p, endpoint); !ok {
					t.Errorf("an execution while the database restarts: %s", text)
					return
				}
				ended.Add(1)
			}
		})
	}
	more := func(n int64) {
		for until := ended.Load() + n; ended.Load() < until && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
	}
	for _, end := range []func(testing.TB){server.Stop, server.Crash} {
		more(20)
		end(t)
		if status, _ := p.send("", http.MethodGet, "/readyz", "", nil); status != http.StatusServiceUnavailable {
			t.Errorf("GET /readyz without a database = %d, want 503", status)
		}
		server.Start(t)
	}
	more(20)
	stop()
	callers.Wait()
	if status, _ := p.send("", http.MethodGet, "/readyz", "", nil); status != http.StatusOK {
		t.Errorf("GET /readyz = %d, want 200", status)
	}

	kill()
	p, _ = startProcess(t, program, dir, "--database", "@"+url)
	list := p.call(p.owner, http.MethodGet, s.path()+"/", nil, http.StatusOK)["list"].([]any)
	for _, one := range list {
		if e := document(one.(map[string]any)); e.text("status") != "SUCCEEDED" {
			t.Errorf("after the restarts an execution is %v, want SUCCEEDED", e)
		}
	}
	if int64(len(list)) != min(ended.Load()+1, 1000) {
		t.Errorf("there are %d executions, want %d", len(list), ended.Load()+1)
	}
	p.run(p.owner, p.url+s.path(), document{})
	checkElsewhere(t, program, dir, url)
}

// runOnce runs an execution. It returns what went wrong.
func runOnce(ctx context.Context, p *platform, endpoint string) (string, bool) {
	ask := func(method, address, body string, want int) (document, string) {
		r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
		if err != nil {
			return nil, err.Error()
		}
		r.Header.Set("X-Auth-Token", p.owner)
		r.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return nil, err.Error()
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		d := document{}
		if err != nil || response.StatusCode != want || json.Unmarshal(text, &d) != nil {
			return nil, response.Status + " " + string(text)
		}
		return d, ""
	}
	e, problem := ask(http.MethodPost, endpoint, "{}", http.StatusCreated)
	if problem == "" {
		e, problem = ask(http.MethodGet, endpoint+"/"+e.text("id")+"?wait=60s", "", http.StatusOK)
	}
	if problem == "" && e.text("status") != "SUCCEEDED" {
		problem = e.text("status")
	}
	return problem, problem == ""
}

// checkElsewhere: commands find the state where it is, or say where it is.
func checkElsewhere(t *testing.T, program, dir, url string) {
	t.Helper()
	for _, c := range []struct {
		args []string
		fail string // empty: it works
	}{
		{[]string{"server", "--data", dir}, "has its state in Postgres"},
		{[]string{"server", "backup", filepath.Join(t.TempDir(), "x.tar"), "--data", dir}, "pg_dump"},
		{[]string{"keys", "list", "--data", dir}, "--database"},
		{[]string{"keys", "list", "--data", dir, "--database", "@" + url}, ""},
		{[]string{"keys", "rotate", "--data", dir, "--database", "@" + url}, ""},
		{[]string{"server", "--data", dir, "--database", "postgres://u:hidden-password@127.0.0.1/x"}, "PGPASSWORD"},
		{[]string{"server", "--data", dir, "--database", "host=127.0.0.1 password=hidden-password"}, "PGPASSWORD"},
	} {
		output, err := exec.CommandContext(t.Context(), program, c.args...).CombinedOutput()
		if (err != nil) != (c.fail != "") || !strings.Contains(string(output), c.fail) || strings.Contains(string(output), "hidden-password") {
			t.Errorf("qhubctl %s = %v, want %q:\n%s", c.args[0], err, c.fail, output)
		}
	}
	command := exec.CommandContext(t.Context(), program, "server", "config")
	command.Env = append(os.Environ(), "QHUBCTL_SERVER_DATABASE=postgres://u:hidden-password@h/d")
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "postgres://u:") || strings.Contains(string(output), "hidden-password") {
		t.Errorf("qhubctl server config = %v, want the database without its password:\n%s", err, output)
	}
}
