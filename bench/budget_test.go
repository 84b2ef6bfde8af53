package bench

import (
	"context"
	"encoding/json"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/testenv"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// BenchmarkBudget reports the steps of one execution of a trivial service in
// Python. It runs in a sandboxed spare fork, with one caller and without HTTP.
// Of each step it reports the begin, counted from the request, and the
// duration, both as medians. Steps may overlap:
//
//	validate  check the request and seal its secrets
//	accept    write it durably
//	start     record the execution as RUNNING
//	order     send the fork its order, until the engine may continue
//	begin     from there until the first line of the service
//	service   from there until its process has ended
//	collect   read and mask the result
//	remove    remove the folders of the execution
//	finish    write the end
//	whole     until the caller that waits for the end has it
func BenchmarkBudget(b *testing.B) {
	running, t := tracedEngine(b)
	for range 30 {
		t.execute(b, running)
	}
	begins, takes := map[string][]time.Duration{}, map[string][]time.Duration{}
	for b.Loop() {
		for name, s := range t.execute(b, running) {
			begins[name] = append(begins[name], s.begin)
			takes[name] = append(takes[name], s.end-s.begin)
		}
	}
	for name := range takes {
		b.ReportMetric(float64(median(begins[name]).Microseconds()), name+"-at-µs")
		b.ReportMetric(float64(median(takes[name]).Microseconds()), name+"-takes-µs")
	}
	b.ReportMetric(0, "ns/op")
}

// clocked is a service that reports when it runs.
const clocked = `
import time
from pydantic import BaseModel

class InputData(BaseModel):
    n: int

def run(data: InputData) -> dict:
    return {"at": time.time_ns()}
`

const clockedDocument = `{
  "schemaVersion": 1, "sdk": {"language": "python", "name": "qhub-commons", "version": "1.2.2"}, "entrypoint": "src.program:run",
  "parameters": [{"name": "data", "kind": "input", "required": true, "schema": {"type": "object"}}]
}`

// tracedEngine is an engine whose store and runner are watched.
func tracedEngine(b *testing.B) (*engine.Engine, *trace) {
	b.Helper()
	dir := b.TempDir()
	for name, text := range map[string]string{"src/__init__.py": "", "src/program.py": clocked} {
		goWrite(b, filepath.Join(dir, "service", name), text)
	}
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	described, err := signature.Parse([]byte(clockedDocument))
	must(err)
	executions, err := sqlite.Open(b.Context(), filepath.Join(dir, "store.db"), sqlite.Options{})
	must(err)
	ring, err := vault.OpenFile(filepath.Join(dir, "master.key"))
	must(err)
	t := &trace{spans: map[string]span{}, finished: make(chan struct{}, 1)}
	running, err := engine.Open(b.Context(), engine.Config{Store: &tracedStore{executions, t}, Keyring: ring, Dir: dir})
	must(err)
	machine := sandbox.Detect(sandbox.Options{})
	b.Cleanup(func() {
		if err := running.Close(context.Background()); err != nil {
			b.Error(err)
		}
		if err := executions.Close(); err != nil {
			b.Error(err)
		}
		machine.Close()
	})
	env := runner.BaseEnvironment()
	env["PYTHONUNBUFFERED"], env["PYTHONDONTWRITEBYTECODE"] = "1", "1"
	forks := forkserver.NewRunner(forkserver.Options{
		Python: launcher(b, filepath.Join(dir, "launcher")), Dir: filepath.Join(dir, "service"), Environment: env, Spares: 2,
		Sandbox: &process.Sandbox{Machine: machine, Policy: sandbox.Policy{Limits: sandbox.DefaultLimits()}},
		Scratch: running.Scratch(),
	})
	must(forks.Program().Prepare(b.Context()))
	if state := forks.Program().State(); !state.Warm {
		b.Fatalf("Prepare() = a service that starts cold (%s), want a warm one", state.Reason)
	}
	must(running.Service("bench").Activate(&engine.Revision{ID: "1", Signature: described, Runner: &tracedRunner{forks, t}}))
	return running, t
}

// launcher is a Python with our SDK, and the programs that start a service.
func launcher(b *testing.B, dir string) process.Python {
	b.Helper()
	sdk := venv(b, "bench-SDK", sdkWheel(b))
	files := map[string][]byte{"launcher.py": process.LauncherSource}
	err := fs.WalkDir(forkserver.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files[entry.Name()], err = forkserver.Files.ReadFile(path)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	for name, text := range files {
		goWrite(b, filepath.Join(dir, name), string(text))
	}
	return process.Python{
		Interpreter: testenv.Program(sdk, "python"), Launcher: filepath.Join(dir, "launcher.py"), Entrypoint: "src.program:run",
	}
}

// A span is a step of an execution, from its request on.
type span struct{ begin, end time.Duration }

// A trace is the steps of one execution at a time.
type trace struct {
	mu       sync.Mutex
	begun    time.Time
	spans    map[string]span
	finished chan struct{}
}

// step records a step that ends now.
func (t *trace) step(name string, begun time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spans[name] = span{begun.Sub(t.begun), time.Since(t.begun)}
}

// execute runs an execution and returns its steps.
func (t *trace) execute(b *testing.B, running *engine.Engine) map[string]span {
	b.Helper()
	t.mu.Lock()
	clear(t.spans)
	t.begun = time.Now()
	t.mu.Unlock()
	accepted, err := running.Service("bench").Submit(b.Context(), engine.Submission{Body: []byte(`{"data": {"n": 1}}`)})
	if err != nil {
		b.Fatal(err)
	}
	id := accepted.Execution.ID
	e, err := running.Service("bench").Wait(b.Context(), id)
	if err != nil || e.Status != execution.Succeeded {
		b.Fatalf("Wait() = %s %+v: %v, want SUCCEEDED", e.Status, e.Problem, err)
	}
	t.step("whole", t.begun)
	<-t.finished // may close after the callers of Wait have returned
	result, err := running.Service("bench").Result(b.Context(), id)
	var ran struct{ At int64 }
	if err == nil {
		err = json.Unmarshal(result.Value, &ran)
	}
	if err != nil {
		b.Fatal(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	at := time.Unix(0, ran.At).Sub(t.begun.Round(0)) // by the clock, not the monotonic one
	t.spans["validate"] = span{0, t.spans["accept"].begin}
	t.spans["begin"] = span{t.spans["order"].begin, at}
	t.spans["service"] = span{at, t.spans["wait"].end}
	t.spans["collect"] = span{t.spans["wait"].end, t.spans["remove"].begin}
	delete(t.spans, "wait")
	return t.spans
}

type tracedStore struct {
	store.Store
	trace *trace
}

func (s *tracedStore) Accept(ctx context.Context, a store.NewExecution) (store.Accepted, error) {
	defer s.trace.step("accept", time.Now())
	return s.Store.Accept(ctx, a)
}

func (s *tracedStore) Start(ctx context.Context, id execution.ID, owner string) (execution.Execution, error) {
	defer s.trace.step("start", time.Now())
	return s.Store.Start(ctx, id, owner)
}

func (s *tracedStore) Finish(ctx context.Context, c store.FinishParams) (execution.Execution, error) {
	defer func() { s.trace.finished <- struct{}{} }()
	defer s.trace.step("finish", time.Now())
	return s.Store.Finish(ctx, c)
}

type tracedRunner struct {
	runner.Runner
	trace *trace
}

func (r *tracedRunner) Start(ctx context.Context, job runner.Job) (runner.Run, error) {
	defer r.trace.step("order", time.Now())
	run, err := r.Runner.Start(ctx, job)
	return &tracedRun{run, r.trace}, err
}

type tracedRun struct {
	runner.Run
	trace *trace
}

func (r *tracedRun) Wait() (runner.Outcome, error) {
	defer r.trace.step("wait", time.Now())
	return r.Run.Wait()
}

func (r *tracedRun) Close() error {
	defer r.trace.step("remove", time.Now())
	return r.Run.Close()
}
