//go:build linux

package forkserver_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
)

const trivial = "def run(action: str) -> dict:\n    return {'did': action}\n"

func TestColdWhereForksBreak(t *testing.T) { each(t, testColdWhereForksBreak) }

func testColdWhereForksBreak(t *testing.T, sb *process.Sandbox) {
	for name, c := range map[string]struct{ text, reason string }{
		"a thread":        {"import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True, name='poller').start()\n", "poller"},
		"a connection":    {"import socket\npair = socket.socketpair()\n", "connection"},
		"an event queue":  {"import select\nqueue = select.epoll()\n", "event queue"},
		"a secret":        {"import os\ntoken = os.environ.get('SECRET_API_TOKEN') or 1 / 0\n", "ZeroDivisionError"},
		"a flood":         {"print('x' * (2 << 20))\n", "prints too much"},
		"its import ends": {"import os, sys\nif sys.modules['__main__'].__file__.endswith('zygote.py'): os._exit(3)\n", "died while it imported the service"},
	} {
		t.Run(name, func(t *testing.T) {
			o := written(t, c.text+trivial, sb)
			r := forkserver.NewRunner(o)
			defer func() { _ = r.Close() }()
			if err := r.Program().Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			if state := r.Program().State(); state.Warm || !strings.Contains(state.Reason, c.reason) {
				t.Errorf("%+v; wanted a reason with %q", state, c.reason)
			}
			got := do(t, r, "it")
			if want := do(t, cold(o), "it"); got.outcome != want.outcome {
				t.Errorf("the fallback ends %+v, want %+v as cold\n%s", got.outcome, want.outcome, got.stderr)
			}
		})
	}
}

func TestZygoteIsKilled(t *testing.T) { each(t, testZygoteIsKilled) }

func testZygoteIsKilled(t *testing.T, sb *process.Sandbox) {
	o := service(t, nil, sb)
	o.Spares = 2
	r := prepared(t, o)
	defer func() { _ = r.Close() }()

	running, outcome := started(t, r)
	kill(t, r.Program().State().Pid)
	<-running
	if got := <-outcome; got.Signal != "SIGKILL" || got.ExitCode != -1 {
		t.Errorf("an execution whose zygote is killed ends %+v, want SIGKILL", got)
	}
	if got := do(t, r, "look"); got.value["calls"] != 1.0 {
		t.Errorf("the next execution ends %+v, want success in a fresh process\n%s", got.outcome, got.stderr)
	}
	if err := r.Program().Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !r.Program().State().Warm {
		t.Error("there is no new zygote")
	}
}

// started is an execution that runs until it is killed, and its outcome.
func started(t *testing.T, r runner.Runner) (<-chan struct{}, <-chan runner.Outcome) {
	t.Helper()
	reader, writer := io.Pipe()
	run, err := r.Start(t.Context(), runner.Job{
		ID: execution.NewID(), Scratch: inScratch(t), Stdout: writer, Stderr: io.Discard,
		Inputs: map[string]json.RawMessage{"action": json.RawMessage(`"sleep"`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(reader).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the service says %q (%v), want ready", line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	ended, outcome := make(chan struct{}), make(chan runner.Outcome, 1)
	go func() {
		defer close(ended)
		o, err := run.Wait()
		_ = writer.Close()
		if err != nil {
			t.Error(err)
		}
		if err := run.Close(); err != nil {
			t.Error(err)
		}
		outcome <- o
	}()
	return ended, outcome
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if pid < 2 {
		t.Fatalf("the pid is %d, want that of a process", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestCloseWaitsForExecutions(t *testing.T) { each(t, testCloseWaitsForExecutions) }

func testCloseWaitsForExecutions(t *testing.T, sb *process.Sandbox) {
	r := prepared(t, service(t, nil, sb))
	pid := r.Program().State().Pid
	zygote, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = zygote.Release() }()
	_, outcome := started(t, r)
	closed := make(chan error, 1)
	go func() { closed <- r.Close() }()
	select {
	case err := <-closed:
		t.Errorf("Close() = %v while an execution runs, want it to wait", err)
	default:
	}
	for _, child := range children(t, pid) {
		kill(t, child)
	}
	if got := <-outcome; got.Signal != "SIGKILL" {
		t.Errorf("the execution ends %+v, want SIGKILL", got)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if zygote.Signal(syscall.Signal(0)) == nil {
		t.Error("the zygote still runs")
	}
}

func TestSpareIsKilled(t *testing.T) { each(t, testSpareIsKilled) }

func testSpareIsKilled(t *testing.T, sb *process.Sandbox) {
	o := service(t, nil, sb)
	o.Spares = 2
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	do(t, r, "look") // the spares are made
	for _, child := range children(t, r.Program().State().Pid) {
		kill(t, child)
	}
	for range 4 {
		if got := do(t, r, "look"); got.value["calls"] != 1.0 {
			t.Errorf("an execution ends %+v, want success in a fresh process\n%s", got.outcome, got.stderr)
		}
	}
	if !r.Program().State().Warm {
		t.Error("the zygote is gone")
	}
}

func TestNothingIsLeft(t *testing.T) { each(t, testNothingIsLeft) }

func testNothingIsLeft(t *testing.T, sb *process.Sandbox) {
	o := service(t, nil, sb)
	o.Spares = 2
	r := prepared(t, o)
	do(t, r, "look")
	before := descriptors(t)
	for range 30 {
		do(t, r, "look")
	}
	// One more may be a spare, or have just ended, with its group.
	if after := descriptors(t); after > before+15 {
		t.Errorf("%d descriptors are open, want about the %d before", after, before)
	}
	pid := r.Program().State().Pid
	if n := len(children(t, pid)); n > 3 {
		t.Errorf("the zygote has %d children, want at most 3", n)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func children(t *testing.T, pid int) []int {
	t.Helper()
	task := "/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(pid) + "/children"
	text, err := os.ReadFile(task)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		child, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, child)
	}
	return pids
}
