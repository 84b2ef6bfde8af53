package runnertest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
)

// pooled gives a job a data pool with two files.
func pooled(writable bool) func(*runner.Job) {
	return func(job *runner.Job) {
		job.Pools = map[string]runner.Pool{"models": {Writable: writable, Size: 6, Place: func(dir string) error {
			for name, content := range map[string]string{"a.txt": "old", "b.txt": "two"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil { //nolint:gosec // any user reads it
					return err
				}
			}
			return os.Chmod(dir, 0o755) //nolint:gosec // the same
		}}}
	}
}

func testPools(t *testing.T, s *subject) {
	seen := s.result(t, s.job("pool", pooled(false)))
	if fmt.Sprint(seen["files"]) != "[a.txt b.txt]" {
		t.Errorf("the pool has %v, want a.txt and b.txt", seen["files"])
	}
}

func testWritablePools(t *testing.T, s *subject) {
	job := s.job("write_pool", pooled(true))
	run := s.start(t, job)
	outcome, err := run.Wait()
	if err != nil || outcome != (runner.Outcome{}) {
		t.Errorf("Wait() = %+v, %v; want success\n%s", outcome, err, job.Stderr)
	}
	left, err := run.Pool("models")
	if err != nil {
		t.Fatalf("Pool() = %v, want the files", err)
	}
	got := map[string]string{}
	files, err := left.Files()
	if err != nil {
		t.Errorf("Files() = %v", err)
	}
	for _, file := range files {
		opened, err := left.Open(file.Name)
		if err != nil {
			t.Fatalf("Open(%q) = %v", file.Name, err)
		}
		text, err := io.ReadAll(opened)
		if err != nil || opened.Close() != nil {
			t.Errorf("reading %q = %v", file.Name, err)
		}
		got[file.Name] = string(text)
	}
	if want := map[string]string{"a.txt": "new", "dir/inner/c.txt": "made"}; !maps.Equal(got, want) {
		t.Errorf("the pool has %q, want %q", got, want)
	}
	if err := left.Close(); err != nil {
		t.Errorf("closing the pool = %v", err)
	}
	if e := end(t, closing{run}); !json.Valid(e.value) {
		t.Errorf("the result is %s, want JSON", e.value)
	}
}

// closing is a run that was waited for.
type closing struct{ runner.Run }

// Wait implements [runner.Run].
func (closing) Wait() (runner.Outcome, error) { return runner.Outcome{}, nil }

func testLargePools(t *testing.T, s *subject) {
	e := end(t, s.start(t, s.job("write_pool", pooled(true), number("200000"), limits(runner.Limits{Output: 100_000, Grace: 1}))))
	if e.Limit != runner.OutputLimit {
		t.Errorf("an execution whose data pool grows by more than its limit ends %+v, want the limit of its output", e.Outcome)
	}
}
