package hub_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// startProcess runs the program as its users do, with more options. kill is kill -9.
func startProcess(t testing.TB, program, dir string, options ...string) (p *platform, kill func()) {
	t.Helper()
	if err := confined(); err != nil {
		t.Skipf("this machine cannot confine builds: %v", err)
	}
	if !slices.Contains(options, "--database") {
		askDatabase(t, dir)
	}
	command := exec.Command(program, append([]string{"server", "--data", dir, "--listen", "127.0.0.1:0"}, options...)...)
	var log strings.Builder
	command.Stderr = &log
	stdout, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if !killed {
			killed = true
			_ = command.Process.Kill()
			_ = command.Wait()
		}
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		kill()
		t.Fatalf("the server has printed %q, %v; its log is %s", line, err, log.String())
	}
	token, err := os.ReadFile(filepath.Join(dir, hubToken))
	if err != nil {
		t.Fatal(err)
	}
	return &platform{TB: t, dir: dir, url: strings.TrimSpace(line), owner: strings.TrimSpace(string(token)), stop: kill}, kill
}

// TestKilled kills the server in the middle of a build and of an upload. After a restart
// the revision before serves, the build that was confirmed is made, and of the upload
// nothing is left.
func TestKilled(t *testing.T) {
	folder, err := testenv.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, "qhubctl")
	dir := filepath.Join(t.TempDir(), "data")
	p, kill := startProcess(t, program, dir)
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")

	// A Python service takes seconds to build.
	python := archiveOf(t, map[string][]byte{"src/__init__.py": nil, "src/program.py": []byte("def run(name: str = 'x') -> dict:\n    return {'python': name}\n")})
	status, answer := p.send(p.owner, http.MethodPost, "/qc-catalog/deployments?name=greeter", "application/zip", python)
	if status != http.StatusCreated {
		t.Fatalf("POST /deployments = %d %s", status, answer)
	}
	p.inStep(s, "BUILD_IMAGE")

	// An upload of which half has come.
	half, rest := io.Pipe()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/qc-catalog/deployments?name=half", half)
		if err != nil {
			return
		}
		r.Header.Set("X-Auth-Token", p.owner)
		r.Header.Set("Content-Type", "application/zip")
		if response, err := http.DefaultClient.Do(r); err == nil {
			_ = response.Body.Close()
		}
	}()
	if _, err := rest.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	kill()
	_ = rest.Close()
	<-sent

	p, _ = startProcess(t, program, dir)
	endpoint := p.url + s.path()
	if result := p.run(p.owner, endpoint, document{"name": "you"}); result.text("hello") != "you" && result.text("python") != "you" {
		t.Errorf("after the server was killed the result is %v, want that of a whole revision", result)
	}
	revisions := p.call(p.owner, http.MethodGet, "/qc-catalog/services/"+s.id+"/revisions", nil, http.StatusOK)
	p.built(deployed{id: s.id, revision: revisions.text("list", "id")}, "SUCCESS")
	if result := p.run(p.owner, endpoint, document{"name": "you"}); result.text("python") != "you" {
		t.Errorf("after its build the result is %v, want that of the new revision", result)
	}
	if list, _ := p.call(p.owner, http.MethodGet, "/qc-catalog/services", nil, http.StatusOK)["list"].([]any); len(list) != 1 {
		t.Errorf("there are the services %v, want none of the upload that was cut", list)
	}
	for pattern, want := range map[string]int{"blobs/pending/*": 0, "blobs/objects/sources/*": 2, "revisions/*": 2} {
		if found, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern))); err != nil || len(found) != want {
			t.Errorf("in the data folder there are %q, want %d", found, want)
		}
	}
}

// inStep waits until the newest build of a service is in a step.
func (p *platform) inStep(s deployed, step string) {
	p.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		d := p.call(p.owner, http.MethodGet, "/qc-catalog/managed-services/"+s.id+"/build-status", nil, http.StatusOK)
		if d.text("step") == step && d.text("status") == "WORKING" {
			return
		}
		if time.Now().After(deadline) || d.text("status") == "FAILURE" {
			p.Fatalf("the build is %v, want it in the step %s", d, step)
		}
	}
}
