package sandbox_test

import (
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox"
)

func TestMemoryLimit(t *testing.T) {
	m := detected()
	need(t, m, "memory limit")
	const limit = 64 << 20
	p := sandbox.Policy{Limits: sandbox.Limits{Memory: limit}}
	// Nothing is filled unless the limit is there.
	got := ask(t, m, p, `out["limit"] = limit("memory", "memory.limit_in_bytes", "memory.max")`)
	if got["limit"] != strconv.Itoa(limit) {
		t.Fatalf("the limit is %s, want %d", got["limit"], limit)
	}
	bomb := []string{python, "-I", "-c", "hoard = []\nfor _ in range(512): hoard.append(b'x' * (1 << 20))"}
	r := run(t, m, p, bomb...)
	if r.Signal != "SIGKILL" || !slices.Equal(r.Reached, []string{sandbox.LimitMemory}) {
		t.Errorf("Wait() = %+v, want SIGKILL by the memory limit\n%s", r.Outcome, r.stderr)
	}
	// The group is reused, and its counts start again.
	if r := run(t, m, p, "/bin/true"); r.ExitCode != 0 || len(r.Reached) > 0 {
		t.Errorf("the next execution: %+v, want success", r.Outcome)
	}
}

// TestMemoryOfEach checks the bound that remains without cgroups.
func TestMemoryOfEach(t *testing.T) {
	m := detected().Without("memory limit", "process limit", "cpu limit")
	got := ask(t, m, sandbox.Policy{Limits: sandbox.Limits{Memory: 128 << 20}}, `
import resource
out["limit"] = str(resource.getrlimit(resource.RLIMIT_DATA)[1])
try:
    if out["limit"] == str(256 << 20):
        hoard = b"x" * (384 << 20)
    out["bomb"] = "ok"
except MemoryError:
    out["bomb"] = "refused"
`)
	expect(t, got, map[string]string{"limit": strconv.Itoa(256 << 20), "bomb": "refused"})
}

func TestForkBomb(t *testing.T) {
	each(t, func(t *testing.T, m *sandbox.Machine) {
		if !held(m, "process limit") && !held(m, "processes") {
			t.Skip("this machine does not give a limit of processes to an execution of this user without namespaces")
		}
		got := ask(t, m, sandbox.Policy{Limits: sandbox.Limits{Processes: 20}}, `
import resource
try: bound = limit("pids", "pids.max", "pids.max")
except OSError: bound = "max"
soft = resource.getrlimit(resource.RLIMIT_NPROC)[0]
out["bounded"] = str(bound not in ("max", "") and int(bound) <= 64 or 0 < soft <= 64)
children, end = [], ""
if out["bounded"] == "True":
    for _ in range(200):
        try:
            child = os.fork()
        except OSError as e:
            end = errno.errorcode[e.errno]
            break
        if child == 0:
            time.sleep(60)
            os._exit(0)
        children.append(child)
out["end"] = end
out["enough"] = str(10 <= len(children) <= 64)
`)
		if got["bounded"] != "True" {
			t.Skip("no limit of processes is in force: nothing is forked")
		}
		expect(t, got, map[string]string{"end": "EAGAIN", "enough": "True"})
	})
}

func TestForkBombIsReported(t *testing.T) {
	m := detected()
	need(t, m, "process limit")
	r := run(t, m, sandbox.Policy{Limits: sandbox.Limits{Processes: 20}}, "/bin/sh", "-c",
		`[ "$(cat /sys/fs/cgroup/pids$(grep :pids: /proc/self/cgroup | cut -d: -f3)/pids.max)" -lt 64 ] || exit 9
		for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40; do sleep 60 & done`)
	if r.ExitCode == 9 {
		t.Skip("the limit is not to be seen: nothing is forked")
	}
	if !slices.Equal(r.Reached, []string{sandbox.LimitProcesses}) {
		t.Errorf("Wait() = %+v, want the process limit\n%s", r.Outcome, r.stderr)
	}
}

func TestTempLimit(t *testing.T) {
	m := detected()
	need(t, m, "filesystem")
	got := ask(t, m, sandbox.Policy{Limits: sandbox.Limits{Temp: 4 << 20}}, `
def fill(path):
    with open(path, "wb") as f:
        for _ in range(64): f.write(b"x" * (256 << 10)); f.flush()
def many(path):
    for n in range(100000): os.close(os.open(path + "/%d" % n, os.O_CREAT))
size = os.statvfs("/tmp")
out["bounded"] = str(size.f_blocks * size.f_frsize)
if out["bounded"] == str(4 << 20):
    out["fill"] = attempt(fill, "/tmp/x")
    out["then shm"] = attempt(fill, "/dev/shm/x")
    out["then var"] = attempt(fill, "/var/tmp/y")
    os.remove("/tmp/x")
    out["many"] = attempt(many, "/tmp")
out["root"] = attempt(fill, "/x")
`)
	expect(t, got, map[string]string{
		"bounded": strconv.Itoa(4 << 20), "fill": "ENOSPC", "then shm": "ENOSPC", "then var": "ENOSPC", "many": "ENOSPC",
		"root": "EROFS|EACCES",
	})
}

func TestLimitsOfEach(t *testing.T) {
	dir := dir(t)
	got := ask(t, detected(), sandbox.Policy{
		Writable: []string{dir},
		Limits:   sandbox.Limits{OpenFiles: 32, FileSize: 1 << 20, CPU: 0.5},
	}, `
def files():
    kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(64)]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def large():
    with open(sys.argv[1] + "/x", "wb") as f:
        for _ in range(32): f.write(b"x" * (64 << 10)); f.flush()
out["large"] = attempt(large)
out["size"] = str(os.stat(sys.argv[1] + "/x").st_size)
out["files"] = attempt(files)
`, dir)
	expect(t, got, map[string]string{"files": "EMFILE", "large": "EFBIG", "size": strconv.Itoa(1 << 20)})
}

func TestCPULimit(t *testing.T) {
	m := detected()
	need(t, m, "cpu limit")
	got := ask(t, m, sandbox.Policy{Limits: sandbox.Limits{CPU: 0.5}}, `out["quota"] = limit("cpu", "cpu.cfs_quota_us", "cpu.max")`)
	expect(t, got, map[string]string{"quota": "50000|50000 100000"})
}

// TestMemoryLeftBehind has an execution leave a file in memory, in a folder that
// outlives it. The next executions must not be charged for it.
func TestMemoryLeftBehind(t *testing.T) {
	m := detected()
	need(t, m, "memory limit", "filesystem")
	shared := dir(t)
	if err := unix.Mount("tmpfs", shared, "tmpfs", 0, "mode=777"); err != nil {
		t.Skip("this user cannot mount a folder in memory: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(shared, unix.MNT_DETACH) })
	limits := sandbox.Limits{Memory: 64 << 20}
	ask(t, m, sandbox.Policy{Writable: []string{shared}, Limits: limits}, `
with open(sys.argv[1] + "/left", "wb") as f: f.write(bytes(40 << 20))
`, shared)
	for range 3 {
		expect(t, ask(t, m, sandbox.Policy{Limits: limits}, `x = bytes(1) * (40 << 20); out["took"] = "ok"`), map[string]string{"took": "ok"})
	}
}
