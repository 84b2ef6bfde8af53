package runnertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// neighbours are the attacks on an execution that runs beside the attacker.
func neighbours() []Assault {
	return []Assault{
		{"neighbours at work", []string{"filesystem", "processes", "ipc", "syscalls"}, atWork, "an execution beside attackers of the same service and of another one has the result, files, log, exit code and limits that it has alone"},
		{"greedy neighbours", []string{"filesystem", "processes", "ipc", "syscalls"}, greedy, "the same beside one that takes all the memory, processes, files, space and descriptors it may have"},
	}
}

// modest are the limits of victims and of attackers.
var modest = runner.Limits{
	Memory: 256 * mebi, Processes: 96, OpenFiles: 256, Output: 16 * mebi, Temp: 4 * mebi, Grace: patience, Time: 2 * patience,
}

// An account is everything that others may see of an execution.
type account struct {
	outcome        runner.Outcome
	stdout, stderr string
	files          map[string]string
}

// victim runs a victim to its end, and calls meanwhile between its beginning and its
// work.
func (s *siege) victim(t *testing.T, r runner.Runner, network sandbox.Network, code int, meanwhile func()) account {
	t.Helper()
	job := s.attack("victim", count(code), text(string(network)), limits(modest), func(job *runner.Job) { job.Scratch = t.TempDir() })
	run, err := r.Start(t.Context(), job)
	if err != nil {
		t.Fatalf("starting the victim: %v, want nil", err)
	}
	awaitReady(t, job)
	meanwhile()
	outputs, err := filepath.Glob(filepath.Join(job.Scratch, "*", "output"))
	if err != nil || len(outputs) != 1 {
		t.Fatalf("the victim has the output folders %q, %v, want one", outputs, err)
	}
	if err := os.WriteFile(filepath.Join(outputs[0], "go-on"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := end(t, run)
	return account{e.Outcome, fmt.Sprint(job.Stdout), own(fmt.Sprint(job.Stderr)), e.texts}
}

// own are the lines of a log without those in which the upstream SDK prints the time and
// paths.
func own(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, " | qhub.commons.") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// compare fails if the victim had another end than alone.
func compare(t *testing.T, when string, got, want account) {
	t.Helper()
	if got.outcome != want.outcome {
		t.Errorf("%s the victim ended %+v, want %+v as alone", when, got.outcome, want.outcome)
	}
	if got.stdout != want.stdout || got.stderr != want.stderr {
		t.Errorf("%s the victim printed %q and %q, want %q and %q as alone", when, got.stdout, got.stderr, want.stdout, want.stderr)
	}
	for _, name := range slices.Sorted(maps.Keys(want.files)) {
		if got.files[name] != want.files[name] {
			t.Errorf("%s the victim's file %s holds\n%s\nwant, as alone,\n%s", when, name, got.files[name], want.files[name])
		}
	}
	if len(got.files) != len(want.files) {
		t.Errorf("%s the victim left %d files, want %d as alone", when, len(got.files), len(want.files))
	}
}

// attacker runs beside a victim until it is stopped.
type attacker struct {
	job runner.Job
	run runner.Run
}

// begin starts an attacker, and returns when it has tried everything once.
func (s *siege) begin(t *testing.T, r runner.Runner, action string, network sandbox.Network, scratch string) attacker {
	t.Helper()
	job := s.attack(action, count(64*mebi), text(string(network)), limits(modest), func(job *runner.Job) { job.Scratch = scratch })
	run, err := r.Start(t.Context(), job)
	if err != nil {
		t.Fatalf("starting an attacker: %v, want nil", err)
	}
	awaitReady(t, job)
	return attacker{job, run}
}

// stop stops an attacker, which must not have ended before, nor have reached the victim.
func (s *siege) stop(t *testing.T, a attacker) {
	t.Helper()
	a.run.Stop()
	e := end(t, a.run)
	var answer map[string]any
	if err := json.Unmarshal(e.value, &answer); err != nil || !e.Stopped || e.Limit != runner.NoLimit {
		t.Errorf("an attacker ended %+v with the result %q, want it to attack until it is stopped\n%s", e.Outcome, e.value, a.job.Stderr)
	}
	for line := range strings.Lines(fmt.Sprint(a.job.Stdout)) {
		if what, ok := strings.CutPrefix(line, "reached "); ok {
			t.Errorf("an attacker reached %s, want nothing reached", what)
		}
	}
	t.Logf("an attacker says %v", answer)
}

// takeTurns waits until no other suite on this machine has neighbours: a victim takes names
// that others can guess, of abstract sockets too, and all share one network.
func takeTurns(t *testing.T) (release func()) {
	t.Helper()
	const path = "/tmp/qhubctl-test-neighbours.lock"
	lock, err := os.Open(path)
	if err != nil {
		lock, err = os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o644) //nolint:gosec // for every user's suite
	}
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal("cannot wait for the neighbours of other suites: ", err)
	}
	return func() { _ = lock.Close() }
}

// atWork attacks a victim before it begins and while it works, by executions of
// its own service and of another one, with each network that they may share.
func atWork(t *testing.T, s *siege) {
	for _, network := range []sandbox.Network{sandbox.NetworkFull, sandbox.NetworkLoopback} {
		if network != sandbox.NetworkFull && !s.held("network") {
			continue
		}
		s.beside(t, network, "neighbour", 0)
	}
}

func greedy(t *testing.T, s *siege) { s.beside(t, sandbox.NetworkNone, "exhaust", 7) }

// beside compares a victim that is attacked, and one afterwards, with one alone.
func (s *siege) beside(t *testing.T, network sandbox.Network, action string, code int) {
	t.Helper()
	release := takeTurns(t)
	defer release()
	same, other := s.Open(t, network), s.Open(t, network)
	defer func() {
		for _, r := range []runner.Runner{same, other} {
			if err := r.Close(); err != nil {
				t.Errorf("Close() = %v, want nil", err)
			}
		}
	}()
	alone := s.victim(t, same, network, code, func() {})
	if alone.outcome != (runner.Outcome{ExitCode: code}) || len(alone.files) < 16 {
		t.Fatalf("the victim alone ended %+v, want exit code %d, with the files %q\n%s", alone.outcome, code, slices.Sorted(maps.Keys(alone.files)), alone.stderr)
	}
	scratch := t.TempDir()
	before := s.begin(t, same, action, network, scratch)
	var during []attacker
	compare(t, "beside attackers", s.victim(t, same, network, code, func() {
		for _, r := range []runner.Runner{same, other} {
			during = append(during, s.begin(t, r, action, network, scratch))
		}
	}), alone)
	for _, a := range append(during, before) {
		s.stop(t, a)
	}
	compare(t, "after attackers", s.victim(t, same, network, code, func() {}), alone)
}
