package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// mostMemory is the peak that a server must stay under, in MiB.
const mostMemory = 300

// largeProgram returns and prints much. It writes its result itself where
// Python would take long.
const largeProgram = `
import os
from qhub.commons.secret import SecretValue


def run(token: SecretValue, data: list[dict[str, int]] = [], numbers: int = 0, hidden: int = 0, text: int = 0, log: int = 0):
    for _ in range(log):
        print(("x" * 1023 + "\\n") * 1023)
    if text:
        return {"text": "a\n" * (text << 18) + token.unwrap()}
    if numbers:
        secret = token.unwrap()
        with open(os.environ["OUTPUT_DIRECTORY"] + "/output.json", "w") as file:
            file.write('{"numbers":[1')
            for _ in range(numbers):
                file.write(",1" * (1 << 19))
                if hidden:
                    file.write(',"' + secret + '",' + secret)
            file.write("]}")
        os._exit(0)
    return {"items": len(data)}
`

// child is a server in its own process.
type child struct {
	t   *testing.T
	url string
	pid int
	log testenv.Buffer
}

// program is the program to measure: without the race detector.
func program(t *testing.T) string {
	t.Helper()
	if !raced {
		return "qhubctl"
	}
	path := filepath.Join(t.TempDir(), "qhubctl")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../../cmd/qhubctl").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

func serveInChild(t *testing.T) *child {
	t.Helper()
	dir := service(t, largeProgram)
	put(t, filepath.Join(dir, "pyproject.toml"), "[project]\nname = \"tested\"\nversion = \"1\"\n[tool.qhubctl.limits]\nmemory = \"2GiB\"\noutput = \"200MiB\"\nlog = \"4GiB\"\n")
	c := &child{t: t}
	cmd := exec.CommandContext(t.Context(), program(t), "serve", dir, "--port", "0", "--python", runnertest.SDKPython(t).Interpreter)
	cmd.Env, cmd.Stderr = plainEnv(t), &c.log
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v\n%s", err, &c.log)
	}
	c.url, c.pid = strings.TrimSpace(line), cmd.Process.Pid
	return c
}

// wantBounded checks the most memory that the server has had.
func (c *child) wantBounded() {
	c.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.pid))
	if err != nil {
		c.t.Fatalf("the server is gone: %v\n%s", err, &c.log)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmHWM:" {
			kib, err := strconv.Atoi(fields[1])
			if c.t.Logf("the server had %d MiB at most", kib>>10); err != nil || kib>>10 >= mostMemory {
				c.t.Errorf("the server had %d MiB at most, want under %d", kib>>10, mostMemory)
			}
		}
	}
}

// do sends a request and reads the beginning of the answer.
func (c *child) do(method, path, body string, header ...string) (status int, start string, size int64) {
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Error(err)
		return 0, "", 0
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Error(err)
		return 0, "", 0
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Errorf("%s %s: %v", method, path, err)
	}
	if bytes.Contains(text, []byte(largeSecret)) {
		c.t.Errorf("%s %s: the answer holds the secret", method, path)
	}
	return answer.StatusCode, string(text[:min(len(text), 64<<10)]), int64(len(text))
}

// run starts an execution and waits for its end.
func (c *child) run(body string) (id string) {
	code, text, _ := c.do("POST", "/", body)
	var e struct{ ID, Status string }
	if err := json.Unmarshal([]byte(text), &e); err != nil || code != http.StatusCreated {
		c.t.Errorf("POST %d bytes = %d %.300s", len(body), code, text)
		return ""
	}
	for e.Status != "SUCCEEDED" {
		if _, text, _ = c.do("GET", "/"+e.ID+"?wait=60", ""); json.Unmarshal([]byte(text), &e) != nil || e.Status == "FAILED" {
			c.t.Errorf("the execution has ended as %s", text)
			return ""
		}
	}
	return e.ID
}

// largeSecret is a number: numbers may hold it.
const largeSecret = "4711471147114711"

const secretMember = `"$secrets":{"token":"` + largeSecret + `"}`

func TestMemoryOfLargeBodies(t *testing.T) {
	c := serveInChild(t)
	items := strings.Repeat(`{"a":1},`, 15<<20/8)
	refused := `{` + secretMember + `,"data":[` + items + `{"a":"x"}]}`
	if code, text, _ := c.do("POST", "/", refused); code != http.StatusBadRequest || !strings.Contains(text, `"data[1966080].a"`) {
		t.Errorf("POST 15 MiB with a wrong item = %d %.300s, want 400 that names it", code, text)
	}
	c.wantBounded()
	accepted := `{` + secretMember + `,"data":[` + items + `{"a":2}]}`
	var posts sync.WaitGroup
	for range 4 {
		posts.Go(func() { c.run(accepted) })
	}
	posts.Wait()
	c.wantBounded()
}

func TestMemoryOfLargeResults(t *testing.T) {
	c := serveInChild(t)
	for body, want := range map[string]struct {
		start   string
		minimum int64
	}{
		`{` + secretMember + `,"numbers":60}`:            {`{"numbers":[1,1,1,1`, 60 << 20},
		`{` + secretMember + `,"numbers":60,"hidden":1}`: {`{"numbers":[1,1,1,1`, 60 << 20},
		`{` + secretMember + `,"text":40}`:               {`{"text":"a\na\n`, 24 << 20},
	} {
		id := c.run(body)
		code, start, size := c.do("GET", "/"+id+"/result", "")
		if code != http.StatusOK || !strings.HasPrefix(start, want.start) || size < want.minimum {
			t.Errorf("%s: the result is %d %.60s of %d bytes\nwant %s of more than %d", body, code, start, size, want.start, want.minimum)
		}
		if code, _, file := c.do("GET", "/"+id+"/result/output.json", ""); code != http.StatusOK || file < want.minimum {
			t.Errorf("%s: output.json is %d of %d bytes", body, code, file)
		}
		c.wantBounded()
	}
}

func TestMemoryOfALargeLog(t *testing.T) {
	c := serveInChild(t)
	id := c.run(`{` + secretMember + `,"log":128}`)
	if code, _, size := c.do("GET", "/"+id+"/log", "", "Accept", "text/plain"); code != http.StatusOK || size < 120<<20 {
		t.Errorf("the log is %d of %d bytes, want more than 120 MiB", code, size)
	}
	c.wantBounded()
}
