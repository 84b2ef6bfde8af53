package sandbox_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

func TestOutcome(t *testing.T) {
	each(t, func(t *testing.T, m *sandbox.Machine) {
		for _, test := range []struct {
			script string
			want   sandbox.Outcome
		}{
			{"exit 0", sandbox.Outcome{}},
			{"exit 7", sandbox.Outcome{ExitCode: 7}},
			{"exit 255", sandbox.Outcome{ExitCode: 255}},
			{"kill -SEGV $$", sandbox.Outcome{ExitCode: -1, Signal: "SIGSEGV"}},
			{"kill -KILL $$", sandbox.Outcome{ExitCode: -1, Signal: "SIGKILL"}},
			{"kill -TERM $$; exit 1", sandbox.Outcome{ExitCode: -1, Signal: "SIGTERM"}},
			{"sleep 60 & exit 3", sandbox.Outcome{ExitCode: 3}},
		} {
			r := run(t, m, sandbox.Policy{}, "/bin/sh", "-c", test.script)
			if r.ExitCode != test.want.ExitCode || r.Signal != test.want.Signal || len(r.Reached) > 0 {
				t.Errorf("%s: %+v, want %+v", test.script, r.Outcome, test.want)
			}
		}
	})
}

func TestCannotStart(t *testing.T) {
	each(t, func(t *testing.T, m *sandbox.Machine) {
		program := writeFile(t, filepath.Join(dir(t), "program"), "#!/bin/sh\n", 0o755)
		for path, want := range map[string]error{
			"/usr/bin/there-is-no-such-program": unix.ENOENT,
			"/etc/passwd":                       unix.EACCES,
			program:                             unix.ENOENT, // not visible
		} {
			_, err := m.Start(&exec.Cmd{Path: path, Args: []string{path}, Dir: "/"}, sandbox.Policy{})
			failed, ok := errors.AsType[*sandbox.StartError](err)
			if !ok || failed.Path != path || failed.Hint() == "" {
				t.Fatalf("Start(%s) = %v, want a StartError with a hint", path, err)
			}
			if !errors.Is(err, want) && (held(m, "filesystem") || !errors.Is(err, unix.EACCES)) {
				t.Errorf("Start(%s) = %v, want %v", path, err, want)
			}
		}
		for _, p := range []sandbox.Policy{
			{Readable: []string{"relative"}},
			{Writable: []string{"/a/../b"}},
			{Network: "some"},
			{Limits: sandbox.Limits{Memory: -1}},
		} {
			if _, err := m.Start(exec.CommandContext(t.Context(), "/bin/true"), p); err == nil {
				t.Errorf("Start(%+v) = nil, want an error: it is no valid policy", p)
			}
		}
	})
}

// startScript starts a shell script and returns when it has printed a line.
func startScript(t *testing.T, m *sandbox.Machine, p sandbox.Policy, script string) (*sandbox.Process, *bufio.Reader) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
	cmd.Dir, cmd.Env, cmd.Stdout = "/", []string{"PATH=/usr/bin:/bin"}, w
	c, err := m.Start(cmd, p)
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(r)
	if line, err := lines.ReadString('\n'); err != nil {
		c.Kill()
		_, _ = c.Wait()
		t.Fatalf("the script says %q (%v), want a line", line, err)
	}
	return c, lines
}

func TestSignals(t *testing.T) {
	each(t, func(t *testing.T, m *sandbox.Machine) {
		for name, test := range map[string]struct {
			script string
			end    func(c *sandbox.Process)
			want   sandbox.Outcome
		}{
			"handled": {
				"trap 'exit 3' TERM; echo ready; while :; do sleep 60 & wait; done",
				func(c *sandbox.Process) { c.Signal(unix.SIGTERM) }, sandbox.Outcome{ExitCode: 3},
			},
			"default, not ignored": {
				"echo ready; exec sleep 60",
				func(c *sandbox.Process) { c.Signal(unix.SIGTERM) }, sandbox.Outcome{ExitCode: -1, Signal: "SIGTERM"},
			},
			"interrupt": {
				"echo ready; exec sleep 60",
				func(c *sandbox.Process) { c.Signal(unix.SIGINT) }, sandbox.Outcome{ExitCode: -1, Signal: "SIGINT"},
			},
			"ignored, then killed": {
				"trap '' TERM INT HUP; echo ready; while :; do sleep 60; done",
				func(c *sandbox.Process) { c.Signal(unix.SIGTERM); c.Kill() }, sandbox.Outcome{ExitCode: -1, Signal: "SIGKILL"},
			},
		} {
			c, _ := startScript(t, m, sandbox.Policy{}, test.script)
			test.end(c)
			got, err := c.Wait()
			if err != nil || got.ExitCode != test.want.ExitCode || got.Signal != test.want.Signal {
				t.Errorf("%s: %+v, %v, want %+v", name, got, err, test.want)
			}
			c.Signal(unix.SIGKILL) // after the end: no process gets it
			c.Kill()
		}
	})
}

// tagged are the processes of this machine whose command line has the tag.
func tagged(t *testing.T, tag string) []string {
	t.Helper()
	var found []string
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), tag) {
			found = append(found, file)
		}
	}
	return found
}

// tag is a number of seconds that no other process sleeps.
func tag() string { return fmt.Sprintf("61.%d%d", os.Getpid(), time.Now().UnixNano()%1e6) }

// survivor leaves children in separate sessions, orphaned, deaf to all but
// SIGKILL, and holding the output open.
const survivor = `
for i in 1 2 3; do setsid sh -c "trap '' TERM INT HUP; sleep %[1]s & sleep %[1]s & (sleep %[1]s &) ; wait" & done
while [ "$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' | grep -o 'sleep %[1]s' | wc -l)" -lt 9 ]; do :; done
echo ready
`

func TestSurvivors(t *testing.T) {
	each(t, func(t *testing.T, m *sandbox.Machine) {
		for name, rest := range map[string]string{"at its end": "", "killed": "exec sleep 60"} {
			tag := tag()
			c, _ := startScript(t, m, sandbox.Policy{Limits: sandbox.Limits{Processes: 128}}, fmt.Sprintf(survivor, tag)+rest)
			if rest != "" {
				if len(tagged(t, tag)) == 0 {
					t.Error("there are no survivors to be ended")
				}
				c.Kill()
			}
			if _, err := c.Wait(); err != nil {
				t.Error(err)
			}
			if left := tagged(t, tag); len(left) > 0 {
				t.Errorf("%s: %v survived, want none", name, left)
			}
		}
	})
}

// TestShimKilled ends the init of the execution, as an operator might.
func TestShimKilled(t *testing.T) {
	m := detected()
	need(t, m, "processes")
	tag := tag()
	c, _ := startScript(t, m, sandbox.Policy{}, fmt.Sprintf(survivor, tag)+"exec sleep 60")
	if err := unix.Kill(c.Pid(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	got, err := c.Wait()
	if err != nil || got.Signal != "SIGKILL" || got.ExitCode != -1 {
		t.Errorf("Wait() = %+v, %v, want SIGKILL", got, err)
	}
	if left := tagged(t, tag); len(left) > 0 {
		t.Errorf("%v survived, want none", left)
	}
}

// serve is a server that starts one execution and waits to be killed.
func serve() int {
	m := detected()
	if os.Getenv(serverVariable) == "no namespaces" {
		m = bareLayers(m)
	}
	if err := sandbox.Protect(); err != nil {
		fmt.Println(err)
		return 1
	}
	cmd := exec.CommandContext(context.Background(), "/bin/sh", "-c", os.Args[1])
	cmd.Dir, cmd.Env, cmd.Stdout = "/", []string{"PATH=/usr/bin:/bin"}, os.Stdout
	c, err := m.Start(cmd, sandbox.Policy{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	_, _ = c.Wait()
	return 1
}

// TestEndsWithServer kills a server, not dumpable as servers are, in the
// middle of an execution.
func TestEndsWithServer(t *testing.T) {
	for _, kind := range []string{"all layers", "no namespaces"} {
		t.Run(kind, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			tag := tag()
			server := exec.CommandContext(t.Context(), self, fmt.Sprintf(survivor, tag)+"exec sleep 60")
			server.Env = append(os.Environ(), serverVariable+"="+kind)
			stdout, err := server.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			// The end of the stream is the end of the last process that has it.
			lines := bufio.NewScanner(stdout)
			if !lines.Scan() || lines.Text() != "ready" {
				t.Errorf("the server says %q, want ready", lines.Text())
			}
			if err := server.Process.Kill(); err != nil {
				t.Error(err)
			}
			for lines.Scan() {
				t.Error(lines.Text())
			}
			_ = server.Wait()
			if left := tagged(t, tag); len(left) > 0 {
				// The kernel is killing them: the stream may close a moment before.
				awaitEnd(t, left)
			}
		})
	}
}

// awaitEnd waits for processes that have been killed.
func awaitEnd(t *testing.T, files []string) {
	t.Helper()
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // gone
		}
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, 10_000); n != 1 {
			t.Errorf("%s survived: %v, want its end", file, err)
		}
		_ = unix.Close(fd)
	}
}

// TestKillEverybody sends SIGKILL to all processes the service may signal. It
// does so only where it has found that these are its own.
func TestKillEverybody(t *testing.T) {
	m := detected()
	need(t, m, "processes", "filesystem", "proc")
	outside, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	got := ask(t, m, sandbox.Policy{}, `
child = os.fork()
if child == 0:
    time.sleep(60)
    os._exit(0)
visible = {int(name) for name in os.listdir("/proc") if name.isdigit()}
apart = (
    os.getpid() > 1 and visible == {1, os.getpid(), child}
    and read("/proc/1/cmdline").split("\0")[0] == "qhubctl-sandbox"
    and os.readlink("/proc/self/ns/pid") != sys.argv[1]
)
out["apart"] = str(apart)
if apart:
    out["kill"] = attempt(os.kill, -1, signal.SIGKILL)
    out["child"] = str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    out["init"] = attempt(os.kill, 1, 0)
else:
    os.kill(child, signal.SIGKILL)
`, outside)
	if got["apart"] != "True" {
		t.Skip("no separate namespace of processes: this test kills none")
	}
	expect(t, got, map[string]string{"kill": "ok", "child": "-9", "init": "ok|EPERM"})
}

func TestNothingLeft(t *testing.T) {
	each(t, func(t *testing.T, m *sandbox.Machine) {
		state := func() map[string]int {
			mounts, err := os.ReadFile("/proc/self/mountinfo")
			if err != nil {
				t.Fatal(err)
			}
			descriptors, err := os.ReadDir("/proc/self/fd")
			if err != nil {
				t.Fatal(err)
			}
			return map[string]int{"mounts": strings.Count(string(mounts), "\n"), "descriptors": len(descriptors)}
		}
		dir := dir(t)
		policy := sandbox.Policy{Writable: []string{dir}, Limits: sandbox.Limits{Processes: 64}}
		if os.Geteuid() == 0 {
			// For others it may be a limit of the address space, of which the
			// race detector, in the shim too, wants terabytes.
			policy.Limits.Memory = 64 << 20
		}
		run(t, m, policy, "/bin/true") // makes the parts that are made once
		before, groups := state(), len(cgroupsLeft())
		for range 5 {
			run(t, m, policy, "/bin/sh", "-c", "echo x > "+dir+"/x; sleep 60 &")
			_, _ = m.Start(exec.CommandContext(t.Context(), "/nowhere"), policy)
		}
		for what, n := range state() {
			if n != before[what] {
				t.Errorf("%d %s, want %d as before", n, what, before[what])
			}
		}
		if n := len(cgroupsLeft()); n != groups {
			t.Errorf("%d cgroups, want %d as before", n, groups)
		}
		if err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); !errors.Is(err, unix.ECHILD) {
			t.Errorf("Waitid() = %v, want ECHILD: no process is left", err)
		}
	})
}

func TestRequire(t *testing.T) {
	m := detected().Without("processes", "memory limit")
	err := m.Require()
	missing, ok := errors.AsType[*sandbox.MissingError](err)
	if !ok {
		t.Fatalf("Require() = %v, want a MissingError", err)
	}
	for _, name := range []string{"processes", "memory limit"} {
		if !slices.ContainsFunc(missing.Layers, func(l sandbox.Layer) bool { return l.Name == name }) || !strings.Contains(missing.Hint(), name) {
			t.Errorf("Require() = %v, want an error and a hint that name %s", err, name)
		}
	}
	if full := detected(); (full.Require() == nil) != (len(full.Missing()) == 0) {
		t.Error("Require and Missing differ")
	}
}

// TestAsOrdinaryUser runs the tests of this package again as a user without
// privileges.
func TestAsOrdinaryUser(t *testing.T) {
	if testing.Short() {
		t.Skip("runs all tests again")
	}
	text := testenv.NewOrdinaryUser(t).Run(t, ".", 5*time.Minute)
	if !strings.Contains(text, "--- PASS: TestOutcome") {
		t.Errorf("no test has run, want TestOutcome among those:\n%s", text)
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "does not give") {
			t.Log("not held for an ordinary user: " + strings.TrimSpace(line))
		}
	}
}
