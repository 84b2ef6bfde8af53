package process_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/runner/process"
)

const patience = 3 * time.Minute

// lines takes the output of a process, and passes it on line by line.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	next chan string
}

func newLines() *lines { return &lines{next: make(chan string, 100)} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	for {
		line, err := l.text.ReadString('\n')
		if err != nil {
			l.text.WriteString(line)
			return len(p), nil
		}
		l.next <- strings.TrimSuffix(line, "\n")
	}
}

func (l *lines) await(t *testing.T) string {
	t.Helper()
	select {
	case line := <-l.next:
		return line
	case <-time.After(patience):
		t.Fatal("nothing was printed")
		return ""
	}
}

// awaitLine skips the messages of a shell about its children.
func (l *lines) awaitLine(t *testing.T, want string) {
	t.Helper()
	for line := ""; line != want; {
		line = l.await(t)
	}
}

// shell starts a shell script as a service. It may wait for the fifo "go".
func shell(t *testing.T, script string, out *lines) (p *process.Process, goOn func()) {
	t.Helper()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "go")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(process.Command{
		Path: "/bin/sh", Args: []string{"-c", script}, Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH")}, Stdout: out, Stderr: out,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p, func() {
		if err := os.WriteFile(fifo, []byte("\n"), 0o600); err != nil {
			t.Error(err)
		}
	}
}

func wait(t *testing.T, p interface {
	Wait() (process.Outcome, error)
}) process.Outcome {
	t.Helper()
	type end struct {
		outcome process.Outcome
		err     error
	}
	ended := make(chan end, 1)
	go func() {
		outcome, err := p.Wait()
		ended <- end{outcome, err}
	}()
	select {
	case e := <-ended:
		if e.err != nil {
			t.Error(e.err)
		}
		return e.outcome
	case <-time.After(patience):
		t.Fatal("the process did not end")
		return process.Outcome{}
	}
}

func mustBeGone(t *testing.T, line string) {
	t.Helper()
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile(filepath.Join("/proc", line, "stat"))
	if _, state, _ := strings.Cut(string(stat), ") "); err == nil && !strings.HasPrefix(state, "Z") {
		t.Errorf("process %d still runs, want its end", pid)
		_ = syscall.Kill(pid, syscall.SIGKILL) // it is the test's own
	}
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]process.Outcome{
		"exit 0":        {},
		"exit 7":        {ExitCode: 7},
		"kill -TERM $$": {ExitCode: -1, Signal: "SIGTERM"},
		"kill -KILL $$": {ExitCode: -1, Signal: "SIGKILL"},
	} {
		p, _ := shell(t, script, newLines())
		if got := wait(t, p); got != want {
			t.Errorf("%s: %+v, want %+v", script, got, want)
		}
	}
}

// TestOrphansEndWithTheProcess: processes that a process leaves in its group, in a
// separate session, and without a parent end with it.
func TestOrphansEndWithTheProcess(t *testing.T) {
	t.Parallel()
	out := newLines()
	p, goOn := shell(t, `
sleep 600 & echo $!
setsid sh -c 'echo $$; exec sleep 600' &
(setsid sh -c 'echo $$; exec sleep 600' &)
read _ <go`, out)
	pids := []string{out.await(t), out.await(t), out.await(t)}
	goOn()
	wait(t, p)
	for _, pid := range pids {
		mustBeGone(t, pid)
	}
}

// TestWaitDoesNotWaitForOrphans: a process that has left and holds the output open does not delay Wait.
func TestWaitDoesNotWaitForOrphans(t *testing.T) {
	t.Parallel()
	out := newLines()
	p, goOn := shell(t, `env -i setsid sh -c 'echo $$; exec sleep 600' & read _ <go; echo last`, out)
	pid := out.await(t)
	goOn()
	wait(t, p)
	if line := out.await(t); line != "last" {
		t.Errorf("the last line is %q, want last", line)
	}
	// It has dropped the tag of the tree: only a sandbox would catch it.
	number, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(number, syscall.SIGKILL) // it is the test's own
}

func TestStop(t *testing.T) {
	t.Parallel()
	const polite = `trap 'echo asked; exit 3' TERM; echo up; while :; do sleep 0.01; done`
	const stubborn = `trap 'echo asked' TERM; echo up; while :; do sleep 0.01; done`
	t.Run("asked", func(t *testing.T) {
		t.Parallel()
		out := newLines()
		p, _ := shell(t, polite, out)
		out.await(t)
		p.Stop(syscall.SIGTERM, time.Hour)
		if got := wait(t, p); got.ExitCode != 3 {
			t.Errorf("Wait() = %+v, want exit code 3", got)
		}
		out.awaitLine(t, "asked")
		p.Stop(syscall.SIGTERM, 0) // after the end it does nothing
	})
	t.Run("killed after the grace time", func(t *testing.T) {
		t.Parallel()
		out := newLines()
		p, _ := shell(t, stubborn, out)
		out.await(t)
		p.Stop(syscall.SIGTERM, 50*time.Millisecond)
		if got := wait(t, p); got.Signal != "SIGKILL" {
			t.Errorf("Wait() = %+v, want SIGKILL", got)
		}
	})
	t.Run("killed when asked again", func(t *testing.T) {
		t.Parallel()
		out := newLines()
		p, _ := shell(t, stubborn, out)
		out.await(t)
		p.Stop(syscall.SIGTERM, time.Hour)
		out.awaitLine(t, "asked")
		p.Stop(syscall.SIGTERM, time.Hour)
		if got := wait(t, p); got.Signal != "SIGKILL" {
			t.Errorf("Wait() = %+v, want SIGKILL", got)
		}
	})
	t.Run("by many at once", func(t *testing.T) {
		t.Parallel()
		p, _ := shell(t, "exec sleep 600", newLines())
		var stopping sync.WaitGroup
		for range 20 {
			stopping.Go(func() { p.Stop(syscall.SIGTERM, time.Hour) })
		}
		wait(t, p)
		stopping.Wait()
	})
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("nobody listens") }

// TestSinkFails: a failing sink neither blocks a service nor ends it.
func TestSinkFails(t *testing.T) {
	t.Parallel()
	p, err := process.Start(process.Command{
		Path: "/bin/sh", Args: []string{"-c", "yes | head -c 10000000; exit 5"}, Dir: t.TempDir(),
		Env: []string{"PATH=" + os.Getenv("PATH")}, Stdout: failingWriter{}, Stderr: failingWriter{},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := wait(t, p); got.ExitCode != 5 {
		t.Errorf("Wait() = %+v, want exit code 5", got)
	}
}

func TestCannotStart(t *testing.T) {
	t.Parallel()
	before := descriptors(t)
	for range 50 {
		if _, err := process.Start(process.Command{Path: "/nowhere/program"}, nil); err == nil || !strings.Contains(err.Error(), "cannot start /nowhere/program") {
			t.Fatal(err)
		}
	}
	if after := descriptors(t); after > before+20 { // other tests run meanwhile
		t.Errorf("%d descriptors after, want about the %d before", after, before)
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

// TestParentIsKilled: even a SIGKILL of the program leaves no service behind.
func TestParentIsKilled(t *testing.T) {
	t.Parallel()
	parent := exec.CommandContext(t.Context(), os.Args[0])
	parent.Env = []string{role + "=parent"}
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	read := bufio.NewScanner(out)
	service := 0
	for up := false; !up || service == 0; {
		if !read.Scan() {
			t.Fatal("the parent did not start its service")
		}
		if read.Text() == "up" {
			up = true
			continue
		}
		if service, err = strconv.Atoi(read.Text()); err != nil {
			t.Fatalf("the parent says %q, want a number", read.Text())
		}
	}
	fd, err := unix.PidfdOpen(service, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	ended := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(ended, int(patience.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			_ = syscall.Kill(service, syscall.SIGKILL) // it is the test's own
			t.Fatalf("the service outlives its parent (%v), want its end", err)
		}
		return
	}
}

// fakePython is a Python whose interpreter is a shell script, to check its orders and the
// handling of its answers.
func fakePython(t *testing.T, script string, out *lines) (process.Execution, error) {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "python")
	// A child of another test that was just forked must not have it open for writing, or
	// it cannot be executed.
	syscall.ForkLock.RLock()
	err := os.WriteFile(name, []byte("#!/bin/sh\n"+script), 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	python := process.Python{Interpreter: name, Launcher: "launcher.py", Entrypoint: "src.program:run", Describer: "describe.py"}
	return python.Start(process.Command{Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH")}, Stdout: out, Stderr: out}, true)
}

// TestDescribe: the first line is the description, in any number of pieces. The rest is
// the log, in the same piece or later.
func TestDescribe(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"at once":   `read order; printf '{"a": 1}\nlog\n'; read -r order; echo "$order"`,
		"in pieces": `read order; printf '{"a"'; sleep 0.05; printf ': 1}\nlo'; sleep 0.05; echo g; read -r order; echo "$order"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := newLines()
			e, err := fakePython(t, script, out)
			if err != nil {
				t.Fatal(err)
			}
			document, err := e.Describe(t.Context())
			if err != nil || string(document) != `{"a": 1}` {
				t.Errorf("Describe() = %q, %v, want the document", document, err)
			}
			secret := plaintext.FromString("a \"b\" é")
			if err := e.Run([]process.Secret{{Env: "SECRET_A", Value: secret}}); err != nil {
				t.Fatal(err)
			}
			wait(t, e)
			if line := out.await(t); line != "log" {
				t.Errorf("the log is %q, want log", line)
			}
			const want = `{"entrypoint":"src.program:run","run":true,"secrets":{"SECRET_A":"a \"b\" é"}}`
			if order := out.await(t); order != want {
				t.Errorf("the order is %s, want %s", order, want)
			}
		})
	}
}

// TestDescribeFails: a process that does not describe is an error, never an endless wait.
func TestDescribeFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script string
		want   error
	}{
		"ends":         {"exit 3", process.ErrNotDescribed},
		"half a line":  {`read order; printf '{"a"'`, process.ErrNotDescribed},
		"never ending": {`read order; yes | tr -d '\n' | head -c 17000000; read order`, process.ErrNotDescribed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := fakePython(t, test.script, newLines())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if document, err := e.Describe(ctx); !errors.Is(err, test.want) {
				t.Errorf("Describe() = %.40q, %v, want %v", document, err, test.want)
			}
			e.Finish()
			e.Stop(syscall.SIGTERM, 0)
			wait(t, e)
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		out := newLines()
		e, err := fakePython(t, "echo up >&2; exec sleep 600", out)
		if err != nil {
			t.Fatal(err)
		}
		out.await(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := e.Describe(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		e.Stop(syscall.SIGTERM, time.Hour)
		if got := wait(t, e); got.Signal != "SIGTERM" {
			t.Errorf("Wait() = %+v, want SIGTERM", got)
		}
	})
}
