//go:build linux

package forkserver_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// hostile is a service that runs the given script and reports the outcome.
const hostile = `
import ctypes, errno, json, os, signal, socket, sys, tempfile, threading, time

def attempt(f, *args):
    try:
        r = f(*args)
        return "ok" if r is None else str(r)
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))

def call(number, *args):
    libc = ctypes.CDLL(None, use_errno=True)
    r = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in args])
    return errno.errorcode[ctypes.get_errno()] if r == -1 else "ok"

def read(path):
    with open(path, "rb") as f:
        return f.read().decode(errors="replace")

def write(path):
    with open(path, "a") as f:
        f.write("x")

def run(action: str) -> dict:
    out = {}
    exec(action, {**globals(), "out": out})
    return out
`

// need skips a test of a layer that this machine lacks.
func need(t *testing.T, names ...string) {
	t.Helper()
	for _, l := range machine().Layers() {
		if slices.Contains(names, l.Name) && !l.Held {
			t.Skipf("this machine does not give %s: %s", l.Name, l.Says)
		}
	}
}

// victim is an execution that waits, and the data that it has reported.
func victim(t *testing.T, r runner.Runner, script string) (reported map[string]any, outcome func() runner.Outcome) {
	t.Helper()
	code, err := json.Marshal(script + "\nprint(json.dumps(out), flush=True)\nsys.stdout.flush()\ntime.sleep(600)")
	if err != nil {
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	var stderr bytes.Buffer
	run, err := r.Start(t.Context(), runner.Job{
		ID: execution.NewID(), Scratch: inScratch(t), Stdout: writer, Stderr: &stderr,
		Inputs: map[string]json.RawMessage{"action": code},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan runner.Outcome, 1)
	go func() {
		outcome, err := run.Wait()
		if err != nil {
			t.Error(err)
		}
		_ = writer.Close()
		ended <- outcome
	}()
	line, err := bufio.NewReader(reader).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &reported) != nil {
		t.Fatalf("the victim says %q (%v), want a line of JSON\n%s", line, err, stderr.String())
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	return reported, func() runner.Outcome {
		run.Stop()
		outcome := <-ended
		if err := run.Close(); err != nil {
			t.Error(err)
		}
		return outcome
	}
}

func hostileService(t *testing.T, spares int) *forkserver.Runner {
	t.Helper()
	sb := confined()
	o := written(t, hostile, sb)
	o.Spares = spares
	return prepared(t, o)
}

func TestForksAreKeptApart(t *testing.T) {
	if err := machine().RequireForks(); err != nil {
		t.Skip("this machine does not keep forks apart: ", err)
	}
	secret := filepath.Join(t.TempDir(), "secret.txt")
	if err := os.WriteFile(secret, []byte("hidden"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, spares := range []int{0, 1} {
		r := hostileService(t, spares)
		reported, stop := victim(t, r, `
for place in (os.environ["TMPDIR"], os.environ["HOME"], "/tmp", "/dev/shm", "/var/tmp"):
    with open(place + "/mine", "w") as f: f.write("private")
server = socket.socket(socket.AF_UNIX); server.bind("\0qhubctl-warm-test"); server.listen()
other = socket.socket(socket.AF_UNIX); other.bind("/tmp/listens"); other.listen()
call(29, 0x5157, 4096, 0o1666)  # shmget: IPC_CREAT
out.update(pid=os.getpid(), zygote=os.getppid(), uid=os.getuid())
`)
		script := fmt.Sprintf(`
pid, zygote, secret = %v, %v, %q
def refuse(): raise OSError(errno.ENOENT, "")
def connect(name):
    s = socket.socket(socket.AF_UNIX); s.connect(name)
for place in (os.environ["TMPDIR"], os.environ["HOME"], "/tmp", "/dev/shm", "/var/tmp"):
    out["list " + place] = str("mine" in os.listdir(place))
    out["read in " + place] = attempt(read, place + "/mine")
out["folders"] = attempt(os.listdir, "/run/executions")
out["folder"] = str(sorted(os.listdir("/run/service/execution")))
out["signal"] = attempt(os.kill, pid, 9)
out["signal zygote"] = attempt(os.kill, zygote, 9)
out["signal init"] = attempt(os.kill, 1, 9)
out["limits"] = call(302, pid, 0, 0, 0)
out["priority"] = call(141, 2, 0, 19)
out["trace"] = call(101, 16, pid, 0, 0)
out["memory"] = call(310, pid, 0, 0, 0, 0, 0)
out["environ"] = attempt(read, f"/proc/{pid}/environ")
out["cmdline"] = attempt(read, f"/proc/{pid}/cmdline")
out["root"] = attempt(os.listdir, f"/proc/{pid}/root/tmp")
out["cwd"] = attempt(os.listdir, f"/proc/{pid}/cwd/")
out["environ of zygote"] = attempt(read, f"/proc/{zygote}/environ")
out["processes"] = str([n for n in os.listdir("/proc") if n.isdigit()] == [str(os.getpid())])
out["abstract"] = attempt(connect, "\0qhubctl-warm-test")
out["socket"] = attempt(connect, "/tmp/listens")
out["shared memory"] = call(29, 0x5157, 4096, 0)
out["own shared memory"] = call(29, 0x5157, 4096, 0o1666)
out["hidden"] = attempt(read, secret)
out["code"] = attempt(write, "src/program.py")
out["mine"] = attempt(write, os.environ["TMPDIR"] + "/mine")
out["output"] = attempt(write, os.environ["OUTPUT_DIRECTORY"] + "/mine")
out["input"] = attempt(write, os.environ["INPUT_DIRECTORY"] + "/mine")
out["mode of input"] = attempt(os.chmod, os.environ["INPUT_DIRECTORY"], 0o777)
out["own descriptors"] = str(len(os.listdir("/proc/self/fd")) > 2)
out["capabilities"] = str([l.split()[1].strip("0") for l in open("/proc/self/status") if l.startswith("Cap")])
out["user"] = __import__("getpass").getuser()
out["home"] = str(os.path.expanduser("~service") == os.environ["HOME"])
out["groups"] = str(os.getgroups() if os.getuid() != %d else [])
out["mount"] = attempt(lambda: call(165, 0, 0, 0, 0, 0) == "ok" or refuse())
out["namespace"] = call(272, 0x20000)
out["everybody"] = attempt(os.kill, -1, 9)
`, reported["pid"], reported["zygote"], secret, os.Geteuid())
		got := do(t, r, script)
		want := map[string]string{
			"folders": "ENOENT|[]", "folder": "['datapool', 'home', 'input', 'output', 'tmp']",
			"signal": "EPERM", "signal zygote": "EPERM", "signal init": "EPERM", "limits": "EPERM", "priority": "EPERM", "trace": "EPERM",
			"memory": "EPERM", "environ": "ENOENT", "cmdline": "ENOENT", "environ of zygote": "ENOENT|EPERM", "root": "ENOENT", "cwd": "ENOENT",
			"processes": "True", "abstract": "EPERM", "socket": "ENOENT", "shared memory": "ENOENT", "own shared memory": "ok",
			"hidden": "ENOENT|EACCES", "code": "EROFS|EACCES", "mine": "ok", "output": "ok", "input": "EROFS|EACCES", "mode of input": "EROFS|EPERM",
			"own descriptors": "True", "capabilities": "['', '', '', '', '']", "user": "service", "home": "True", "groups": "[]",
			"mount": "ENOENT", "namespace": "EPERM", "everybody": "EPERM|ESRCH|ok",
		}
		for _, place := range []string{sandbox.TempAt, sandbox.HomeAt, "/dev/shm", "/var/tmp"} {
			want["list "+place], want["read in "+place] = "False", "ENOENT"
		}
		if os.Geteuid() == 0 { // the processes of its user are its children
			want["priority"] = "ok"
		}
		for key, want := range want {
			if value, _ := got.value[key].(string); !slices.Contains(strings.Split(want, "|"), value) {
				t.Errorf("%d spares: %s: %q, want %s", spares, key, value, want)
			}
		}
		if len(got.value) == 0 {
			t.Errorf("the attack returned nothing: %+v, want answers\n%s", got.outcome, got.stderr)
		}
		if uid, _ := reported["uid"].(float64); os.Geteuid() == 0 && uid < 200_000 {
			t.Errorf("a fork runs as the user %v, want one of the range", uid)
		}
		if outcome := stop(); !outcome.Stopped {
			t.Errorf("the other execution ended with %+v, want it to live on", outcome)
		}
		if !r.Program().State().Warm {
			t.Error("the zygote has ended")
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNothingIsLeftInTemp(t *testing.T) {
	if err := machine().RequireForks(); err != nil {
		t.Skip("this machine does not keep forks apart: ", err)
	}
	r := hostileService(t, 1)
	defer func() { _ = r.Close() }()
	if got := do(t, r, "write('/tmp/left'); write('/dev/shm/left'); os.makedirs('/tmp/a/b'); out['done'] = 'yes'"); got.value["done"] != "yes" {
		t.Fatal(got.stderr)
	}
	got := do(t, r, "for path in ('/tmp/left', '/dev/shm/left', '/tmp/a'): out[path] = str(os.path.exists(path))")
	for path, there := range got.value {
		if there != "False" {
			t.Errorf("%s is left to the next execution, want it gone", path)
		}
	}
	if len(got.value) != 3 {
		t.Error(got.stderr)
	}
}

func TestLimitsOfForks(t *testing.T) {
	need(t, "memory limit", "process limit")
	r := hostileService(t, 1)
	defer func() { _ = r.Close() }()
	bounded := func(limits runner.Limits, script string) runner.Outcome {
		t.Helper()
		code, err := json.Marshal(script)
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		run, err := r.Start(t.Context(), runner.Job{
			ID: execution.NewID(), Scratch: inScratch(t), Stdout: io.Discard, Stderr: &stderr, Limits: limits,
			Inputs: map[string]json.RawMessage{"action": code},
		})
		if err != nil {
			t.Fatal(err)
		}
		outcome, err := run.Wait()
		if err != nil {
			t.Error(err)
		}
		if err := run.Close(); err != nil {
			t.Error(err)
		}
		return outcome
	}
	// The script attacks only if there is a limit.
	const fill = `
path = [l.split(":", 2)[2].strip() for l in open("/proc/self/cgroup") if "memory" in l.split(":")[1]]
hoard = [b"x" * (1 << 20) for _ in range(256)]
`
	if got := bounded(runner.Limits{Memory: 128 << 20}, fill); got.Limit != runner.MemoryLimit || got.Signal != "SIGKILL" {
		t.Errorf("a fork beyond its memory ends %+v, want SIGKILL by the memory limit", got)
	}
	if got := bounded(runner.Limits{Memory: 512 << 20}, fill); got != (runner.Outcome{}) {
		t.Errorf("a fork with enough memory ends %+v, want success", got)
	}
	const threads = `
for _ in range(64): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
`
	if got := bounded(runner.Limits{Processes: 20}, threads); got.Limit != runner.ProcessLimit || got.ExitCode == 0 {
		t.Errorf("a fork with too many threads ends %+v, want the process limit", got)
	}
	const children = `
for _ in range(64):
    if os.fork() == 0: time.sleep(600)
`
	if got := bounded(runner.Limits{Processes: 20}, children); got.Limit != runner.ProcessLimit || got.ExitCode == 0 {
		t.Errorf("a fork with too many children ends %+v, want the process limit", got)
	}
	if got := bounded(runner.Limits{Processes: 200}, threads); got != (runner.Outcome{}) {
		t.Errorf("a fork with enough processes ends %+v, want success", got)
	}
	if !r.Program().State().Warm {
		t.Error("the zygote has ended")
	}
}

// TestOrphansOfForks kills processes that have left the group and the session of
// their fork, and have no tag.
func TestOrphansOfForks(t *testing.T) {
	need(t, "memory limit", "process limit")
	r := hostileService(t, 1)
	defer func() { _ = r.Close() }()
	got := do(t, r, `
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 64)
        os.execve("/bin/sleep", ["sleep", "600"], {})
    os._exit(0)
os.wait()
out["done"] = "yes"
`)
	if got.value["done"] != "yes" {
		t.Error(got.stderr)
	}
	for _, child := range children(t, r.Program().State().Pid) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", child))
		ended := strings.Contains(string(status), "\nState:\tZ") // it may not be reaped yet
		if err == nil && strings.HasPrefix(string(status), "Name:\tsleep\n") && !ended {
			t.Error("a process has outlived its execution")
		}
	}
}

func TestColdWhereTheSandboxCannotHoldIt(t *testing.T) {
	sb := confined()
	r := prepared(t, written(t, hostile, sb))
	defer func() { _ = r.Close() }()
	pool := t.TempDir()
	if err := os.WriteFile(filepath.Join(pool, "data.txt"), []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, err := json.Marshal("print(os.getppid() == 1, read(os.path.join('" + pool + "', 'data.txt')))")
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	run, err := r.Start(t.Context(), runner.Job{
		ID: execution.NewID(), Scratch: inScratch(t), Stdout: &stdout, Stderr: &stderr,
		Inputs: map[string]json.RawMessage{"action": code}, DataPools: map[string]string{"pool": pool},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run.Wait(); err != nil {
		t.Error(err)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
	if stdout.String() != "True data\n" {
		t.Errorf("the fork prints %q, want True and the data\n%s", stdout.String(), stderr.String())
	}
}
