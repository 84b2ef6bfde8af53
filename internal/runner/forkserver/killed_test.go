//go:build linux

package forkserver_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
)

func TestForkIsKilled(t *testing.T) { each(t, testForkIsKilled) }

func testForkIsKilled(t *testing.T, sb *process.Sandbox) {
	r := prepared(t, service(t, nil, sb))
	defer func() { _ = r.Close() }()
	zygote := r.Program().State().Pid
	_, first := started(t, r)
	killed := children(t, zygote)
	ended, second := started(t, r)
	if len(killed) != 1 {
		t.Fatalf("one execution has %d forks, want 1", len(killed))
	}
	kill(t, killed[0])
	if got := <-first; got != (runner.Outcome{ExitCode: -1, Signal: "SIGKILL"}) {
		t.Errorf("an execution whose process is killed ends %+v, want SIGKILL", got)
	}
	select {
	case <-ended:
		t.Error("the other one has ended with it")
	default:
	}
	next := do(t, r, "look")
	if next.value["calls"] != 1.0 {
		t.Errorf("the next execution ends %+v, want success in a fresh process\n%s", next.outcome, next.stderr)
	}
	for _, fork := range children(t, zygote) {
		kill(t, fork)
	}
	<-second
	if state, stats := r.Program().State(), r.Program().Stats(); state.Pid != zygote || stats.Warm != 3 {
		t.Errorf("the zygote is %+v with %+v, want the same one and three warm starts", state, stats)
	}
}

func TestIdleZygoteIsKilled(t *testing.T) { each(t, testIdleZygoteIsKilled) }

func testIdleZygoteIsKilled(t *testing.T, sb *process.Sandbox) {
	o := service(t, nil, sb)
	o.Spares = 1
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	const executions = 4
	for range executions { // before or after the program notices it
		if state := r.Program().State(); state.Warm {
			kill(t, state.Pid)
		}
		// A fork that had begun, in the moment before it died with its zygote, does
		// not begin again: it may have had effects already.
		if got := do(t, r, "look"); got.value["calls"] != 1.0 && got.outcome.Signal != "SIGKILL" {
			t.Errorf("an execution ends %+v, want success or SIGKILL\n%s", got.outcome, got.stderr)
		}
		if err := r.Program().Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := do(t, r, "look"); got.value["calls"] != 1.0 {
			t.Errorf("the next execution ends %+v, want success in a fresh process\n%s", got.outcome, got.stderr)
		}
	}
	stats := r.Program().Stats()
	if all := stats.Warm + stats.Cold[forkserver.Preparing] + stats.Cold[forkserver.Refused] + stats.Cold[forkserver.Lost] + stats.Cold[forkserver.Unforkable]; all != 2*executions {
		t.Errorf("the counts are %+v, want %d executions", stats, 2*executions)
	}
}

// dies holds the folder of the test that runs TestServerToBeKilled.
const dies = "QHUBCTL_WARM_TEST_DIES"

// TestServerToBeKilled is the server that TestServerIsKilled kills.
func TestServerToBeKilled(t *testing.T) {
	sb, ok := map[string]*process.Sandbox{"open": nil, "sandboxed": confined()}[os.Getenv(dies)]
	if !ok {
		t.Skip("it is run by TestServerIsKilled")
	}
	o := service(t, nil, sb)
	o.Spares = 1
	r := prepared(t, o)
	zygote := r.Program().State().Pid
	started(t, r)
	forks := children(t, zygote)
	for len(forks) < 2 { // wait for the spare
		runtime.Gosched()
		forks = children(t, zygote)
	}
	fmt.Println("processes", zygote, strings.Trim(fmt.Sprint(forks), "[]"))
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed, or its parent has ended
}

// TestServerIsKilled checks that no process runs on when the server gets SIGKILL: the
// next server reports the execution as interrupted, which must be true.
func TestServerIsKilled(t *testing.T) {
	each(t, func(t *testing.T, sb *process.Sandbox) {
		how := "open"
		if sb != nil {
			how = "sandboxed"
		}
		dir := t.TempDir()
		server := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServerToBeKilled$", "-test.v")
		server.Env = append(os.Environ(), dies+"="+how, "TMPDIR="+dir)
		server.Stderr = os.Stderr
		stdin, err := server.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = stdin.Close() }()
		stdout, err := server.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		processes := watched(t, stdout)
		if err := server.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = server.Wait() // an error, as it was killed
		for pid, handle := range processes {
			awaitEnd(t, pid, handle)
		}
		if len(processes) != 3 {
			t.Errorf("the processes are %v, want 3", processes)
		}
	})
}

// watched returns handles of the processes that a server to be killed prints.
func watched(t *testing.T, stdout io.Reader) map[int]int {
	t.Helper()
	processes := map[int]int{}
	var said strings.Builder
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		pids, ok := strings.CutPrefix(lines.Text(), "processes ")
		if !ok {
			continue
		}
		for field := range strings.FieldsSeq(pids) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			handle, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				t.Fatal(err)
			}
			processes[pid] = handle
		}
		return processes
	}
	t.Fatalf("the server ended before it was killed, want its processes: %s", said.String())
	return nil
}

// awaitEnd waits for the end of a process that is not our child.
func awaitEnd(t *testing.T, pid, handle int) {
	t.Helper()
	defer func() { _ = unix.Close(handle) }()
	for deadline := time.Now().Add(3 * time.Minute); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(handle), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			t.Error(err)
		case n == 0:
			t.Errorf("process %d has outlived the server, want its end", pid)
		}
		return
	}
}

// TestZygoteIsKilledWhileItImports kills the first zygotes of a service before they are
// ready, as the kernel does when memory is short.
func TestZygoteIsKilledWhileItImports(t *testing.T) {
	// Executions have an INPUT_DIRECTORY, and a cold start imports the service as well.
	const deadly = `
import os, pathlib, signal
if os.environ.get("INPUT_DIRECTORY") is None:
    left = pathlib.Path(__file__).with_name("left")
    if count := int(left.read_text()):
        left.write_text(str(count - 1))
        os.kill(os.getpid(), signal.SIGKILL)
`
	for name, c := range map[string]struct {
		killed int
		want   forkserver.Stats // after an execution
		reason string
	}{
		"once":   {1, forkserver.Stats{Warm: 1, Zygotes: 1, Failed: 1, Awaited: 1, Cold: map[forkserver.Cause]int64{}}, ""},
		"twice":  {2, forkserver.Stats{Warm: 1, Zygotes: 1, Failed: 2, Awaited: 1, Cold: map[forkserver.Cause]int64{}}, ""},
		"always": {100, forkserver.Stats{Failed: 3, Cold: map[forkserver.Cause]int64{forkserver.Unforkable: 1}}, "the zygote, the process that is forked, died"},
	} {
		t.Run(name, func(t *testing.T) {
			o := written(t, deadly+trivial, nil)
			if err := os.WriteFile(filepath.Join(o.Dir, "src", "left"), []byte(strconv.Itoa(c.killed)), 0o600); err != nil {
				t.Fatal(err)
			}
			r := forkserver.NewRunner(o)
			defer func() { _ = r.Close() }()
			if err := r.Program().Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			state := r.Program().State()
			if state.Warm != (c.reason == "") || !strings.HasPrefix(state.Reason, c.reason) {
				t.Errorf("State() = %+v, want the reason %q", state, c.reason)
			}
			if got := do(t, r, "it"); got.outcome != (runner.Outcome{}) {
				t.Errorf("an execution ends %+v, want success\n%s", got.outcome, got.stderr)
			}
			if got := r.Program().Stats(); !reflect.DeepEqual(got, c.want) {
				t.Errorf("Stats() = %+v, want %+v", got, c.want)
			}
		})
	}
}
