package runnertest

import (
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/runner"
)

// leases are tried on files of the workspace, of the interpreter, and its own.
func leases(t *testing.T, s *siege) {
	var files []string
	for _, dir := range s.Locked {
		found, err := filepath.Glob(filepath.Join(dir, "src", "*.py"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	refused(t, s.answers(t, s.attack("leases", list(append(files, "/bin/sh", "/etc/passwd")...))))
}

// schedule compares the scheduling of a neighbour, and of an execution afterwards, with
// that before.
func schedule(t *testing.T, s *siege) {
	before := s.standing(t)
	neighbour := s.attack("deaf", limits(runner.Limits{Grace: 1}))
	other := s.start(t, neighbour)
	awaitReady(t, neighbour)
	s.neighbourOf(t, other, neighbour, func() {
		stood := standingOf(t, neighbour)
		tried := s.result(t, s.attack("schedule", number("512")))["tried"]
		if n, ok := tried.(float64); !ok || n < 64 {
			t.Errorf("the attack tried %v processes, want more than 64", tried)
		}
		if stands := standingOf(t, neighbour); !maps.Equal(stands, stood) {
			t.Errorf("the neighbour stands %v after the attack, want %v as before", stands, stood)
		}
		for range 3 { // a spare may exist already
			if stands := s.standing(t); !maps.Equal(stands, before) {
				t.Errorf("an execution after the attack stands %v, want %v as before", stands, before)
			}
		}
	})
}

// standing is an execution's report of its scheduling.
func (s *siege) standing(t *testing.T) map[string]any {
	t.Helper()
	return s.result(t, s.attack("standing"))
}

// standingOf is the scheduling of the processes of an execution as the kernel reports it,
// by their numbers.
func standingOf(t *testing.T, job runner.Job) map[string]string {
	t.Helper()
	stands := map[string]string{}
	for _, dir := range processesOf(t, job) {
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		if err != nil {
			t.Fatal(err)
		}
		limits, err := os.ReadFile(filepath.Join(dir, "limits"))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			t.Fatal(err)
		}
		const process = 1 // IOPRIO_WHO_PROCESS
		input, _, _ := unix.Syscall(unix.SYS_IOPRIO_GET, process, uintptr(pid), 0)
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		said := []string{"priority " + fields[15], "nice " + fields[16], "policy " + fields[38], "input " + strconv.Itoa(int(input))}
		for line := range strings.Lines(string(status) + string(limits)) {
			if strings.HasPrefix(line, "Cpus_allowed_list") || strings.HasPrefix(line, "Max open files") {
				said = append(said, strings.Join(strings.Fields(line), " "))
			}
		}
		stands[dir] = strings.Join(said, ", ")
	}
	if len(stands) == 0 {
		t.Fatal("the neighbour has no processes")
	}
	return stands
}

func reserve(t *testing.T, s *siege) {
	refused(t, s.answers(t, s.attack("reserve", count(64*mebi), limits(small))))
	// The writes of posix_fallocate are bounded like any others.
	if size := s.result(t, s.attack("fallback", count(4*mebi), limits(small)))["size"]; size != float64(4*mebi) {
		t.Errorf("posix_fallocate(4 MiB) made a file of %v bytes, want 4 MiB", size)
	}
	if e := s.end(t, s.attack("fallback", count(64*mebi), limits(small))); e.ExitCode == 0 || e.size > small.Output+mebi {
		t.Errorf("posix_fallocate(64 MiB) below a limit of 8 MiB ends %+v with %d bytes, want a failure below the limit", e.Outcome, e.size)
	}
}

// pour ignores the signal that asks it to end, and would use the whole grace time to
// write.
func pour(t *testing.T, s *siege) {
	e := s.end(t, s.attack("pour", count(4*mebi), limits(runner.Limits{Output: 8 * mebi, Temp: 8 * mebi, Grace: patience})))
	if e.Limit != runner.OutputLimit || e.Signal != "SIGKILL" {
		t.Errorf("%+v, want an end by the output limit", e.Outcome)
	}
	t.Logf("%d MiB were written, of 8", e.size/mebi)
}

func sockets(t *testing.T, s *siege) {
	refused(t, s.answers(t, s.attack("sockets")))
}

// hoard has executions leave as much memory as they may, in each place that can hold it.
// Later executions must have all of theirs. One that lasts keeps the runner from being
// idle.
func hoard(t *testing.T, s *siege) {
	bounded := limits(runner.Limits{Memory: 128 * mebi, Temp: 100 * mebi, Output: 100 * mebi, Grace: 1})
	lasting := s.attack("deaf", bounded)
	other := s.start(t, lasting)
	awaitReady(t, lasting)
	s.neighbourOf(t, other, lasting, func() {
		for _, place := range []string{"/tmp", "/dev/shm", "TMPDIR", "HOME", "OUTPUT_DIRECTORY", "unnamed", "shared memory"} {
			for range 2 {
				job := s.attack("hoard", text(place), count(85*mebi), bounded)
				if e := s.end(t, job); e.Outcome != (runner.Outcome{}) {
					t.Fatalf("an execution that leaves 85 MiB in %s ends %+v after others like it, want success\n%s", place, e.Outcome, job.Stderr)
				}
			}
		}
	})
}
