//go:build unix

package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

const secretValue = "tok-4f9a-W8z+qq7=="

func TestResults(t *testing.T) {
	t.Parallel()
	s := serveProbe(t)
	for _, c := range []struct {
		name  string
		body  body
		kind  engine.Kind
		value string
		files []string
	}{
		{"object", action("return").with("text", `a "b" <c>`), engine.Object, `{"text":"a \"b\" <c>"}`, []string{"output.json"}},
		{"list", action("list").with("text", "x"), engine.Other, `["x"]`, []string{"output.json"}},
		{"nothing", action("nothing"), engine.None, ``, nil},
		{"large", action("large").with("number", 100_000), engine.Object, `{"text":"` + strings.Repeat("x", 100_000) + `"}`, []string{"output.json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := s.run(c.body)
			if e.Status != execution.Succeeded || e.Problem != nil || e.StartedAt.IsZero() || e.EndedAt.Before(e.StartedAt) {
				t.Fatalf("the execution is %+v with problem %v, want SUCCEEDED with start and end", e, e.Problem)
			}
			result := s.result(e.ID)
			if result.Large != "" {
				result.Value = json.RawMessage(s.file(e.ID, result.Large))
			}
			var value bytes.Buffer
			if len(result.Value) > 0 {
				if err := json.Compact(&value, result.Value); err != nil {
					t.Fatal(err)
				}
			}
			if result.Kind != c.kind || value.String() != c.value {
				t.Errorf("Result = %q %.100s, want %q %.100s", result.Kind, value.String(), c.kind, c.value)
			}
			var names []string
			for _, file := range result.Files {
				names = append(names, file.Name)
			}
			if !slices.Equal(names, c.files) {
				t.Errorf("the result files are %v, want %v", names, c.files)
			}
			for _, name := range names {
				if got := s.file(e.ID, name); got != string(result.Value) {
					t.Errorf("the file %s is %q, want the value %q", name, got, result.Value)
				}
			}
		})
	}
	if left := s.workDirs(); len(left) > 0 {
		t.Errorf("the folders %v are left, want none", left)
	}
}

// A secret is nowhere but in the service: not in its log, result, files or
// problem, and not in any file of the server, the database included.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	s := serveProbe(t)
	e := s.run(action("leak").token(secretValue))
	if e.Status != execution.Succeeded {
		t.Fatalf("the execution is %s: %v, want SUCCEEDED; its log:\n%s", e.Status, e.Problem, s.text(e.ID))
	}
	// A line without an end is shown before what masking holds back of it, if the service
	// goes on for a second.
	log := strings.ReplaceAll(s.text(e.ID), "half of it \nINFO ", "half of it ")
	for _, want := range []string{
		"INFO stdout [redacted]\n", "WARNING stderr [redacted]\n", "INFO half of it [redacted]\n",
		"WARNING the result file binary.bin is withheld",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q: %q", want, log)
		}
	}
	result := s.result(e.ID)
	var value map[string]any
	if err := json.Unmarshal(result.Value, &value); err != nil || value["value"] != "[redacted]" || value["[redacted]"] != "key" {
		t.Errorf("Result = %s, %v, want key and value masked", result.Value, err)
	}
	var names []string
	for _, file := range result.Files {
		names = append(names, file.Name)
	}
	if want := []string{"output.json", "text.txt", "[redacted].txt"}; !sameElements(names, want) {
		t.Errorf("the result files are %q, want %q", names, want)
	}
	if got := s.file(e.ID, "text.txt"); got != "in a file: [redacted]" {
		t.Errorf("text.txt is %q, want the secret masked", got)
	}
	failed := s.run(action("leak and fail").token(secretValue))
	problem, err := json.Marshal(failed.Problem)
	if err != nil || failed.Status != execution.Failed || failed.Problem.Status != 502 ||
		failed.Problem.Title != "Bad [redacted]" || failed.Problem.Extensions["key"] != "[redacted]" {
		t.Errorf("the failed execution is %s, %v: %s, want FAILED with a masked problem", failed.Status, err, problem)
	}
	if got := s.file(failed.ID, "output.json"); !strings.Contains(got, "Bad [redacted]") {
		t.Errorf("output.json of a failed execution is %q, want its problem document", got)
	}
	if err := s.store.Scrub(t.Context()); err != nil && !errors.Is(err, store.ErrBusy) {
		t.Error(err)
	}
	noneHolds(t, s.dir, secretValue)
}

func sameElements(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// noneHolds reads all files below a folder.
func noneHolds(t *testing.T, dir, value string) {
	t.Helper()
	read := 0
	files := os.DirFS(dir)
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a folder that is being removed holds nothing
			return nil
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := fs.ReadFile(files, path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if bytes.Contains(content, []byte(value)) {
			t.Errorf("the file %s holds the secret, want none to", path)
		}
		read++
		return err
	})
	if err != nil || read < 3 {
		t.Errorf("WalkDir read %d files, %v, want at least 3", read, err)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	s := serveProbe(t)
	exit := s.run(action("exit").with("number", 3))
	if p := exit.Problem; exit.Status != execution.Failed || p == nil || p.Title != "Service failed" || !hasNumber(p, "exitCode", "3") {
		t.Errorf("an execution that exits with 3 is %s: %+v, want FAILED with the exit code", exit.Status, exit.Problem)
	}
	killed := s.run(action("kill"))
	if p := killed.Problem; killed.Status != execution.Failed || p == nil || p.Extensions["signal"] != "SIGKILL" {
		t.Errorf("an execution killed by a signal is %s: %+v, want FAILED with SIGKILL", killed.Status, killed.Problem)
	}
	service := probeService(t)
	service.ID = "2"
	broken := probeRunner()
	broken.Dir = filepath.Join(t.TempDir(), "missing")
	service.Runner = broken
	s.set(service)
	unstarted := s.run(action("nothing").token(secretValue))
	if p := unstarted.Problem; unstarted.Status != execution.Failed || p == nil || p.Type != execution.TypeStart {
		t.Errorf("an execution that cannot start is %s: %+v, want FAILED with %s", unstarted.Status, unstarted.Problem, execution.TypeStart)
	}
}

func hasNumber(p *execution.Problem, name, want string) bool {
	number, ok := p.Extensions[name].(json.Number)
	return ok && number.String() == want
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := serveProbe(t)
	for _, text := range []string{`{"action": 1}`, `{}`, `[]`, `{"action":"nothing","other":1}`, `{"action":"nothing","$secrets":{"x":"y"}}`} {
		given := []byte(text)
		_, err := s.probe().Submit(t.Context(), engine.Submission{Body: given})
		var errs signature.Errors
		if !errors.As(err, &errs) || len(errs) == 0 {
			t.Errorf("Submit(%s) = %v, want signature.Errors", text, err)
		}
		if !bytes.Equal(given, make([]byte, len(given))) {
			t.Errorf("the body is %q after Submit, want it wiped", given)
		}
	}
	if _, err := s.Service("other").Submit(t.Context(), engine.Submission{Body: []byte("{}")}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Submit(unknown service) = %v, want %v", err, store.ErrNotFound)
	}
	page, err := s.probe().List(t.Context(), store.ListQuery{})
	if err != nil || len(page.Executions) > 0 {
		t.Errorf("List(after refused requests) = %d executions, %v, want none", len(page.Executions), err)
	}
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	s := serveProbe(t)
	submit := func(b body) (store.Accepted, error) {
		return s.probe().Submit(t.Context(), engine.Submission{Body: b.json(), IdempotencyKey: "k"})
	}
	first, err := submit(action("nothing").token("1"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := submit(action("nothing").token("1"))
	if err != nil || !again.Replayed || again.Execution.ID != first.Execution.ID {
		t.Errorf("Submit(same key again) = %+v, %v, want the first execution replayed", again, err)
	}
	if _, err := submit(action("nothing").token("2")); !errors.Is(err, store.ErrIdempotencyMismatch) {
		t.Errorf("Submit(same key, another body) = %v, want %v", err, store.ErrIdempotencyMismatch)
	}
	s.wait(first.Execution.ID)
}

// TestOthersExecutionsAreNotFound asks one service for an execution of another
// by every method: while it waits, runs, has just ended, and after a restart.
func TestOthersExecutionsAreNotFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	first := probeService(t)
	first.Concurrency = 1
	s.set(first)
	if err := s.Service("other").Activate(probeService(t)); err != nil {
		t.Fatal(err)
	}
	path, letGo := pipe(t)
	running := s.submit(action("hold").with("text", path))
	s.awaitLog(running, "ready")
	waiting := s.submit(action("fill").with("number", 10))
	s.wantOutOfScope("running", running)
	s.wantOutOfScope("waiting", waiting)
	letGo()
	id := waiting
	if e := s.wait(id); e.Status != execution.Succeeded {
		t.Errorf("the execution is %s: %v, want SUCCEEDED after others were refused", e.Status, e.Problem)
	}
	s.wantOutOfScope("ended", id)
	s.shutdown()
	s = serve(t, dir)
	s.set(probeService(t))
	s.wantOutOfScope("ended before the restart", id)
	for _, name := range []string{"", "..", "../master.key", "value", "file-0", "/etc/hostname"} {
		if _, _, err := s.probe().OpenFile(t.Context(), id, name); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("OpenFile(%q) = %v, want %v", name, err, store.ErrNotFound)
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := serveProbe(t)
	path, letGo := pipe(t)
	id := s.submit(action("hold").with("text", path))
	s.awaitLog(id, "ready")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e, err := s.probe().Wait(ctx, id)
	if err != nil || e.Status != execution.Running {
		t.Errorf("Wait(until its context ends) = %s, %v, want RUNNING", e.Status, err)
	}
	letGo()
	if e := s.wait(id); e.Status != execution.Succeeded {
		t.Errorf("the execution is %s: %v, want SUCCEEDED", e.Status, e.Problem)
	}
}

// wantOutOfScope asks another service for an execution of the probe.
func (s *server) wantOutOfScope(when string, id execution.ID) {
	s.t.Helper()
	ctx, other := s.t.Context(), s.Service("other")
	_, get := other.Get(ctx, id)
	_, wait := other.Wait(ctx, id)
	_, cancel := other.Cancel(ctx, id)
	_, log := other.ReadLog(ctx, id, 0, 1)
	_, watch := other.Watch(ctx, id)
	_, result := other.Result(ctx, id)
	_, _, file := other.OpenFile(ctx, id, "file-0")
	for method, err := range map[string]error{
		"Get": get, "Wait": wait, "Cancel": cancel, "ReadLog": log, "Watch": watch, "Result": result, "OpenFile": file,
	} {
		if !errors.Is(err, store.ErrNotFound) {
			s.t.Errorf("%s of another service's execution, %s = %v, want %v", method, when, err, store.ErrNotFound)
		}
	}
	page, err := other.List(ctx, store.ListQuery{ServiceID: serviceID})
	if err != nil || len(page.Executions) > 0 {
		s.t.Errorf("List of another service = %d executions, %v; want none", len(page.Executions), err)
	}
}
