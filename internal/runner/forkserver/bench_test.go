//go:build linux

package forkserver_test

import (
	"context"
	"encoding/json"
	"io"
	"testing"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
)

// BenchmarkExecution is one execution from its start to its end, cold and warm,
// open and in a sandbox.
func BenchmarkExecution(b *testing.B) {
	python := complete(b, runnertest.SDKPython(b))
	cold := &process.Runner{Program: python, Dir: runnertest.PythonProbe(), Environment: base()}
	sandboxedCold := &process.Runner{Program: python, Dir: runnertest.PythonProbe(), Environment: base(), Sandbox: confined()}
	options := forkserver.Options{Python: python, Dir: runnertest.PythonProbe(), Environment: base(), Scratch: scratch(b)}
	forked := prepared(b, options)
	options.Sandbox = confined()
	sandboxedForked := prepared(b, options)
	options.Spares = 4
	sandboxedSpare := prepared(b, options)
	options.Sandbox = nil
	spares := prepared(b, options)
	for _, bench := range []struct {
		name   string
		runner runner.Runner
	}{
		{"cold", cold}, {"cold/sandboxed", sandboxedCold}, {"forked", forked}, {"forked/sandboxed", sandboxedForked},
		{"spare", spares}, {"spare/sandboxed", sandboxedSpare},
	} {
		b.Run(bench.name, func(b *testing.B) { benchmarkExecution(b, bench.runner) })
		if err := bench.runner.Close(); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkExecutionImporting is one execution of a service that only imports
// popular packages, in a sandbox: cold, and by a spare fork.
func BenchmarkExecutionImporting(b *testing.B) {
	for _, imports := range []string{"json", "numpy", "pandas"} {
		o := numerical(b, written(b, "import "+imports+"\ndef run(action: str, text: str) -> dict:\n    return {}\n", confined()))
		o.Spares = 2
		spares := prepared(b, o)
		for name, r := range map[string]runner.Runner{
			"cold":  &process.Runner{Program: o.Python, Dir: o.Dir, Environment: o.Environment, Sandbox: o.Sandbox},
			"spare": spares,
		} {
			b.Run(imports+"/"+name, func(b *testing.B) { benchmarkExecution(b, r) })
			if err := r.Close(); err != nil {
				b.Error(err)
			}
		}
	}
}

func benchmarkExecution(b *testing.B, r runner.Runner) {
	scratch := inScratch(b)
	for b.Loop() {
		run, err := r.Start(context.Background(), runner.Job{
			ID: execution.NewID(), Scratch: scratch, Stdout: io.Discard, Stderr: io.Discard,
			Inputs: map[string]json.RawMessage{"action": json.RawMessage(`"echo"`), "text": json.RawMessage(`"hello"`)},
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
}
