package process_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

//go:generate go test . -run ^$ -bench ^BenchmarkOvershoot$ -benchtime 30x -update-docs

// BenchmarkOvershoot measures by how much an execution exceeds its output limit if it
// writes as fast as it can and ignores signals. With -update-docs it writes the
// result into the page about security.
func BenchmarkOvershoot(b *testing.B) {
	const limit, mebi = 8 << 20, 1 << 20
	machine := sandbox.Detect(sandbox.Options{})
	defer machine.Close()
	r := &process.Runner{
		Program: process.Binary{Path: runnertest.BinaryProbe(b)}, Dir: b.TempDir(), Environment: base(),
		Sandbox: &process.Sandbox{Machine: machine, Policy: sandbox.Policy{Limits: sandbox.Limits{Memory: 1 << 30, Processes: 256}}},
	}
	var over []int64
	for b.Loop() {
		over = append(over, pour(b, r, limit)-limit)
	}
	slices.Sort(over)
	worst, median := over[len(over)-1], over[len(over)/2]
	b.ReportMetric(float64(median)/mebi, "median-MiB")
	b.ReportMetric(float64(worst)/mebi, "worst-MiB")
	if update := flag.Lookup("update-docs"); update != nil && update.Value.String() == "true" && len(over) > 1 {
		testenv.DocumentPart(b, security, "overshoot", fmt.Sprintf(
			"In %d runs on a machine of %d processors, two threads of a program in Go wrote without a pause and ignored signals, with ten\n"+
				"seconds of grace. They exceeded the limit of 8 MiB by %d MiB in the middle and by %d MiB at most.\n",
			len(over), runtime.NumCPU(), median/mebi, worst/mebi))
	}
}

// pour runs an execution that writes until it is killed, and returns how much it has
// written.
func pour(b *testing.B, r runner.Runner, limit int64) int64 {
	b.Helper()
	run, err := r.Start(b.Context(), runner.Job{
		ID: execution.NewID(), Scratch: b.TempDir(), Stdout: &testenv.Buffer{}, Stderr: &testenv.Buffer{},
		Inputs: map[string]json.RawMessage{"action": json.RawMessage(`"attack_pour"`), "number": json.RawMessage("4194304")},
		Limits: runner.Limits{Output: limit, Temp: limit, Grace: 10 * time.Second},
	})
	if err != nil {
		b.Fatal(err)
	}
	if outcome, err := run.Wait(); err != nil || outcome.Limit != runner.OutputLimit {
		b.Fatalf("the execution ended with %+v, %v, want the output limit", outcome, err)
	}
	output, err := run.Artifacts()
	if err != nil {
		b.Fatal(err)
	}
	files, err := output.Files()
	if err != nil {
		b.Fatal(err)
	}
	var size int64
	for _, file := range files {
		size += file.Size
	}
	if err := output.Close(); err != nil {
		b.Error(err)
	}
	if err := run.Close(); err != nil {
		b.Error(err)
	}
	return size
}
