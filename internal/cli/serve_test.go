//go:build unix

package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/cli"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

const theSecret = "s3cr3t-of-the-tests"

// served is a running `qhubctl serve`.
type served struct {
	t    *testing.T
	url  string
	dir  string
	said *testenv.Buffer
	stop func() int
}

// workspaceDir is a folder with the service of these tests.
func workspaceDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program, err := os.ReadFile(filepath.Join("testdata", "serve", "program.py"))
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		"src/__init__.py": "", "src/program.py": string(program), "datapool/models/small.bin": "x",
		"pyproject.toml": "[project]\nname = \"tested\"\nversion = \"3.1\"\n",
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// As forks of root's server need it: they run as other users.
	for path, mode := range map[string]os.FileMode{"datapool/models": 0o755, "datapool/models/small.bin": 0o644} {
		if err := os.Chmod(filepath.Join(dir, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// serve runs the command until the test ends.
func serve(t *testing.T, dir string, flags ...string) *served {
	t.Helper()
	return serveAny(t, dir, append(flags, "--python", runnertest.SDKPython(t).Interpreter)...)
}

// serveAny is serve for a service in any language.
func serveAny(t *testing.T, dir string, flags ...string) *served {
	t.Helper()
	args := slices.Concat([]string{"serve", dir, "--port", "0"}, flags)
	ctx, cancel := context.WithCancel(context.Background())
	out, write := io.Pipe()
	s := &served{t: t, dir: dir, said: &testenv.Buffer{}}
	code := make(chan int, 1)
	go func() {
		code <- cli.Run(ctx, args, &term.Streams{In: strings.NewReader(""), Out: write, Err: s.said})
		_ = write.Close()
	}()
	s.stop = sync.OnceValue(func() int {
		cancel()
		return <-code
	})
	t.Cleanup(func() { s.stop() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server ended with %d before it printed its address, want it serving\n%s", s.stop(), s.said)
	}
	s.url = strings.TrimSpace(line)
	return s
}

// qhubctl runs a command against the server, in this process.
func (s *served) qhubctl(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	return call(s.t, append(args, "--url", s.url)...)
}

// get asks for a path, without a token, and gives the status.
func (s *served) get(path string) int {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func call(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs testenv.Buffer
	code = cli.Run(ctx, args, &term.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	return out.String(), errs.String(), code
}

func fileOf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantNoSecret checks that neither the texts, nor the output of the server, nor a
// file of the workspace holds the secret.
func (s *served) wantNoSecret(texts ...string) {
	s.t.Helper()
	for _, text := range append(texts, s.said.String()) {
		if strings.Contains(text, theSecret) {
			s.t.Errorf("a text holds the secret, want it masked:\n%s", text)
		}
	}
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // an execution has just ended, and its folder with it
		}
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		if bytes.Contains(text, []byte(theSecret)) {
			s.t.Errorf("the file %s holds the secret, want none to", path)
		}
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
}

// clientReport is what published_client.py prints.
type clientReport struct {
	Echo, Files, List, Fail, Quiet, Cancelled reportedExecution
	Stream                                    string
	Streams                                   map[string]string
	All                                       []reportedExecution
	Refused, Missing                          struct {
		Status int
		Body   struct {
			Errors []struct{ Path, Message string }
		}
	}
}

type reportedExecution struct {
	ReadableAtOnce          bool
	ID, Status              string
	Finished                bool
	Created, Started, Ended *string
	Data                    map[string]any
	Files, ResultFiles      []string
	Metadata                *struct {
		ID, Status string
		Tags       []string
	}
	Logs      [][]string
	LogIsNone bool
}

func TestPublishedClientCallsEveryMethod(t *testing.T) {
	t.Parallel()
	s := serve(t, workspaceDir(t))
	dir := t.TempDir()
	script := exec.CommandContext(t.Context(), runnertest.Interpreter(t, "qhub-service==2.0.0"), "-B", "testdata/serve/published_client.py", s.url, dir)
	script.Env = append(os.Environ(), "TEST_SECRET="+theSecret, "HOME="+t.TempDir())
	var stderr bytes.Buffer
	script.Stderr = &stderr
	text, err := script.Output()
	if err != nil {
		t.Fatalf("the upstream client failed: %v, want no error\n%s\n%s", err, stderr.String(), s.said)
	}
	var r clientReport
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	checkClientExecutions(t, r)
	plan, err := os.ReadFile(filepath.Join(dir, "plan.txt"))
	if err != nil || string(plan) != "the plan with [redacted]" {
		t.Errorf("the downloaded file is %q, %v, want the secret masked", plan, err)
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	if r.Stream != hex.EncodeToString(all) {
		t.Errorf("the streamed file is %s, want every byte unchanged", r.Stream)
	}
	// A link that the service has made leads nowhere.
	for _, name := range []string{"link.txt", "..%2f..%2fexecutions.db", "%2fetc%2fpasswd"} {
		if got := s.get("/" + r.Files.ID + "/result/" + name); got != http.StatusNotFound {
			t.Errorf("GET the file %s = %d, want 404", name, got)
		}
	}
	if len(r.All) != 6 || r.All[0].ID != r.Cancelled.ID || r.All[5].ID != r.Echo.ID {
		t.Errorf("the list has %d executions, want 6, the newest first", len(r.All))
	}
	if r.Refused.Status != 400 || len(r.Refused.Body.Errors) != 2 || r.Missing.Status != 400 {
		t.Errorf("the refused request = %+v and the one without a parameter = %+v, want 400 and two errors", r.Refused, r.Missing)
	}
	s.wantNoSecret(string(text))
}

var apiTime = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`)

func checkClientExecutions(t *testing.T, r clientReport) {
	t.Helper()
	for name, e := range map[string]reportedExecution{"echo": r.Echo, "files": r.Files, "list": r.List, "fail": r.Fail, "quiet": r.Quiet} {
		want := "SUCCEEDED"
		if name == "fail" {
			want = "FAILED"
		}
		if e.Status != want || !e.Finished || !e.ReadableAtOnce {
			t.Errorf("the execution %s is %+v, want %s and readable", name, e, want)
		}
		for _, at := range []*string{e.Created, e.Started, e.Ended} {
			if at == nil || !apiTime.MatchString(*at) {
				t.Errorf("the execution %s has the time %v, want the format of the API", name, at)
			}
		}
		if e.Metadata == nil || e.Metadata.ID != e.ID || e.Metadata.Status != want || !slices.Equal(e.Metadata.Tags, []string{"published"}) {
			t.Errorf("the execution %s has the metadata %+v, want its own", name, e.Metadata)
		}
		if name != "quiet" && !slices.ContainsFunc(e.Logs, func(line []string) bool { return slices.Equal(line, []string{"the token is [redacted]", "INFO"}) }) {
			t.Errorf("the execution %s has the log %v, want a line with the token masked", name, e.Logs)
		}
	}
	sum := sha256.Sum256([]byte(theSecret))
	if d := r.Echo.Data; d["hash"] != hex.EncodeToString(sum[:]) || d["token"] != "[redacted]" || d["text"] != "hello" || fmt.Sprint(d["models"]) != "[small.bin]" {
		t.Errorf("echo returned %v, want its parameters with the token masked", d)
	}
	want := []string{"./status", `back\slash`, "odd name ä.bin", "output.json", "plan.txt", "plots/ä b/c d.txt"}
	if got := r.Files.Files; !slices.Equal(sorted(got), want) || !slices.Equal(got, r.Files.ResultFiles) {
		t.Errorf("the files are %v, and %v of the result, want %v", got, r.Files.ResultFiles, want)
	}
	if len(r.List.Data) != 0 || !slices.Equal(r.List.Files, []string{"output.json"}) {
		t.Errorf("list returned %v and the files %v, want no members and output.json", r.List.Data, r.List.Files)
	}
	for name, want := range map[string]string{
		"./status": "a file", `back\slash`: "a file", "output.json": `"action": "files"`, "plots/ä b/c d.txt": "nested with [redacted]",
		"failed": `"title": "No luck"`,
	} {
		if got := r.Streams[name]; !strings.Contains(got, want) {
			t.Errorf("the file %s says %q, want %q", name, got, want)
		}
	}
	if !slices.Equal(r.Echo.Files, []string{"output.json"}) || !slices.Equal(r.Fail.Files, []string{"output.json"}) {
		t.Errorf("the files are %v, and %v of the failed execution, want output.json only", r.Echo.Files, r.Fail.Files)
	}
	if d := r.Fail.Data; d["title"] != "No luck" || d["detail"] != "with [redacted]" || d["code"] != float64(7) {
		t.Errorf("fail returned %v, want its problem with the token masked", d)
	}
	if !r.Quiet.LogIsNone || len(r.Quiet.Data) != 0 || len(r.Quiet.Files) != 0 {
		t.Errorf("the quiet execution is %+v, want no log, result or files", r.Quiet)
	}
	if c := r.Cancelled; c.Status != "CANCELLED" || len(c.Data) != 0 || len(c.Files) != 0 {
		t.Errorf("the cancelled execution is %+v, want CANCELLED without a result", c)
	}
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return names
}

func (s *served) wantNoSecretSaid(texts ...string) {
	s.t.Helper()
	for _, text := range append(texts, s.said.String()) {
		if strings.Contains(text, theSecret) {
			s.t.Errorf("a text holds the secret, want it masked:\n%s", text)
		}
	}
}

// until waits for a text.
func until(t *testing.T, text string, look func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(look(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q appears, want it in:\n%s", text, look())
		}
	}
}

func TestServeTakesChangesOver(t *testing.T) {
	t.Parallel()
	s := serve(t, workspaceDir(t))
	token := "api_token=@" + fileOf(t, theSecret)
	out, errs, code := s.qhubctl("executions", "start", "-d", `{"data": {"action": "sleep"}}`, "--secret", token)
	if code != 0 {
		t.Fatal(errs)
	}
	running := strings.TrimSpace(out)
	until(t, "the token is", func() string { // it has read its files
		out, _, _ := s.qhubctl("executions", "log", running)
		return out
	})
	path := filepath.Join(s.dir, "src", "program.py")
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// A broken program leaves the previous revision active; a fixed one replaces it.
	for _, change := range []struct{ old, text, says string }{
		{"def run", "def run(", "still serving the previous revision"},
		{`text: str = "hello"`, `text: str = "changed"`, "reloaded tested"},
	} {
		text := bytes.Replace(program, []byte(change.old), []byte(change.text), 1)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		until(t, change.says, s.said.String)
	}
	if out, _, _ := s.qhubctl("executions", "start", "--secret", token, "--wait", "-d", `{"data":{}}`); !strings.Contains(out, `"changed"`) {
		t.Errorf("the new service returned %s, want \"changed\"", out)
	}
	if out, _, _ := s.qhubctl("executions", "get", running); !strings.Contains(out, "RUNNING") {
		t.Errorf("the execution that ran during the reload is %s, want RUNNING", out)
	}
	if _, errs, code := s.qhubctl("executions", "cancel", running); code != 0 {
		t.Error(errs)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("the server ended with %d, want 0: %s", code, s.said)
	}
}

func TestServeSaysWhatItFound(t *testing.T) {
	t.Parallel()
	dir := workspaceDir(t)
	s := serve(t, dir)
	for _, want := range []string{"tested 3.1", "api_token  secret", "datapool/models", s.url + "/docs"} {
		if !strings.Contains(s.said.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, s.said)
		}
	}
	// The displayed command runs without editing, and no argument holds its secret.
	_, line, ok := strings.Cut(s.said.String(), "curl ")
	if !ok {
		t.Fatalf("the greeting has no command, want curl:\n%s", s.said)
	}
	line, _, _ = strings.Cut(line, "\nEND")
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl, so the command it shows is not run")
	}
	shell := exec.CommandContext(t.Context(), "sh", "-c", "curl -sS -f "+line+"\nEND")
	shell.Env = append(os.Environ(), "SECRET_API_TOKEN="+theSecret)
	if out, err := shell.CombinedOutput(); err != nil || !strings.Contains(string(out), `"status":"PENDING"`) {
		t.Errorf("the displayed command failed: %v, want a PENDING execution\n%s\n%s", err, line, out)
	}
}

func TestServeWithToken(t *testing.T) {
	t.Parallel()
	s := serve(t, workspaceDir(t), "--auth")
	for _, path := range []string{"/", "/docs", "/openapi.json", "/docs/assets/docs.js", "/nothing"} {
		if got := s.get(path); got != http.StatusUnauthorized {
			t.Errorf("GET %s without a token = %d, want 401", path, got)
		}
	}
	if _, errs, code := s.qhubctl("executions", "list"); code != 2 || !strings.Contains(errs, "QHUBCTL_TOKEN") {
		t.Errorf("executions list without a token = %d %s, want 2 and the name of the variable", code, errs)
	}
	path := filepath.Join(s.dir, ".qhub", "serve", "token")
	if out, errs, code := s.qhubctl("executions", "list", "--token", "@"+path); code != 0 {
		t.Errorf("executions list with the token = %d %s %s, want 0", code, out, errs)
	}
	token, err := os.ReadFile(path)
	if err != nil || strings.Contains(s.said.String(), strings.TrimSpace(string(token))) {
		t.Errorf("the output shows the token or its file cannot be read: %v, want it only in the file", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of the token has the mode %v, %v, want 0600", info.Mode(), err)
	}
}

func TestServeRefuses(t *testing.T) {
	t.Parallel()
	dir := workspaceDir(t)
	for _, c := range []struct {
		flags []string
		says  string
	}{
		{[]string{"--host", "0.0.0.0"}, "give --auth too"},
		{[]string{"--host", "::"}, "give --auth too"},
		{[]string{"--host", "localhost.evil.example"}, "give --auth too"},
		{[]string{"--auth=" + theSecret, "--port", "0"}, "not the token itself"},
		{[]string{"--auth=@" + fileOf(t, "short"), "--port", "0"}, "could be guessed"},
		{[]string{"--port", "70000"}, "0 to 65535"},
		{[]string{"--timeout", "-1s"}, "negative"},
	} {
		_, errs, code := call(t, slices.Concat([]string{"serve", dir, "--python", runnertest.SDKPython(t).Interpreter}, c.flags)...)
		if code != 2 || !strings.Contains(errs, c.says) || strings.Contains(errs, theSecret) {
			t.Errorf("serve %v = %d %s, want 2 and %q", c.flags, code, errs, c.says)
		}
	}
}

// TestServeFileWithABackslash lists and downloads a file whose name is a path on
// other systems.
func TestServeFileWithABackslash(t *testing.T) {
	t.Parallel()
	s := serve(t, service(t, "from qhub.commons.runtime.output import write_string_output\n\ndef run():\n    write_string_output('back\\\\slash.txt', 'content')\n"))
	out, errs, code := s.qhubctl("executions", "start", "-d", "{}")
	if code != 0 {
		t.Fatal(errs)
	}
	id, into := strings.TrimSpace(out), t.TempDir()
	if got := s.get("/" + id + "?wait=60s"); got != http.StatusOK {
		t.Fatalf("GET with wait=60s = %d, want 200", got)
	}
	if got := s.get("/" + id + `/result/back%5Cslash.txt`); got != http.StatusOK {
		t.Errorf("GET of the file = %d, want 200", got)
	}
	if _, errs, code := s.qhubctl("executions", "files", id, "--download", into); code != 0 {
		t.Errorf("the download = %d %s, want 0", code, errs)
	}
	if text, err := os.ReadFile(filepath.Join(into, `back\slash.txt`)); err != nil || string(text) != "content" {
		t.Errorf("the downloaded file is %q, %v, want its content", text, err)
	}
}
