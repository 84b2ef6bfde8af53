package cli_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// built is the program as it is shipped: the test binary carries the tests.
var built = sync.OnceValues(func() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	name := filepath.Join(cache, "bench", "qhubctl")
	out, err := exec.Command("go", "build", "-trimpath", "-o", name, "github.com/qhubctl/qhubctl/cmd/qhubctl").CombinedOutput()
	if err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return name, nil
})

// measure is how long a command takes.
func measure(b *testing.B, dir string, env []string, args ...string) time.Duration {
	b.Helper()
	c := exec.CommandContext(b.Context(), args[0], args[1:]...)
	c.Dir, c.Env = dir, env
	began := time.Now()
	if out, err := c.CombinedOutput(); err != nil {
		b.Fatalf("%v: %v\n%s", args, err, out)
	}
	return time.Since(began)
}

func median(times []time.Duration) float64 {
	slices.Sort(times)
	return times[len(times)/2].Seconds() * 1000
}

// How long the program takes to start, as the median in milliseconds. At most
// 20 is wanted.
func BenchmarkStart(b *testing.B) {
	program, env := need(b, built), plainEnv(b)
	for _, argument := range []string{"version", "--help"} {
		b.Run(argument, func(b *testing.B) {
			var times []time.Duration
			for b.Loop() {
				times = append(times, measure(b, ".", env, program, argument))
			}
			b.ReportMetric(median(times), "ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// What a run costs, beyond `python -m src` in the same environment, when all
// is prepared: the difference of the medians in milliseconds, taken in turns.
// At most 30 is wanted.
func BenchmarkSecondRun(b *testing.B) {
	program, python := need(b, built), kitPython(b)
	env := append(plainEnv(b), "SECRET_API_TOKEN=some-token")
	dir := filepath.Join(b.TempDir(), "svc")
	measure(b, ".", env, program, "init", dir)
	run := []string{program, "run", "--python", python}
	bare := []string{python, "-m", "src"}
	measure(b, dir, env, run...) // describes the service
	measure(b, dir, env, bare...)
	var with, without []time.Duration
	for b.Loop() {
		with = append(with, measure(b, dir, env, run...))
		without = append(without, measure(b, dir, env, bare...))
	}
	b.ReportMetric(median(with), "run-ms")
	b.ReportMetric(median(without), "bare-ms")
	b.ReportMetric(median(with)-median(without), "extra-ms")
	b.ReportMetric(0, "ns/op")
}
