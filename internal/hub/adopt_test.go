package hub_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestImport takes over the folder of a `qhubctl serve` that was killed while one execution
// ran and another one waited with a secret.
func TestImport(t *testing.T) {
	ofFile(t)
	folder, err := testenv.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program, work := filepath.Join(folder, "qhubctl"), t.TempDir()
	qhubctl := func(want int, args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), program, args...)
		command.Env = append(os.Environ(), "HOME="+work, "XDG_CONFIG_HOME="+work)
		var out bytes.Buffer
		command.Stdout, command.Stderr = &out, &out
		_ = command.Run()
		if code := command.ProcessState.ExitCode(); code != want {
			t.Fatalf("qhubctl %q = %d, want %d\n%s", args, code, want, out.String())
		}
		return out.String()
	}
	p, kill := startProcess(t, program, filepath.Join(work, "data"))
	from := filepath.Join(work, "from")
	if err := os.Mkdir(from, 0o700); err != nil {
		t.Fatal(err)
	}
	const recorded = "../cli/testdata/upgrade/serve-879f9b2.tar.gz"
	if out, err := exec.CommandContext(t.Context(), "tar", "-xzf", recorded, "-C", from).CombinedOutput(); err != nil {
		t.Fatalf("tar = %v\n%s", err, out)
	}
	from = filepath.Join(from, "serve")
	endedNow(t, filepath.Join(from, "executions.db"))

	qhubctl(0, "login", p.url, "--token", "@"+filepath.Join(p.dir, hubToken))
	take := []string{"server", "import", from, "--data", p.dir, "--service"}
	qhubctl(2, append(take, "recorded")...) // the platform runs
	service := filepath.Join(work, "service")
	code, err := os.ReadFile("../cli/testdata/serve/program.py")
	if err = errors.Join(err, os.MkdirAll(filepath.Join(service, "src"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"__init__.py": nil, "program.py": code} {
		if err := os.WriteFile(filepath.Join(service, "src", name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	endpoint := strings.TrimSpace(lastLine(qhubctl(0, "up", service, "--name", "recorded")))
	kill()
	qhubctl(2, append(take, "another")...) // there is no such service
	qhubctl(2, append(take, "recorded@7.0.0")...)
	if said := qhubctl(0, append(take, "recorded")...); !strings.Contains(said, "5 executions taken over; 1 of them wait") {
		t.Errorf("server import says %q", said)
	}
	if said := qhubctl(2, append(take, "recorded")...); !strings.Contains(said, "imported before") {
		t.Errorf("another server import says %q", said)
	}

	p, _ = startProcess(t, program, p.dir)
	_, path, _ := strings.Cut(endpoint, "/gateway/")
	endpoint = p.url + "/gateway/" + path
	for id, want := range map[string]string{
		"01a2293a-6873-76ba-bfdd-614a1a4ddcdc": "SUCCEEDED", "01a2293a-68e0-7dc1-854f-2752681b1fea": "FAILED",
		"01a2293a-6953-734e-a846-f25286a98e80": "FAILED", // it ran
		"01a2293a-69e5-7d52-a6ad-3dd601612721": "SUCCEEDED", "01a2293a-6a4a-7bef-8c95-2b466b975814": "CANCELLED",
	} {
		if e := p.call(p.owner, http.MethodGet, endpoint+"/"+id+"?wait=60s", nil, http.StatusOK); e.text("status") != want {
			t.Errorf("the execution %s is %v, want %s", id, e, want)
		}
	}
	succeeded := endpoint + "/01a2293a-6873-76ba-bfdd-614a1a4ddcdc"
	if log, err := json.Marshal(p.call(p.owner, http.MethodGet, succeeded+"/log", nil, http.StatusOK)); err != nil || !bytes.Contains(log, []byte("the token is [redacted]")) {
		t.Errorf("the log is %s, %v", log, err)
	}
	if files := p.call(p.owner, http.MethodGet, succeeded+"/result", nil, http.StatusOK); !strings.Contains(files.text("_links", "plan.txt", "href"), "plan.txt") {
		t.Errorf("the result is %v, want a link to its file", files)
	}
	p.call(p.owner, http.MethodGet, succeeded+"/result/plan.txt", nil, http.StatusOK)
}

// endedNow has recorded executions end a moment ago, or they would be too old to be kept.
func endedNow(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err == nil {
		_, err = db.ExecContext(t.Context(), `UPDATE executions SET ended_at = $1 WHERE ended_at IS NOT NULL`, time.Now().UnixMicro())
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
