package sandbox_test

import (
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// BenchmarkStart measures a program that does nothing, from its start to its
// end: bare, and in sandboxes of more and more layers, down to all of them.
func BenchmarkStart(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		median(b, func() {
			if err := exec.CommandContext(b.Context(), "/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		})
	})
	m := sandbox.Detect(sandbox.Options{})
	defer m.Close()
	limits := sandbox.Limits{Memory: 1 << 30, Processes: 128, CPU: 1}
	added := []string{
		"nothing", "privileges", "syscalls", "landlock", "processes", "ipc", "filesystem", "proc", "user", "owners",
		"memory limit", "process limit", "cpu limit",
	}
	for i, name := range added {
		less := m.Without(added[i+1:]...)
		var some sandbox.Limits // without limits an execution joins no group
		if slices.Contains(added[:i+1], "memory limit") {
			some.Memory = limits.Memory
		}
		if slices.Contains(added[:i+1], "process limit") {
			some.Processes = limits.Processes
		}
		if slices.Contains(added[:i+1], "cpu limit") {
			some.CPU = limits.CPU
		}
		b.Run("+"+name, func(b *testing.B) { startTrue(b, less, sandbox.Policy{Limits: some}) })
	}
	b.Run("all, folders of an execution", func(b *testing.B) {
		startTrue(b, m, sandbox.Policy{Limits: limits, Inputs: []string{b.TempDir(), b.TempDir()}, Scratch: []string{b.TempDir(), b.TempDir()}})
	})
	b.Run("all, network none", func(b *testing.B) { startTrue(b, m, sandbox.Policy{Limits: limits, Network: sandbox.NetworkNone}) })
}

func startTrue(b *testing.B, m *sandbox.Machine, p sandbox.Policy) {
	dir := b.TempDir()
	p.Writable = slices.Concat(p.Writable, []string{dir})
	median(b, func() {
		c, err := m.Start(&exec.Cmd{Path: "/bin/true", Args: []string{"true"}, Env: []string{"A=b"}, Dir: "/"}, p)
		if err != nil {
			b.Fatal(err)
		}
		if o, err := c.Wait(); err != nil || o.ExitCode != 0 {
			b.Fatal(o, err)
		}
	})
}

// median reports the median too: on a shared machine other work distorts the mean.
func median(b *testing.B, f func()) {
	var took []time.Duration
	before := cpu(b)
	for b.Loop() {
		start := time.Now()
		f()
		took = append(took, time.Since(start))
	}
	used := cpu(b) - before
	slices.Sort(took)
	b.ReportMetric(float64(used.Microseconds())/1000/float64(b.N), "cpu-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)/10].Microseconds())/1000, "p10-ms")
}

// cpu is the time that this process and its children have computed.
func cpu(b *testing.B) time.Duration {
	var sum time.Duration
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var usage unix.Rusage
		if err := unix.Getrusage(who, &usage); err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return sum
}
