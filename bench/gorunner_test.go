package bench

import (
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// BenchmarkGoRunner measures the time that `serve` adds to the process of a
// service in Go, its folders and its sandbox included. It runs in turns with a
// bare exec of the same program on the same input. The aim is at most 1 ms.
func BenchmarkGoRunner(b *testing.B) {
	workspace := place(b, contender{golang: true}, workloads[0])
	program, input, output := filepath.Join(workspace, "service.exe"), b.TempDir(), b.TempDir()
	goRun(b, workspace, nil, "go", "build", "-o", program, ".")
	goWrite(b, filepath.Join(input, "data.json"), `{"n": 1}`)
	env := runner.BaseEnvironment()
	env["INPUT_DIRECTORY"], env["OUTPUT_DIRECTORY"] = input, output
	machine := sandbox.Detect(sandbox.Options{})
	defer machine.Close()
	open := &process.Runner{Program: process.Binary{Path: program}, Dir: workspace, Environment: runner.BaseEnvironment()}
	sandboxed := &process.Runner{
		Program: open.Program, Dir: open.Dir, Environment: open.Environment,
		Sandbox: &process.Sandbox{Machine: machine, Policy: sandbox.Policy{Limits: sandbox.DefaultLimits()}},
	}
	folders := runner.NewDirPool(b.TempDir())
	defer func() { _ = folders.Close() }()

	var bareTimes, openTimes, sandboxedTimes goTimes
	for b.Loop() {
		bareTimes.measure(b, func() { goRun(b, workspace, env.List(), program) })
		openTimes.measure(b, func() { runOnce(b, open, folders) })
		sandboxedTimes.measure(b, func() { runOnce(b, sandboxed, folders) })
	}
	for _, way := range []struct {
		name  string
		times goTimes
	}{{"bare", bareTimes}, {"open", openTimes}, {"sandboxed", sandboxedTimes}} {
		b.ReportMetric(goMedian(way.times.elapsed), way.name+"-ms")
		b.ReportMetric(goMedian(way.times.cpu), way.name+"-cpu-ms")
	}
	b.ReportMetric(goMedian(openTimes.elapsed)-goMedian(bareTimes.elapsed), "open-adds-ms")
	b.ReportMetric(goMedian(sandboxedTimes.elapsed)-goMedian(bareTimes.elapsed), "sandboxed-adds-ms")
	b.ReportMetric(0, "ns/op")
}

// measure adds what f takes, of this process and its children.
func (t *goTimes) measure(b *testing.B, f func()) {
	b.Helper()
	used := func() (sum time.Duration) {
		for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
			var usage syscall.Rusage
			if err := syscall.Getrusage(who, &usage); err != nil {
				b.Fatal(err)
			}
			sum += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		}
		return sum
	}
	before, begun := used(), time.Now()
	f()
	t.add(time.Since(begun), used()-before)
}

// runOnce is one execution by a runner.
func runOnce(b *testing.B, r runner.Runner, folders *runner.DirPool) {
	b.Helper()
	run, err := r.Start(context.Background(), runner.Job{
		ID: execution.NewID(), DirPool: folders, Stdout: io.Discard, Stderr: io.Discard,
		Inputs: map[string]json.RawMessage{"data": json.RawMessage(`{"n": 1}`)},
	})
	if err != nil {
		b.Fatal(err)
	}
	outcome, err := run.Wait()
	if err != nil || outcome != (runner.Outcome{}) {
		b.Fatalf("Wait() = %v, %+v, want success", err, outcome)
	}
	if err := run.Close(); err != nil {
		b.Fatal(err)
	}
}
