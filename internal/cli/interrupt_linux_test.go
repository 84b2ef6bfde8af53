package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// started is a qhubctl that runs.
type started struct {
	*exec.Cmd
	out, log testenv.Buffer
	ended    chan struct{} // closed when it has ended
	dir      string
}

// begin starts `qhubctl run` on a service in a separate folder. The folder has two
// fifos: on "ready" the service reports that it is ready, and on "go" it may wait.
func begin(t *testing.T, program string, env []string, args ...string) *started {
	t.Helper()
	return beginIn(t, service(t, program), append(plainEnv(t), env...), args...)
}

// beginIn is begin for a workspace that is there.
func beginIn(t *testing.T, dir string, env []string, args ...string) *started {
	t.Helper()
	s := &started{dir: dir, ended: make(chan struct{})}
	for _, fifo := range []string{"ready", "go"} {
		if err := unix.Mkfifo(filepath.Join(s.dir, fifo), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.Cmd = exec.CommandContext(t.Context(), "qhubctl", append([]string{"run", "--python", sdkPython(t)}, args...)...)
	s.Dir, s.Stdout, s.Stderr = s.dir, &s.out, &s.log
	s.Env = env
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.Wait() // the code is in ProcessState
		close(s.ended)
	}()
	t.Cleanup(func() {
		_ = s.Process.Kill() // if it is still there
		<-s.ended
	})
	return s
}

// awaitReady returns what the service says on its fifo.
func (s *started) awaitReady(t *testing.T) []string {
	t.Helper()
	said := make(chan []byte, 1)
	go func() {
		text, _ := os.ReadFile(filepath.Join(s.dir, "ready"))
		said <- text
	}()
	select {
	case text := <-said:
		return strings.Fields(string(text))
	case <-s.ended:
		t.Fatalf("it ended before the service was ready:\n%s", s.log.String())
	case <-time.After(patience):
		t.Fatalf("the service did not get ready:\n%s", s.log.String())
	}
	return nil
}

func (s *started) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := s.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

func (s *started) awaitEnd(t *testing.T, code int) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Fatalf("it did not end:\n%s", s.log.String())
	}
	if got := s.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d\n%s", got, code, s.log.String())
	}
}

// goneAll fails if one of the processes still runs.
func goneAll(t *testing.T, pids []string) {
	t.Helper()
	if len(pids) == 0 {
		t.Error("the service named no processes")
	}
	for _, text := range pids {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		if runs(pid) {
			t.Errorf("process %d still runs", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL) // it is the test's own
		}
	}
}

const family = `
import os, signal, subprocess, sys, time

def sleeper(**options):
    program = "import time; print('up', flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, **options)
    child.stdout.readline()
    return child.pid

def doubly_forked():
    "A process whose parent is gone and that has left the session and the group."
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        pid = os.fork()
        if pid == 0:
            os.execv(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"])
        os.write(write, str(pid).encode())
        os._exit(0)
    os.close(write)
    os.wait()
    with os.fdopen(read) as said:
        return int(said.read())

def ready(*pids):
    with open("ready", "w") as fifo:
        fifo.write(" ".join(map(str, [os.getpid(), *pids])))
`

// SIGINT, SIGTERM and SIGHUP end the service and all of its processes, even those
// that have left its session or its process group.
func TestInterruptEndsTheTree(t *testing.T) {
	const program = family + `
def run():
    children = sleeper(), sleeper(start_new_session=True), doubly_forked()
    try:
        ready(*children)
        while True:
            time.sleep(0.01)  # a signal just before a long sleep would be noticed after it
    finally:
        print("cleaned up")
`
	for _, sent := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(unix.SignalName(sent), func(t *testing.T) {
			t.Parallel()
			s := begin(t, program, nil, "-d", "{}")
			pids := s.awaitReady(t)
			s.signal(t, sent)
			s.awaitEnd(t, 130)
			goneAll(t, pids)
			if log := s.log.String(); !strings.HasSuffix(log, "interrupted\n") {
				t.Errorf("the log does not end with the interruption:\n%s", log)
			}
			if sent == syscall.SIGINT && !strings.Contains(s.log.String(), "cleaned up") {
				t.Errorf("the service was not asked, or had no time to clean up:\n%s", s.log.String())
			}
			if s.out.String() != "" {
				t.Errorf("standard output has %q", s.out.String())
			}
		})
	}
}

// A service may take its time to end, but not twice.
func TestSecondInterruptKills(t *testing.T) {
	const program = family + `
def run():
    def ignore(*_):
        print("not now", flush=True)
        with open("ready", "w") as fifo:
            fifo.write("asked")
    signal.signal(signal.SIGINT, ignore)
    ready(sleeper())
    while True:
        time.sleep(600)
`
	t.Parallel()
	s := begin(t, program, nil, "-d", "{}")
	pids := s.awaitReady(t)
	s.signal(t, os.Interrupt)
	if asked := s.awaitReady(t); len(asked) != 1 {
		t.Fatalf("the service was not asked: %v", asked)
	}
	select {
	case <-s.ended:
		t.Fatal("the first Ctrl-C did not wait for the service")
	default:
	}
	s.signal(t, os.Interrupt)
	s.awaitEnd(t, 130)
	goneAll(t, pids)
}

// One Ctrl-C is one: the service always gets the time to clean up.
func TestOneInterruptIsOne(t *testing.T) {
	const program = family + `
def run():
    try:
        ready()
        while True:
            time.sleep(0.01)  # a signal just before a long sleep would be noticed after it
    finally:
        time.sleep(0.05)
        print("cleaned up", flush=True)
`
	t.Parallel()
	for range 5 {
		s := begin(t, program, nil, "-d", "{}")
		s.awaitReady(t)
		s.signal(t, os.Interrupt)
		s.awaitEnd(t, 130)
		if !strings.Contains(s.log.String(), "cleaned up") {
			t.Fatalf("the service had no time to clean up:\n%s", s.log.String())
		}
	}
}

// Ctrl-C while the service is imported, which it has not asked for.
func TestInterruptWhileDescribing(t *testing.T) {
	const program = family + `
ready(sleeper(start_new_session=True))
time.sleep(600)

def run(): ...
`
	t.Parallel()
	s := begin(t, program, nil)
	pids := s.awaitReady(t)
	s.signal(t, os.Interrupt)
	s.awaitEnd(t, 130)
	goneAll(t, pids)
}

// Not even a kill -9 of qhubctl leaves the service behind.
func TestKilledParent(t *testing.T) {
	const program = family + `
def run():
    ready()
    time.sleep(600)
`
	t.Parallel()
	s := begin(t, program, nil, "-d", "{}")
	pids := s.awaitReady(t)
	s.signal(t, os.Kill)
	s.awaitEnd(t, -1)
	pid, err := strconv.Atoi(pids[0])
	if err != nil {
		t.Fatal(err)
	}
	awaitGone(t, pid)
}

// awaitGone waits for the end of a process that is no child of ours.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // gone
	}
	defer func() { _ = unix.Close(fd) }()
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(ready, int(patience.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("process %d is still there (%v)", pid, err)
		}
		return
	}
}
