package leak_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/leak"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// The traces in a data pool.
const (
	inPool     trace = "masked in the file of the pool"
	notWritten trace = "file not written back, named in the log"
)

// poolChannels are the ways into a data pool, which a platform writes back. The service
// has a function of each name.
var poolChannels = []way{
	{"pool_file", "a file in a data pool, text", returns, inPool, true},
	{"pool_encoded", "a file in a data pool, base64", returns, inPool, true},
	{"pool_large", "a large file in a data pool, across the end of a block", returns, inPool, true},
	{"pool_appended", "a file of a data pool that was there before", returns, inPool, true},
	{"pool_binary", "a file in a data pool, binary", returns, notWritten, true},
	{"pool_name", "the name of a file in a data pool", returns, notWritten, true},
}

func poolCanaries(source *leak.Generator) []leak.Canary {
	var canaries []leak.Canary
	for _, w := range poolChannels {
		canaries = append(canaries, source.Canaries(w.name)...)
	}
	return canaries
}

// TestDataPools has a service leak its secrets into a data pool of a platform.
func TestDataPools(t *testing.T) {
	t.Parallel()
	canaries := poolCanaries(newSource(t))
	found := newFindings(canaries)
	leakIntoPool(t, program(t), canaries, found)
	found.report(t)
	t.Logf("%d canaries, %d MB searched", len(canaries), found.bytes>>20)
}

// A poolPlatform is a `qhubctl server` with a user that is logged in.
type poolPlatform struct {
	*server
	workspace workspace
	token     string
}

// leakIntoPool runs the service on a platform, and searches all that is left.
func leakIntoPool(t *testing.T, program string, canaries []leak.Canary, found *findings, env ...string) {
	t.Helper()
	machine := sandbox.Detect(sandbox.Options{})
	defer machine.Close()
	if err := machine.Require(); err != nil {
		t.Skipf("this machine cannot confine builds: %v", err)
	}
	p := &poolPlatform{workspace: workspace{dir: filepath.Join(t.TempDir(), "data"), program: program}}
	for _, name := range []string{"HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"} {
		p.workspace.env = append(p.workspace.env, name+"="+t.TempDir())
	}
	p.workspace.env = append(p.workspace.env, "PATH="+os.Getenv("PATH"), "LANG=C.UTF-8", "PIP_FIND_LINKS="+os.Getenv("PIP_FIND_LINKS"))
	p.workspace.env = append(p.workspace.env, env...)
	p.server = serve(t, p.workspace.command(t, "server", "--data", p.workspace.dir, "--listen", "127.0.0.1:0", "--verbose"), found)
	tokenFile := filepath.Join(p.workspace.dir, "owner-token")
	p.token = strings.TrimSpace(read(t, tokenFile))
	p.workspace.qhubctl(t, "login", p.url, "--token", "@"+tokenFile)
	service := writePoolService(t, canaries)
	endpoint := strings.TrimSpace(lastLine(p.workspace.qhubctl(t, "--quiet", "up", service)))
	notes := filepath.Join(t.TempDir(), "notes.txt")
	write(t, notes, "notes\n")
	var pool struct{ ID string }
	if err := json.Unmarshal([]byte(p.workspace.qhubctl(t, "datapools", "create", "notes", "--output", "json")), &pool); err != nil {
		t.Fatal(err)
	}
	p.workspace.qhubctl(t, "datapools", "upload", "notes", notes)
	l := p.run(endpoint, pool.ID, canaries)
	for _, c := range canaries {
		p.checkPool(c, l)
	}
	p.stop()
	searchDirs(t, found, "after the end", &p.workspace, false)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// writePoolService writes the service with a parameter for each canary.
func writePoolService(t *testing.T, canaries []leak.Canary) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "service")
	var program strings.Builder
	program.WriteString("from typing import Optional\n\nfrom qhub.commons.datapool import DataPool\nfrom qhub.commons.secret import SecretValue\n\nfrom src import ways\n\n\ndef run(\n    models: DataPool,\n")
	for _, c := range canaries {
		fmt.Fprintf(&program, "    %s: Optional[SecretValue] = None,\n", parameter(c))
	}
	program.WriteString(") -> dict:\n    given = dict(locals())\n    return ways.carry_out(given.pop(\"models\").path, given)\n")
	write(t, filepath.Join(dir, "src", "__init__.py"), "")
	write(t, filepath.Join(dir, "src", "program.py"), program.String())
	write(t, filepath.Join(dir, "src", "ways.py"), read(t, filepath.Join("testdata", "python", "datapools.py")))
	write(t, filepath.Join(dir, "pyproject.toml"), "[project]\nname = \"pooled\"\nversion = \"1.0.0\"\n")
	return dir
}

// askPlatform calls a platform, and returns the status and the answer.
func askPlatform(t *testing.T, client *http.Client, token, method, address string, body []byte) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", token)
	r.Header.Set("Content-Type", "application/json")
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %.100s: %v", method, address, err)
	}
	return response.StatusCode, text
}

// ask calls the platform, and searches the answer.
func (p *poolPlatform) ask(method, address string, body []byte) []byte {
	p.t.Helper()
	status, text := askPlatform(p.t, p.client, p.token, method, address, body)
	if status >= http.StatusBadRequest {
		p.t.Fatalf("%s %s = %d %s", method, address, status, text)
	}
	p.found.search("the answer to "+method+" "+address, text)
	p.found.searchJSON("the answer to "+method+" "+address, text)
	return text
}

// run runs the service with all secrets, and reads all that it leaves.
func (p *poolPlatform) run(endpoint, pool string, canaries []leak.Canary) *left {
	p.t.Helper()
	secrets := map[string]string{}
	for _, c := range canaries {
		secrets[parameter(c)] = c.Value
	}
	body, err := json.Marshal(map[string]any{"models": map[string]string{"id": pool, "ref": "DATAPOOL"}, "$secrets": secrets})
	if err != nil {
		p.t.Fatal(err)
	}
	var e struct{ ID, Status string }
	if err := json.Unmarshal(p.ask(http.MethodPost, endpoint, body), &e); err != nil {
		p.t.Fatal(err)
	}
	if err := json.Unmarshal(p.ask(http.MethodGet, endpoint+"/"+e.ID+"?wait=60s", nil), &e); err != nil {
		p.t.Fatal(err)
	}
	l := &left{id: e.ID, files: map[string]string{}, result: string(p.ask(http.MethodGet, endpoint+"/"+e.ID+"/result", nil))}
	l.log = string(p.ask(http.MethodGet, endpoint+"/"+e.ID+"/log", nil))
	if e.Status != "SUCCEEDED" {
		p.t.Fatalf("the execution has ended %s: %s\n%.3000s", e.Status, l.result, l.log)
	}
	var files []struct{ ID, FullPath string }
	address := p.url + "/qc-catalog/datapools/" + pool + "/files"
	if err := json.Unmarshal(p.ask(http.MethodGet, address, nil), &files); err != nil {
		p.t.Fatal(err)
	}
	for _, f := range files {
		l.files[f.FullPath] = string(p.ask(http.MethodGet, address+"/"+f.ID, nil))
	}
	p.ask(http.MethodGet, p.url+"/qc-catalog/service-jobs", nil)
	return l
}

// checkPool checks the trace of a secret.
func (p *poolPlatform) checkPool(c leak.Canary, l *left) {
	p.t.Helper()
	name, want := parameter(c), trace("")
	for _, w := range poolChannels {
		if w.name == c.Cell {
			want = w.trace
		}
	}
	file := l.files[name+".txt"]
	if c.Cell == "pool_appended" {
		file = l.files["notes.txt"]
	}
	switch {
	case !strings.Contains(l.log, "wrote "+name):
		p.found.complain(c.Cell, name+": the service has not written it")
	case want == inPool && !maskedNear(file, name+": "):
		p.found.complain(c.Cell, name+": nothing masked is in the file")
	case want == notWritten:
		for file := range l.files {
			if strings.HasPrefix(file, name) {
				p.found.complain(c.Cell, name+": the file "+file+" is there")
			}
		}
		if _, after, found := strings.Cut(l.log, "data pool models: the file \\\""+name); !found || !strings.Contains(after, "is not written back") {
			p.found.complain(c.Cell, name+": the log does not say that the file is not written back")
		}
	}
}
