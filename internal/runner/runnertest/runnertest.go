// Package runnertest is the suite that every [runner.Runner] passes, so that a service and
// its caller cannot tell the ways of running apart. A runner's test runs it for each kind
// of service that it can run:
//
//	runnertest.Exercise(t, func(t *testing.T) runner.Runner { … })
//
// The function returns a runner of the probe, a service that does the actions of the suite:
// in Python in [PythonProbe], as a program by [BinaryProbe].
package runnertest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/runner"
)

// patience is how long a step may take on a busy machine.
const patience = 3 * time.Minute

// PythonProbe is the folder of the probe in Python; its entrypoint is
// src.program:run.
func PythonProbe() string { return filepath.Join(here(), "probe", "python") }

// BinaryProbe builds the probe as a program, and returns its path.
func BinaryProbe(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./probe/binary")
	build.Dir = here()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build = %v, want the probe\n%s", err, out)
	}
	return path
}

// PlainProbe is [BinaryProbe] as a program without an SDK. It does the actions that take no
// secrets and no data pools.
func PlainProbe(t testing.TB) string {
	t.Helper()
	built := BinaryProbe(t)
	plain := filepath.Join(filepath.Dir(built), "plain")
	if err := os.Rename(built, plain); err != nil {
		t.Fatal(err)
	}
	return plain
}

func here() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

// Exercise checks a way of running.
func Exercise(t *testing.T, open func(t *testing.T) runner.Runner) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, *subject)
	}{
		{"a string stays unchanged", testText},
		{"secrets", testSecrets},
		{"a secret that was not given", testNoSecret},
		{"environment", testEnvironment},
		{"data pools", testDataPools},
		{"data pools of one execution", testPools},
		{"data pools that are changed", testWritablePools},
		{"data pools that grow too large", testLargePools},
		{"exit codes", testExitCodes},
		{"signals", testSignals},
		{"stopped when asked", testStop},
		{"stopped although it refuses", testStubborn},
		{"stopped twice", testStopTwice},
		{"a tree is stopped", testTree},
		{"children left behind", testLeave},
		{"time limit", testTimeLimit},
		{"output limit", testOutputLimit},
		{"flood of output", testFlood},
		{"a line without end", testLongLine},
		{"result files", testFiles},
		{"start cancelled", testStartCancelled},
		{"admitted", testAdmitted},
		{"not admitted", testNotAdmitted},
		{"many at once", testMany},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			r := open(t)
			s := &subject{runner: r, scratch: t.TempDir()}
			part.run(t, s)
			if err := r.Close(); err != nil {
				t.Errorf("Close() = %v, want nil", err)
			}
			if left, err := os.ReadDir(s.scratch); err != nil || len(left) > 0 {
				t.Errorf("the scratch folder holds %v (%v), want nothing", left, err)
			}
		})
	}
}

// subject is the runner under test.
type subject struct {
	runner  runner.Runner
	scratch string
}

// job is a job for the probe, completed by the options.
func (s *subject) job(action string, options ...func(*runner.Job)) runner.Job {
	name, _ := json.Marshal(action)
	job := runner.Job{
		ID: execution.NewID(), Inputs: map[string]json.RawMessage{"action": name}, Scratch: s.scratch,
		Limits: runner.Limits{Grace: patience}, Stdout: &sink{}, Stderr: &sink{},
	}
	for _, option := range options {
		option(&job)
	}
	return job
}

func number(n string) func(*runner.Job) {
	return func(job *runner.Job) { job.Inputs["number"] = json.RawMessage(n) }
}

func text(s string) func(*runner.Job) {
	return func(job *runner.Job) { job.Inputs["text"], _ = json.Marshal(s) }
}

func token(value string) func(*runner.Job) {
	return func(job *runner.Job) {
		job.Secrets = append(job.Secrets, runner.Secret{Env: "SECRET_API_TOKEN", Value: plaintext.FromString(value)})
	}
}

func limits(l runner.Limits) func(*runner.Job) {
	return func(job *runner.Job) { job.Limits = l }
}

// start starts a job and stops it at the end of the test.
func (s *subject) start(t *testing.T, job runner.Job) runner.Run {
	t.Helper()
	run, err := s.runner.Start(t.Context(), job)
	if err != nil {
		t.Fatalf("Start() = %v, want nil", err)
	}
	for _, secret := range job.Secrets {
		secret.Value.Clear()
	}
	return run
}

// ended is the outcome of a run, and its result.
type ended struct {
	runner.Outcome
	value json.RawMessage
	files []string
	texts map[string]string // of small files
	size  int64             // of all files
}

// kept is the size of files whose text is kept.
const kept = 1 << 16

// end waits for the end of a run and removes it.
func end(t *testing.T, run runner.Run) ended {
	t.Helper()
	timer := time.AfterFunc(patience, run.Stop)
	outcome, err := run.Wait()
	if !timer.Stop() {
		t.Error("the run did not end before it was stopped, want its own end")
	}
	if err != nil {
		t.Errorf("Wait() = %v, want nil", err)
	}
	e := ended{Outcome: outcome, texts: map[string]string{}}
	// An engine that lacks descriptors closes an output and opens it again.
	if output, err := run.Artifacts(); err != nil || output.Close() != nil {
		t.Fatalf("opening and closing the output: %v, want nil", err)
	}
	output, err := run.Artifacts()
	if err != nil {
		t.Fatalf("Output() = %v, want nil", err)
	}
	files, err := output.Files()
	if err != nil {
		t.Errorf("Files() = %v, want nil", err)
	}
	for _, file := range files {
		opened, err := output.Open(file.Name)
		if err != nil {
			t.Errorf("Open(%q) = %v, want nil", file.Name, err)
			continue
		}
		e.size += file.Size
		if file.Name != runner.ResultJSON {
			e.files = append(e.files, file.Name)
		}
		if file.Name == runner.ResultJSON || file.Size <= kept {
			text, err := io.ReadAll(opened)
			if err != nil {
				t.Errorf("reading the result file %q: %v, want nil", file.Name, err)
			}
			e.texts[file.Name] = string(text)
		}
		if err := opened.Close(); err != nil {
			t.Errorf("closing the result file %q: %v, want nil", file.Name, err)
		}
	}
	e.value = json.RawMessage(e.texts[runner.ResultJSON])
	if err := output.Close(); err != nil {
		t.Errorf("closing the output: %v, want nil", err)
	}
	if err := run.Close(); err != nil {
		t.Errorf("closing the run: %v, want nil", err)
	}
	return e
}

// result is the result of a job, which must have succeeded.
func (s *subject) result(t *testing.T, job runner.Job) map[string]any {
	t.Helper()
	e := end(t, s.start(t, job))
	if e.Outcome != (runner.Outcome{}) {
		t.Fatalf("the job ends %+v, want success\n%s\n%s", e.Outcome, e.value, job.Stderr)
	}
	var result map[string]any
	if err := json.Unmarshal(e.value, &result); err != nil {
		t.Fatalf("the result is %s (%v), want an object", e.value, err)
	}
	return result
}

// sink keeps the first part of its input, counts all of it, and signals the line by which
// the probe says that it is ready.
type sink struct {
	mu      sync.Mutex
	head    []byte
	count   int
	waiting []chan struct{}
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count += len(p)
	s.head = append(s.head, p[:min(len(p), max(0, 1<<16-len(s.head)))]...)
	if bytes.Contains(s.head, []byte("ready")) {
		for _, waiter := range s.waiting {
			close(waiter)
		}
		s.waiting = nil
	}
	return len(p), nil
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.head)
}

// stdout is the sink for the standard output of a job.
func stdout(t *testing.T, job runner.Job) *sink {
	t.Helper()
	s, ok := job.Stdout.(*sink)
	if !ok {
		t.Fatalf("standard output goes to a %T, want a sink", job.Stdout)
	}
	return s
}

// awaitReady waits until the probe has said so.
func awaitReady(t *testing.T, job runner.Job) {
	t.Helper()
	s := stdout(t, job)
	ready := make(chan struct{})
	s.mu.Lock()
	s.waiting = append(s.waiting, ready)
	s.mu.Unlock()
	_, _ = s.Write(nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case <-ready:
	case <-ctx.Done():
		t.Fatalf("the probe prints %s, want ready\n%s", job.Stdout, job.Stderr)
	}
}
