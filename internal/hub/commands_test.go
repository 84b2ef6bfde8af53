package hub_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestCommands goes from nothing to a called service with the commands of the README, and
// looks after the service.
func TestCommands(t *testing.T) {
	folder, err := testenv.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, "qhubctl")
	p, _ := startProcess(t, program, filepath.Join(t.TempDir(), "data"))
	home, work := t.TempDir(), t.TempDir()
	run := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), program, args...)
		command.Dir = work
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_CACHE_HOME=" + home, "PIP_FIND_LINKS=" + os.Getenv("PIP_FIND_LINKS"), databaseVariable + "=" + os.Getenv(databaseVariable)}
		var out, said bytes.Buffer
		command.Stdout, command.Stderr = &out, &said
		_ = command.Run()
		if code := command.ProcessState.ExitCode(); code != want {
			t.Fatalf("qhubctl %s = %d, want %d\n%s%s", strings.Join(args, " "), code, want, out.String(), said.String())
		}
		if strings.Contains(out.String()+said.String(), p.owner) {
			t.Errorf("qhubctl %s prints the token", strings.Join(args, " "))
		}
		return out.String(), said.String()
	}
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(work, "adder", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("src/__init__.py", "")
	write("src/program.py", "def run(a: int, b: int) -> dict:\n    return {'sum': a + b}\n")
	write("pyproject.toml", "[project]\nname = \"adder\"\nversion = \"1.2.0\"\n")
	write(".env", "SECRET_KEY=a-secret-of-this-machine\n")

	if _, said := run(2, "up", "adder"); !strings.Contains(said, "not logged in") {
		t.Errorf("up without a login says %q", said)
	}
	run(0, "login", p.url, "--token", "@"+filepath.Join(p.dir, hubToken))
	listed, said := run(0, "up", "adder", "--dry-run")
	if strings.Contains(listed, ".env") || !strings.Contains(listed, "src/program.py") || !strings.Contains(said, "left out .env") {
		t.Errorf("up --dry-run prints %q and says %q", listed, said)
	}
	endpoint, said := run(0, "up", "adder", "--app", "shop", "--save-key", "shop.key")
	endpoint = strings.TrimSpace(endpoint)
	if !strings.HasSuffix(endpoint, "/adder/1.2.0") || !strings.Contains(said, "revision 1 of adder 1.2.0 is active") {
		t.Errorf("up prints %q and says %q", endpoint, said)
	}
	if info, err := os.Stat(filepath.Join(work, "shop.key")); err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(said, "--access-key @shop.key") {
		t.Errorf("up --app writes a key of mode %v, %v, and says %q", info.Mode(), err, said)
	}
	if out, _ := run(0, "executions", "start", "--service", "adder", "--access-key", "@shop.key", "-d", `{"a": 20, "b": 3}`, "--wait"); !strings.Contains(out, `"sum":23`) {
		t.Errorf("a call with the access key prints %q", out)
	}
	if out, _ := run(0, "executions", "list", "--url", endpoint, "--access-key", "@shop.key", "--output", "json"); strings.Count(out, `"serviceId"`) != 1 {
		t.Errorf("the executions of the application are %s, want one", out)
	}
	run(2, "executions", "list", "--url", endpoint, "--access-key", "shop.key")
	run(0, "services", "publish", "adder")
	services, _ := run(0, "services", "list", "--output", "json")
	var list []struct{ ID, Lifecycle string }
	if err := json.Unmarshal([]byte(services), &list); err != nil || len(list) != 1 || list[0].Lifecycle != "ACCESSIBLE" {
		t.Fatalf("services list prints %s, %v", services, err)
	}
	if result := p.run(p.application(p.owner, "app", list[0].ID), endpoint, document{"a": 2, "b": 3}); result["sum"] != 5.0 {
		t.Errorf("the result is %v, want the sum 5", result)
	}

	// The owner calls it by the commands of executions, and runs jobs.
	for _, service := range []string{"adder", "adder@1.2.0", list[0].ID} {
		if out, said := run(0, "executions", "start", "--service", service, "-d", `{"a": 2, "b": 3}`, "--wait"); !strings.Contains(out, `"sum":5`) {
			t.Errorf("executions start --service %s prints %q and says %q", service, out, said)
		}
	}
	run(2, "executions", "list", "--service", "subtracter")
	run(2, "executions", "list", "--service", "adder@9.9.9")
	run(2, "executions", "list", "--service", "adder", "--url", p.url)
	if out, _ := run(0, "executions", "list", "--service", "adder", "--output", "json"); strings.Count(out, `"serviceId"`) < 3 {
		t.Errorf("executions list --service prints %s", out)
	}
	if out, _ := run(0, "jobs", "start", "adder", "-d", `{"a": 4, "b": 3}`, "--tag", "nightly", "--wait"); !strings.Contains(out, `"sum":7`) {
		t.Errorf("jobs start --wait prints %q", out)
	}
	out, said := run(0, "jobs", "start", "adder", "-d", `{"a": 1, "b": 3}`)
	job := strings.TrimSpace(out)
	if out, _ := run(0, "jobs", "get", job, "--wait"); !strings.Contains(out, "SUCCEEDED") || !strings.Contains(said, "qhubctl jobs log -f "+job) {
		t.Errorf("jobs get prints %q, and jobs start says %q", out, said)
	}
	if out, _ := run(0, "jobs", "result", job); !strings.Contains(out, `"sum":4`) {
		t.Errorf("jobs result prints %q", out)
	}
	run(0, "jobs", "log", job)
	if out, _ := run(0, "jobs", "list", "--service", "adder", "--tag", "nightly"); !strings.Contains(out, "adder") || strings.Contains(out, job) {
		t.Errorf("jobs list prints %q, want the one with the tag", out)
	}
	out, _ = run(0, "jobs", "start", "adder", "-d", `{"a": 5, "b": 4}`, "--store-input")
	if out, _ := run(0, "jobs", "rerun", strings.TrimSpace(out), "--wait"); !strings.Contains(out, `"sum":9`) {
		t.Errorf("jobs rerun prints %q", out)
	}
	if _, said := run(2, "jobs", "rerun", job); !strings.Contains(said, "did not keep its input") {
		t.Errorf("jobs rerun of a job without its input says %q", said)
	}
	run(2, "jobs", "start", "adder", "-d", `{"a": "x"}`)
	run(2, "jobs", "start", "nothing")
	run(2, "jobs", "get", "01a229f6-ea1a-7990-a845-5266deefc5d3")

	run(0, "apps", "subscribe", "shop", "adder") // again
	write("taken.key", "something else\n")
	if _, said := run(2, "up", "adder", "--app", "shop", "--save-key", "adder/taken.key"); !strings.Contains(said, "holds no access key") {
		t.Errorf("up --app over another file says %q", said)
	}

	// A build that fails is an error, and changes nothing.
	write("src/program.py", "import nothing_of_this_name\n")
	if _, said := run(1, "up", "adder"); !strings.Contains(said, "nothing_of_this_name") || !strings.Contains(said, "the service stays as it was") {
		t.Errorf("up of a broken service says %q", said)
	}
	write("src/program.py", "KEY = 'a-secret-of-this-machine'\ndef run() -> int:\n    return 1\n")
	if _, said := run(2, "up", "adder"); !strings.Contains(said, "src/program.py") || strings.Contains(said, "a-secret-of-this-machine") {
		t.Errorf("up with a secret in a file says %q", said)
	}
	write("src/program.py", "def run(a: int, b: int) -> dict:\n    return {'sum': a + b, 'new': True}\n")
	if _, said := run(0, "up", "adder", "--app", "shop", "--save-key", "shop.key"); strings.Contains(said, "the access key of shop is in") {
		t.Errorf("up --app says %q, want the key that is there to stay", said)
	}
	if result := p.run(p.owner, endpoint, document{"a": 2, "b": 3}); !result["new"].(bool) {
		t.Errorf("the result of the new revision is %v", result)
	}
	if _, said := run(0, "services", "rollback", "adder"); !strings.Contains(said, "revision 1 of adder is active") {
		t.Errorf("services rollback says %q", said)
	}
	if result := p.run(p.owner, endpoint, document{"a": 2, "b": 3}); result["new"] != nil {
		t.Errorf("the result after a rollback is %v", result)
	}
	if log, _ := run(1, "services", "log", "adder", "2"); !strings.Contains(log, "nothing_of_this_name") {
		t.Errorf("services log of the bad revision prints %q", log)
	}
	run(0, "services", "activate", "adder", "3")
	run(0, "services", "unpublish", "adder", "--force")
	run(0, "services", "rm", "adder")
	p.call(p.owner, http.MethodGet, endpoint, nil, http.StatusNotFound)
	run(2, "services", "versions", "adder")
	run(0, "logout")
	p.call(p.owner, http.MethodGet, "/qc-catalog/services", nil, http.StatusUnauthorized)
}
