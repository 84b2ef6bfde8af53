package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// program is what `make build` has built.
const program = "../bin/qhubctl"

// BenchmarkStart is how long the program takes for what it does alone.
func BenchmarkStart(b *testing.B) {
	qhubctl := built(b)
	for name, args := range map[string][]string{"version": {"version"}, "help": {"--help"}, "run-help": {"run", "--help"}} {
		b.Run(name, func(b *testing.B) {
			var times []time.Duration
			for b.Loop() {
				times = append(times, timed(b, "", os.Environ(), qhubctl, args...))
			}
			b.ReportMetric(milliseconds(median(times)), "ms/start")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkRun is one execution of the scaffold's service, whose environment
// is there: by qhubctl, and by Python itself. They take turns, so that what
// else the machine does falls on both.
func BenchmarkRun(b *testing.B) {
	qhubctl := built(b)
	env := environment(b)
	dir := filepath.Join(b.TempDir(), "service")
	timed(b, "", env, qhubctl, "init", dir)
	timed(b, dir, env, qhubctl, "run")
	python := testenv.Program(filepath.Join(dir, ".venv"), "python")
	var ours, bare, oursCPU, bareCPU []time.Duration
	for b.Loop() {
		elapsed, cpu := measured(b, dir, env, qhubctl, "run")
		ours, oursCPU = append(ours, elapsed), append(oursCPU, cpu)
		elapsed, cpu = measured(b, dir, env, python, "-m", "src")
		bare, bareCPU = append(bare, elapsed), append(bareCPU, cpu)
	}
	b.ReportMetric(milliseconds(median(ours)), "ms/qhubctl-run")
	b.ReportMetric(milliseconds(median(bare)), "ms/python-m-src")
	b.ReportMetric(milliseconds(median(ours)-median(bare)), "ms-added")
	b.ReportMetric(milliseconds(median(oursCPU)-median(bareCPU)), "cpu-ms-added")
	b.ReportMetric(0, "ns/op")
}

func built(b *testing.B) string {
	b.Helper()
	path, err := filepath.Abs(program)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		b.Skipf("build the program first, with `make build`: %v", err)
	}
	return path
}

// environment has a separate home and the secret that the service wants.
func environment(b *testing.B) []string {
	b.Helper()
	python, err := testenv.PythonDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	env, err := testenv.Installers()
	if err != nil {
		b.Fatal(err)
	}
	path := python + string(filepath.ListSeparator) + os.Getenv("PATH")
	return append(env, "PATH="+path, "HOME="+b.TempDir(), "SECRET_API_TOKEN=some-token")
}

func timed(b *testing.B, dir string, env []string, path string, args ...string) time.Duration {
	b.Helper()
	elapsed, _ := measured(b, dir, env, path, args...)
	return elapsed
}

// measured runs a command. Its processor time includes the processes that it
// has started, and is what a busy machine changes least.
func measured(b *testing.B, dir string, env []string, path string, args ...string) (elapsed, cpu time.Duration) {
	b.Helper()
	command := exec.CommandContext(context.Background(), path, args...)
	command.Dir, command.Env = dir, env
	start := time.Now()
	if out, err := command.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v, want success\n%s", command, err, out)
	}
	return time.Since(start), command.ProcessState.UserTime() + command.ProcessState.SystemTime()
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
