package runnertest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

func testText(t *testing.T, s *subject) {
	for _, want := range []string{"plain", `with "quotes" and \ backslash`, "two\nlines", "ünïcödé 🔑"} {
		if got := s.result(t, s.job("echo", text(want)))["text"]; got != want {
			t.Errorf("the text arrived as %q, want %q", got, want)
		}
	}
}

func testSecrets(t *testing.T, s *subject) {
	const value = "s3cr3t-für-alle\n\"zeile 2\""
	job := s.job("secret", token(value))
	seen := s.result(t, job)
	sum := sha256.Sum256([]byte(value))
	want := map[string]any{
		"given": true, "sha256": hex.EncodeToString(sum[:]), "inEnviron": false, "inBlock": false, "inChild": false,
	}
	for name := range want {
		if seen[name] != want[name] {
			t.Errorf("%s = %v, want %v", name, seen[name], want[name])
		}
	}
	testNoSecret(t, s) // not that of the earlier execution
}

func testNoSecret(t *testing.T, s *subject) {
	if seen := s.result(t, s.job("secret")); fmt.Sprint(seen["given"]) != "false" {
		t.Errorf("an execution without a secret was given one: %v, want none", seen)
	}
}

func testEnvironment(t *testing.T, s *subject) {
	seen := s.result(t, s.job("environment"))
	for name, value := range seen {
		if strings.HasPrefix(name, "SECRET_") {
			t.Errorf("%s=%s in the environment, want no secret", name, value)
		}
	}
	again := s.result(t, s.job("environment")) // fails if HOME or TMPDIR has a file of the first
	own, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"HOME", "TMPDIR", "INPUT_DIRECTORY", "OUTPUT_DIRECTORY"} {
		place, _ := seen[name].(string)
		// In a private view, each finds it under the same path.
		hidden := slices.ContainsFunc([]string{sandbox.HomeAt, sandbox.TempAt, sandbox.FolderAt}, func(at string) bool {
			return place == at || strings.HasPrefix(place, at+"/")
		})
		if !filepath.IsAbs(place) || place == own || seen[name] == again[name] && !hidden {
			t.Errorf("%s is %v, then %v, want a private folder of each", name, seen[name], again[name])
		}
		if _, err := os.Stat(place); err == nil && !hidden {
			t.Errorf("%s, %s, still exists, want it removed", name, place)
		}
	}
}

func testDataPools(t *testing.T, s *subject) {
	pool := t.TempDir()
	if err := os.WriteFile(filepath.Join(pool, "weights.bin"), []byte("w"), 0o600); err != nil {
		t.Fatal(err)
	}
	seen := s.result(t, s.job("pool", func(job *runner.Job) { job.DataPools = map[string]string{"models": pool} }))
	if fmt.Sprint(seen["files"]) != "[weights.bin]" {
		t.Errorf("the pool has %v, want weights.bin", seen["files"])
	}
	if _, err := os.Stat(filepath.Join(pool, "weights.bin")); err != nil {
		t.Errorf("the file of the pool: %v, want it untouched", err)
	}
}

func testExitCodes(t *testing.T, s *subject) {
	for _, code := range []int{0, 1, 3, 255} {
		e := end(t, s.start(t, s.job("exit", number(strconv.Itoa(code)))))
		if want := (runner.Outcome{ExitCode: code}); e.Outcome != want {
			t.Errorf("exit %d ends %+v, want %+v", code, e.Outcome, want)
		}
	}
}

func testSignals(t *testing.T, s *subject) {
	e := end(t, s.start(t, s.job("signal", number("9"))))
	if want := (runner.Outcome{ExitCode: -1, Signal: "SIGKILL"}); e.Outcome != want {
		t.Errorf("signal 9 ends %+v, want %+v", e.Outcome, want)
	}
}

func testStop(t *testing.T, s *subject) {
	job := s.job("sleep")
	run := s.start(t, job)
	awaitReady(t, job)
	run.Stop()
	e := end(t, run)
	if !e.Stopped || e.Signal == "SIGKILL" || e.Limit != runner.NoLimit || e.Signal == "" && e.ExitCode == 0 {
		t.Errorf("a stopped execution ends %+v, want its own end", e.Outcome)
	}
}

func testStubborn(t *testing.T, s *subject) {
	job := s.job("stubborn", limits(runner.Limits{Grace: 1}))
	run := s.start(t, job)
	awaitReady(t, job)
	run.Stop()
	e := end(t, run)
	if want := (runner.Outcome{ExitCode: -1, Signal: "SIGKILL", Stopped: true}); e.Outcome != want {
		t.Errorf("a stubborn execution ends %+v, want %+v", e.Outcome, want)
	}
}

func testStopTwice(t *testing.T, s *subject) {
	job := s.job("stubborn") // its grace time is longer than the test's patience
	run := s.start(t, job)
	awaitReady(t, job)
	run.Stop()
	run.Stop()
	if e := end(t, run); e.Signal != "SIGKILL" || !e.Stopped {
		t.Errorf("a second Stop ends %+v, want SIGKILL", e.Outcome)
	}
	run.Stop() // after the end it does nothing
}

func testTree(t *testing.T, s *subject) {
	job := s.job("tree")
	run := s.start(t, job)
	awaitReady(t, job)
	if n := len(processesOf(t, job)); n < 3 {
		t.Fatalf("the tree has %d processes, want at least 3", n)
	}
	run.Stop()
	end(t, run)
	if left := processesOf(t, job); len(left) > 0 {
		t.Errorf("the processes %v still run, want none", left)
	}
}

func testLeave(t *testing.T, s *subject) {
	job := s.job("leave")
	s.result(t, job)
	if left := processesOf(t, job); len(left) > 0 {
		t.Errorf("the processes %v still run, want none", left)
	}
}

// processesOf are the processes whose environment names the execution.
func processesOf(t *testing.T, job runner.Job) []string {
	t.Helper()
	blocks, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(blocks) == 0 {
		t.Skip("processes cannot be listed here")
	}
	var found []string
	for _, block := range blocks {
		if environ, err := os.ReadFile(block); err == nil && strings.Contains(string(environ), string(job.ID)) {
			found = append(found, filepath.Dir(block))
		}
	}
	return found
}

func testTimeLimit(t *testing.T, s *subject) {
	e := end(t, s.start(t, s.job("stubborn", limits(runner.Limits{Time: 1, Grace: 1}))))
	if e.Limit != runner.TimeLimit || e.Stopped {
		t.Errorf("the execution ends %+v, want the time limit", e.Outcome)
	}
}

func testOutputLimit(t *testing.T, s *subject) {
	for name, job := range map[string]runner.Job{
		"while it writes": s.job("fill", limits(runner.Limits{Output: 1 << 18, Grace: patience})),
		"at its end":      s.job("files", limits(runner.Limits{Output: 1})),
	} {
		if e := end(t, s.start(t, job)); e.Limit != runner.OutputLimit || e.Stopped {
			t.Errorf("%s ends %+v, want the output limit", name, e.Outcome)
		}
	}
	s.result(t, s.job("files", limits(runner.Limits{Output: 1 << 20})))
}

func testFlood(t *testing.T, s *subject) {
	const size = 20_000_000
	job := s.job("flood", number(strconv.Itoa(size)))
	if e := end(t, s.start(t, job)); e.Outcome != (runner.Outcome{}) {
		t.Errorf("a flood of output ends %+v, want success\n%s", e.Outcome, job.Stderr)
	}
	if got := stdout(t, job).count; got < size {
		t.Errorf("%d bytes arrived, want %d", got, size)
	}
	// A log that cannot be written does not stop a service.
	job = s.job("flood", number(strconv.Itoa(size)), func(job *runner.Job) { job.Stdout = broken{} })
	if e := end(t, s.start(t, job)); e.Outcome != (runner.Outcome{}) {
		t.Errorf("a flood to a broken log ends %+v, want success\n%s", e.Outcome, job.Stderr)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, os.ErrClosed }

func testLongLine(t *testing.T, s *subject) {
	const size = 5_000_000
	job := s.job("long", number(strconv.Itoa(size)))
	if e := end(t, s.start(t, job)); e.Outcome != (runner.Outcome{}) {
		t.Errorf("a long line ends %+v, want success\n%s", e.Outcome, job.Stderr)
	}
	if got := stdout(t, job).count; got != size {
		t.Errorf("%d bytes arrived, want %d", got, size)
	}
}

func testFiles(t *testing.T, s *subject) {
	e := end(t, s.start(t, s.job("files")))
	if want := []string{"a.txt", "b.bin", "folder/c.txt"}; e.Outcome != (runner.Outcome{}) || !slices.Equal(e.files, want) {
		t.Errorf("the execution ends %+v with files %v, want %v", e.Outcome, e.files, want)
	}
}

func testStartCancelled(t *testing.T, s *subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	run, err := s.runner.Start(ctx, s.job("sleep"))
	if err == nil {
		run.Stop()
		end(t, run)
		t.Error("it started although its context had ended")
	}
}

func testMany(t *testing.T, s *subject) {
	runs := map[string]runner.Run{}
	for i := range 8 {
		value := fmt.Sprintf("secret-number-%d", i)
		runs[value] = s.start(t, s.job("secret", token(value)))
	}
	for value, run := range runs {
		e := end(t, run)
		if sum := sha256.Sum256([]byte(value)); !strings.Contains(string(e.value), hex.EncodeToString(sum[:])) {
			t.Errorf("an execution returns %s with %+v, want the hash of its secret", e.value, e.Outcome)
		}
	}
}
