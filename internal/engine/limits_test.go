//go:build unix

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/limits"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/store"
)

// limited is a server whose service has limits.
func limited(t *testing.T, l limits.Limits, options ...func(*engine.Config)) *server {
	t.Helper()
	s := serve(t, t.TempDir(), options...)
	service := probeService(t)
	if l.Grace == 0 {
		l.Grace = service.Limits.Grace
	}
	service.Limits, service.Concurrency = l, 1
	s.set(service)
	return s
}

func TestTimeLimit(t *testing.T) {
	t.Parallel()
	s := limited(t, limits.Limits{Time: 200 * time.Millisecond})
	e := s.run(action("sleep"))
	if e.Status != execution.Failed || e.Problem.Type != execution.TypeTimeout {
		t.Errorf("an execution over its time limit is %s: %+v, want FAILED with %s", e.Status, e.Problem, execution.TypeTimeout)
	}
}

func TestOutputLimit(t *testing.T) {
	t.Parallel()
	s := limited(t, limits.Limits{Output: 10_000})
	e := s.run(action("fill").with("number", 10_001))
	if e.Status != execution.Failed || e.Problem.Type != execution.TypeLimit || len(s.result(e.ID).Files) > 0 {
		t.Errorf("an execution over its output limit is %s: %+v, files %v, want FAILED with %s and no files", e.Status, e.Problem, s.result(e.ID).Files, execution.TypeLimit)
	}
	e = s.run(action("fill").with("number", 10_000))
	if files := s.result(e.ID).Files; e.Status != execution.Succeeded || len(files) != 1 || files[0].Size != 10_000 {
		t.Errorf("an execution at its output limit is %s: %+v, files %v, want SUCCEEDED with one file", e.Status, e.Problem, files)
	}
}

func TestFilesLimit(t *testing.T) {
	t.Parallel()
	s := serveProbe(t)
	e := s.run(action("many").with("number", runner.MaxEntries+1))
	if e.Status != execution.Failed || e.Problem.Type != execution.TypeLimit || e.Problem.Extensions["of"] != "files and folders in its output" {
		t.Errorf("an execution with too many files is %s: %+v, want FAILED with %s", e.Status, e.Problem, execution.TypeLimit)
	}
}

// TestLongNames leaves files with names of more than 1 MiB together, all of which
// come before that of the result.
func TestLongNames(t *testing.T) {
	t.Parallel()
	const files, most = 400, 1 << 20
	s := serveProbe(t)
	e := s.run(action("many").with("number", files).with("text", strings.Repeat(strings.Repeat("0", 250)+"/", 12)))
	result, size := s.result(e.ID), 0
	for _, file := range result.Files {
		size += len(file.Name)
	}
	if size > most || size < most-4096 {
		t.Errorf("names of %d bytes are kept, want nearly %d", size, most)
	}
	if e.Status != execution.Succeeded || !strings.Contains(string(result.Value), `"many"`) {
		t.Errorf("got %s and the result %s, want SUCCEEDED and what run returned", e.Status, result.Value)
	}
	if log, want := s.text(e.ID), fmt.Sprintf("only %d result files are kept", len(result.Files)); !strings.Contains(log, want) {
		t.Errorf("the log is %q, want %q in it", log, want)
	}
}

// TestOddFiles leaves files with odd names, kinds and modes. They do not keep other
// files from being results, and no name adds a line to the log.
func TestOddFiles(t *testing.T) {
	t.Parallel()
	s := serveProbe(t)
	e := s.run(action("odd").token(secretValue))
	if e.Status != execution.Succeeded {
		t.Fatalf("an execution with odd files is %s: %+v, want SUCCEEDED", e.Status, e.Problem)
	}
	var names []string
	for _, file := range s.result(e.ID).Files {
		names = append(names, file.Name)
		opened, _, err := s.probe().OpenFile(t.Context(), e.ID, file.Name)
		if err != nil {
			t.Errorf("OpenFile(%q) = %v, want no error", file.Name, err)
			continue
		}
		_ = opened.Close()
	}
	want := []string{"\x1b[2J", "-rf", "line\nend", strings.Repeat("n", 255), "\uFFFD", "\uFFFD-2", "\uFFFD-3"}
	if !slices.Equal(names, want) {
		t.Errorf("the result files are %q, want %q", names, want)
	}
	if log := s.text(e.ID); !strings.Contains(log, `the result file "binary\nwithheld" is withheld`) {
		t.Errorf("the log is %q, want a notice of the withheld file on one line", log)
	}
}

func TestLogLimit(t *testing.T) {
	t.Parallel()
	const limit = 10_000
	s := limited(t, limits.Limits{Log: limit})
	e := s.run(action("print").with("number", 100_000).token(secretValue))
	if e.Status != execution.Failed || e.Problem.Type != execution.TypeLimit || !strings.Contains(e.Problem.Detail, "10000 bytes of log") {
		t.Errorf("an execution over its log limit is %s: %+v, want FAILED with %s", e.Status, e.Problem, execution.TypeLimit)
	}
	entries := s.log(e.ID)
	size := 0
	for _, entry := range entries {
		size += len(entry.Message)
	}
	last := entries[len(entries)-1]
	if size > limit || last.Severity != execution.Notice || !strings.Contains(last.Message, strconv.Itoa(limit)) {
		t.Errorf("the log has %d bytes in %d lines and ends with %v, want at most %d and a notice of the limit", size, len(entries), last, limit)
	}
	if entries[0].Message != "line 0" || entries[1].Message != "line 1" {
		t.Errorf("the log begins with %v, want the lines 0 and 1", entries[:2])
	}
}

func TestLogKeepsOrder(t *testing.T) {
	t.Parallel()
	s := serveProbe(t)
	const lines = 20_000
	entries := s.log(s.run(action("print").with("number", lines)).ID)
	if len(entries) != lines {
		t.Fatalf("the log has %d lines, want %d", len(entries), lines)
	}
	for i, entry := range entries {
		if entry.Message != fmt.Sprintf("line %d", i) {
			t.Fatalf("line %d is %q, want the lines in order", i, entry.Message)
		}
	}
}

func TestShortSecretIsSaid(t *testing.T) {
	t.Parallel()
	s := serveProbe(t)
	e := s.run(action("say").with("text", "x").token("abc"))
	if log := s.text(e.ID); !strings.Contains(log, "NOTICE the secret api_token is shorter than 4 characters") {
		t.Errorf("the log is %q, want a notice of the short secret", log)
	}
}

// The bound on what runs at once holds for all, and what waits runs in order
// of acceptance.
func TestConcurrencyAndQueue(t *testing.T) {
	t.Parallel()
	s := limited(t, limits.Limits{}, func(c *engine.Config) { c.Queue.PerService = 3 })
	path, letGo := pipe(t)
	held := s.submit(action("hold").with("text", path))
	records := recordsOf(t.TempDir())
	var waiting []string
	for range 3 {
		waiting = append(waiting, string(s.submit(action("note").with("text", records))))
	}
	_, err := s.probe().Submit(t.Context(), engine.Submission{Body: action("nothing").json()})
	var full *store.QueueFullError
	if !errors.As(err, &full) || full.Limit != 3 {
		t.Errorf("Submit(full queue) = %v, want a QueueFullError with limit 3", err)
	}
	s.awaitLog(held, "ready")
	for _, id := range waiting {
		if e, err := s.probe().Get(t.Context(), execution.ID(id)); err != nil || e.Status != execution.Pending {
			t.Errorf("Get(waiting) = %s, %v, want PENDING", e.Status, err)
		}
	}
	letGo()
	for _, id := range waiting {
		if e := s.wait(execution.ID(id)); e.Status != execution.Succeeded {
			t.Errorf("the execution that waited is %s: %v, want SUCCEEDED", e.Status, e.Problem)
		}
	}
	text, err := os.ReadFile(records)
	if ran := strings.Fields(string(text)); err != nil || !slices.Equal(ran, waiting) {
		t.Errorf("the executions ran in the order %v, %v, want %v", ran, err, waiting)
	}
}

func TestCancelWaiting(t *testing.T) {
	t.Parallel()
	s := limited(t, limits.Limits{})
	path, letGo := pipe(t)
	held := s.submit(action("hold").with("text", path))
	records := recordsOf(t.TempDir())
	id := s.submit(action("note").with("text", records))
	for range 2 { // twice is once
		if e, err := s.probe().Cancel(t.Context(), id); err != nil || e.Status != execution.Cancelled {
			t.Fatalf("Cancel(waiting) = %s, %v, want CANCELLED", e.Status, err)
		}
	}
	s.awaitLog(held, "ready")
	letGo()
	s.wait(held)
	s.run(action("nothing")) // comes after it
	if _, err := os.Stat(records); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat(record of a cancelled execution) = %v, want none: it must not run", err)
	}
}

func TestCancelRunning(t *testing.T) {
	t.Parallel()
	s := serveProbe(t)
	id := s.submit(action("child"))
	fields := strings.Fields(s.awaitLog(id, "ready"))
	child := fields[len(fields)-1]
	if !runsMarked(child, id) {
		t.Fatalf("the child %s does not run, want it running before the cancellation", child)
	}
	if e, err := s.probe().Cancel(t.Context(), id); err != nil || !e.CancelRequested {
		t.Fatalf("Cancel(running) = %+v, %v, want CancelRequested", e, err)
	}
	e := s.wait(id)
	if e.Status != execution.Cancelled || e.Problem != nil || s.result(id).Kind != engine.None {
		t.Errorf("the cancelled execution is %s: %+v, want CANCELLED without a problem or a result", e.Status, e.Problem)
	}
	if runsMarked(child, id) {
		t.Error("a child of the cancelled service still runs, want it killed")
	}
	if again, err := s.probe().Cancel(t.Context(), id); err != nil || again.EndedAt != e.EndedAt {
		t.Errorf("Cancel(ended) = %+v, %v, want it unchanged", again, err)
	}
}

// A cancellation through another process on the same folder, here another engine,
// reaches the engine that runs the execution.
func TestCancelThroughAnotherEngine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := serve(t, dir) // with a lease that a busy machine does not let end
	s.set(probeService(t))
	other := serve(t, dir)
	other.set(probeService(t))
	id := s.submit(action("sleep"))
	s.awaitLog(id, "ready")
	if _, err := other.probe().Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if e := s.wait(id); e.Status != execution.Cancelled {
		t.Errorf("%s: %+v", e.Status, e.Problem)
	}
}

// Cancelling at any moment leads to an end, and to one of the right kind.
func TestCancelAtAnyMoment(t *testing.T) {
	t.Parallel()
	s := serveProbe(t)
	var ids []execution.ID
	for i := range 30 {
		id := s.submit(action("sleep"))
		ids = append(ids, id)
		time.AfterFunc(time.Duration(i)*2*time.Millisecond, func() {
			if _, err := s.probe().Cancel(context.WithoutCancel(t.Context()), id); err != nil {
				t.Error(err)
			}
		})
	}
	for _, id := range ids {
		if e := s.wait(id); e.Status != execution.Cancelled {
			t.Errorf("%s: %+v", e.Status, e.Problem)
		}
	}
	s.awaitLoad(store.ServiceStats{})
	if left := s.workDirs(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
