package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// BenchmarkGoService measures the cost of a service in Go: its process beside
// one with an empty main, and an unchanged `qhubctl run` beside the process
// alone. The three take turns, so that other work of the machine slows all of
// them. The bounds that we aim at are 5 ms and 25 ms.
func BenchmarkGoService(b *testing.B) {
	dir := b.TempDir()
	qhubctl, bare := filepath.Join(dir, "qhubctl.exe"), filepath.Join(dir, "bare.exe")
	goRun(b, "..", nil, "go", "build", "-o", qhubctl, "./cmd/qhubctl")
	goWrite(b, filepath.Join(dir, "bare", "main.go"), "package main\n\nfunc main() {}\n")
	goWrite(b, filepath.Join(dir, "bare", "go.mod"), "module example.com/bare\n")
	goRun(b, filepath.Join(dir, "bare"), nil, "go", "build", "-o", bare, ".")

	workspace, output := filepath.Join(dir, "svc"), filepath.Join(dir, "out")
	env := append(os.Environ(), "SECRET_API_TOKEN=some-token", "OUTPUT_DIRECTORY="+output,
		"INPUT_DIRECTORY="+filepath.Join(workspace, "input"), "DATAPOOL_DIRECTORY="+filepath.Join(workspace, "input"))
	goRun(b, dir, env, qhubctl, "init", workspace, "--lang", "go")
	goRun(b, dir, env, qhubctl, "run", workspace) // builds it
	service := filepath.Join(dir, "service.exe")
	goRun(b, workspace, nil, "go", "build", "-o", service, ".")

	var empty, alone, run goTimes
	for b.Loop() {
		empty.add(goRun(b, workspace, env, bare))
		alone.add(goRun(b, workspace, env, service))
		run.add(goRun(b, dir, env, qhubctl, "run", workspace))
	}
	e, a, r := goMedian(empty.elapsed), goMedian(alone.elapsed), goMedian(run.elapsed)
	b.ReportMetric(e, "ms/empty-main")
	b.ReportMetric(a, "ms/service")
	b.ReportMetric(r, "ms/qhubctl-run")
	b.ReportMetric(a-e, "ms-service-adds")
	b.ReportMetric(r-a, "ms-run-adds")
	b.ReportMetric(r/a, "run/service")
	b.ReportMetric(goMedian(alone.cpu)-goMedian(empty.cpu), "cpu-ms-service-adds")
	b.ReportMetric(goMedian(run.cpu)-goMedian(alone.cpu), "cpu-ms-run-adds")
	b.ReportMetric(0, "ns/op")
}

// goTimes are those of one program. Its processor time includes the processes
// that it has started, and is what a busy machine changes least.
type goTimes struct{ elapsed, cpu []time.Duration }

func (t *goTimes) add(elapsed, cpu time.Duration) {
	t.elapsed, t.cpu = append(t.elapsed, elapsed), append(t.cpu, cpu)
}

// goRun runs a program to its end, and says how long it took.
func goRun(b *testing.B, dir string, env []string, program string, args ...string) (elapsed, cpu time.Duration) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), program, args...)
	cmd.Dir, cmd.Env = dir, env
	start := time.Now()
	out, err := cmd.CombinedOutput()
	elapsed = time.Since(start)
	if err != nil {
		b.Fatalf("%s: %v, want success\n%s", cmd, err, out)
	}
	return elapsed, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

func goMedian(times []time.Duration) (milliseconds float64) {
	slices.Sort(times)
	return float64(times[len(times)/2].Microseconds()) / 1000
}

func goWrite(b *testing.B, path, content string) {
	b.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		b.Fatal(err)
	}
}
