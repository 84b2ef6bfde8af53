package sandbox_test

import (
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/qhubctl/qhubctl/internal/sandbox"
	"github.com/qhubctl/qhubctl/internal/sandbox/seccomp"
)

const (
	enotsup = "EOPNOTSUPP"
	// enotsupInside is the name in Python: the number has two names.
	enotsupInside = "ENOTSUP"
)

// TestTableInside makes every call that the table refuses with any arguments, by its
// number, and expects the error of the table. All arguments are 0, so that a call
// that gets through does nothing.
func TestTableInside(t *testing.T) {
	m := detected()
	need(t, m, "syscalls")
	arch, ok := seccomp.Native()
	if !ok {
		t.Skip("there is no filter for this architecture")
	}
	list, err := seccomp.Calls()
	if err != nil {
		t.Fatal(err)
	}
	want, numbers := map[string]string{}, map[string]int{}
	for _, c := range list {
		answer := c.Verdict
		switch answer {
		case "allow", "args", "ipc":
			continue
		case "zygote", "zygote-args":
			answer = "EPERM"
		case enotsup:
			answer = enotsupInside
		}
		if c.Numbers[arch] != seccomp.Absent {
			want[c.Name], numbers[c.Name] = answer, c.Numbers[arch]
		}
	}
	for _, unknown := range []int{472, 500, 1000, 4096, 1 << 29} {
		name := "unknown " + string(rune('a'+len(numbers)%26))
		want[name], numbers[name] = "ENOSYS", unknown
	}
	if len(want) < 80 {
		t.Fatalf("the table refuses %d calls, want more than 80", len(want))
	}
	argument, err := json.Marshal(numbers)
	if err != nil {
		t.Fatal(err)
	}
	got := ask(t, m, sandbox.Policy{}, `
for name, number in json.loads(sys.argv[1]).items():
    out[name] = call(number, 0, 0, 0, 0, 0, 0)
`, string(argument))
	expect(t, got, want)
}

// tried are attempts of executions on others, by calls that are allowed with other
// arguments.
const tried = `
import fcntl, termios, ctypes, threading, resource
own = open(sys.argv[1] + "/own", "wb+")
own.write(b"x" * 8192); own.flush()
inside = os.open(sys.argv[1], os.O_RDONLY)
def ioctl(request, size=128): fcntl.ioctl(own, request, bytearray(size))
for name, command, value in [
    ("F_SETLEASE", 1024, fcntl.F_RDLCK), ("F_GETLEASE", 1025, 0), ("F_NOTIFY", 1026, 1), ("F_SETOWN", 8, os.getpid()),
    ("F_SETOWN_EX", 15, 0), ("F_SETSIG", 10, 10), ("F_SETDELEG", 1040, 0),
]:
    out[name] = attempt(fcntl.fcntl, inside if name == "F_NOTIFY" else own, command, value)
for name, request in [
    ("FIOASYNC", 0x5452), ("FIOSETOWN", 0x8901), ("SIOCSPGRP", 0x8902), ("FS_IOC_SETFLAGS", 0x40086602),
    ("FS_IOC_FSSETXATTR", 0x401c5820), ("FS_IOC_RESVSP", 0x40305828), ("FS_IOC_RESVSP64", 0x4030582a),
    ("FS_IOC_ZERO_RANGE", 0x40305839), ("FICLONE", 0x40049409), ("FIDEDUPERANGE", 0xc0189436), ("FITRIM", 0xc0185879),
    ("TIOCSTI", termios.TIOCSTI), ("TIOCCONS", 0x541d), ("TIOCSETD", 0x5423),
]:
    out[name] = attempt(ioctl, request)
for mode in (0, 1, 0x10, 0x11, 0x20, 0x40):
    out["fallocate %#x" % mode] = call({"x86_64": 285}.get(os.uname().machine, 47), own.fileno(), mode, 0, 1 << 20)
out["punch a hole"] = call({"x86_64": 285}.get(os.uname().machine, 47), own.fileno(), 3, 0, 4096)
out["posix_fallocate"] = attempt(os.posix_fallocate, own.fileno(), 0, 1 << 16)
out["setxattr"] = attempt(os.setxattr, own.fileno(), "user.hoard", b"x" * 1024)
def prctl(option, value):
    if libc.prctl(option, ctypes.c_long(value), 0, 0, 0) < 0: raise OSError(ctypes.get_errno(), "prctl")
for name, option, value in [
    ("PR_SCHED_CORE", 62, 1), ("PR_SET_PTRACER", 0x59616d61, -1), ("PR_SET_MM", 35, 1), ("PR_SET_MEMORY_MERGE", 67, 1),
    ("PR_SET_IO_FLUSHER", 57, 1),
]:
    out[name] = attempt(lambda: prctl(option, value))
for name, family, kind, protocol in [
    ("SOCK_DIAG", socket.AF_NETLINK, socket.SOCK_RAW, 4), ("uevents", socket.AF_NETLINK, socket.SOCK_RAW, 15),
    ("audit", socket.AF_NETLINK, socket.SOCK_RAW, 9), ("connector", socket.AF_NETLINK, socket.SOCK_RAW, 11),
    ("generic", socket.AF_NETLINK, socket.SOCK_RAW, 16), ("SCTP", socket.AF_INET, socket.SOCK_STREAM, 132),
]:
    out[name] = attempt(lambda: socket.socket(family, kind, protocol).close())
out["huge pages"] = attempt(lambda: __import__("mmap").mmap(-1, 2 << 20, flags=0x40022))
out["merge"] = attempt(lambda: __import__("mmap").mmap(-1, 4096, flags=0x22).madvise(12))
`

var (
	refusedInside = map[string]string{
		"F_SETLEASE": "EPERM", "F_GETLEASE": "EPERM", "F_NOTIFY": "EPERM", "F_SETOWN": "EPERM", "F_SETOWN_EX": "EPERM", "F_SETSIG": "EPERM",
		"F_SETDELEG": "EPERM", "FIOASYNC": "EPERM", "FIOSETOWN": "EPERM", "SIOCSPGRP": "EPERM", "FS_IOC_SETFLAGS": "ENOTTY",
		"FS_IOC_FSSETXATTR": "ENOTTY", "FS_IOC_RESVSP": "ENOTTY", "FS_IOC_RESVSP64": "ENOTTY", "FS_IOC_ZERO_RANGE": "ENOTTY",
		"FICLONE": enotsupInside, "FIDEDUPERANGE": enotsupInside, "FITRIM": "ENOTTY", "TIOCSTI": "EPERM", "TIOCCONS": "EPERM", "TIOCSETD": "EPERM",
		"fallocate 0x0": enotsupInside, "fallocate 0x1": enotsupInside, "fallocate 0x10": enotsupInside, "fallocate 0x11": enotsupInside,
		"fallocate 0x20": enotsupInside, "fallocate 0x40": enotsupInside, "setxattr": enotsupInside,
		"PR_SCHED_CORE": "EINVAL", "PR_SET_PTRACER": "EINVAL", "PR_SET_MM": "EINVAL", "PR_SET_MEMORY_MERGE": "EINVAL", "PR_SET_IO_FLUSHER": "EINVAL",
		"SOCK_DIAG": "EPROTONOSUPPORT", "uevents": "EPROTONOSUPPORT", "audit": "EPROTONOSUPPORT", "connector": "EPROTONOSUPPORT",
		"generic": "EPROTONOSUPPORT", "SCTP": "EPROTONOSUPPORT", "huge pages": "ENOMEM", "merge": "EINVAL",
	}
	// The C library writes instead of reserving.
	allowedInside = map[string]string{"posix_fallocate": "ok", "punch a hole": "ok|" + enotsupInside}
)

func TestArgumentsInside(t *testing.T) {
	m := detected()
	need(t, m, "syscalls")
	for name, p := range map[string]sandbox.Policy{"alone": {}, "with forks": {Forks: closedDir(t)}} {
		t.Run(name, func(t *testing.T) {
			out := dir(t)
			p.Writable = []string{out}
			got := ask(t, m, p, tried, out)
			expect(t, got, refusedInside)
			expect(t, got, allowedInside)
		})
	}
}

// standing tries to change how processes are scheduled, itself and others.
const standing = `
import threading
numbers = {"x86_64": (251, 142, 144, 314, 203, 302, 141), "aarch64": (30, 118, 119, 274, 122, 261, 140)}[os.uname().machine]
ioprio, param, scheduler, attr, affinity, prlimit, priority = numbers
child = os.fork()
if child == 0: signal.pause()
buffers = [ctypes.create_string_buffer(b) for b in (b"\1" + bytes(127), bytes(64), b"\x40" + bytes(7) + b"\x40" + bytes(7), bytes(16))]
mask, zero, limits, answer = map(ctypes.addressof, buffers)
for who, pid in ("itself", 0), ("child", child), ("parent", os.getppid()), ("init", 1):
    out["affinity of " + who] = call(affinity, pid, 128, mask)
    out["policy of " + who] = call(scheduler, pid, 0, zero)
    out["parameters of " + who] = call(param, pid, zero)
    out["attributes of " + who] = call(attr, pid, zero, 0)
    out["input of " + who] = call(ioprio, 1, pid, 3 << 13)
    out["priority of " + who] = call(priority, 0, pid, 1)
    out["limits of " + who] = call(prlimit, pid, 7, limits, 0)
    out["question to " + who] = call(prlimit, pid, 7, 0, answer)
out["priority of the user"] = call(priority, 2, os.getuid(), 1)
out["priority of the group"] = call(priority, 1, 0, 1)
out["input of the user"] = call(ioprio, 3, os.getuid(), 3 << 13)
out["input of the group"] = call(ioprio, 2, 0, 3 << 13)
os.kill(child, signal.SIGKILL); os.waitpid(child, 0)
`

// TestScheduling: executions that share a user and a list of processes can change
// themselves alone; others also the processes that they have started.
func TestScheduling(t *testing.T) {
	m := detected()
	need(t, m, "syscalls")
	kinds := []string{"affinity", "policy", "parameters", "input", "priority", "limits"}
	t.Run("of forks", func(t *testing.T) {
		got := ask(t, m, sandbox.Policy{Forks: closedDir(t)}, standing)
		if held(m, "user") { // the kernel protects other users' processes
			for _, kind := range kinds {
				expect(t, got, map[string]string{kind + " of itself": "ok", kind + " of child": "ok", kind + " of parent": "EPERM", kind + " of init": "EPERM"})
			}
			return
		}
		want := map[string]string{"attributes of child": "EPERM", "attributes of parent": "EPERM", "attributes of init": "EPERM", "attributes of itself": "E2BIG|EINVAL|ok"}
		for _, kind := range kinds {
			want[kind+" of itself"] = "ok"
			for _, who := range []string{"child", "parent", "init"} {
				want[kind+" of "+who] = "EPERM"
			}
		}
		for _, name := range []string{"priority of the user", "priority of the group", "input of the user", "input of the group"} {
			want[name] = "EPERM"
		}
		want["question to child"] = "EPERM"
		expect(t, got, want)
	})
	t.Run("alone", func(t *testing.T) {
		need(t, m, "user", "processes")
		got := ask(t, m, sandbox.Policy{}, standing)
		want := map[string]string{}
		for _, kind := range kinds {
			want[kind+" of itself"], want[kind+" of child"] = "ok", "ok"
			// Its parent is the shim, which has another user.
			want[kind+" of parent"], want[kind+" of init"] = "EPERM", "EPERM"
		}
		expect(t, got, want)
	})
	t.Run("without a user and a list of processes", func(t *testing.T) {
		got := ask(t, bareLayers(m), sandbox.Policy{}, standing)
		expect(t, got, map[string]string{"affinity of itself": "ok", "affinity of parent": "EPERM", "priority of the user": "EPERM", "priority of child": "EPERM"})
	})
}

// TestForkFilter has a process install the filters of a zygote and of a fork, one
// after the other.
func TestForkFilter(t *testing.T) {
	m := detected()
	need(t, m, "syscalls")
	zygote, fork := m.ForkFilters(sandbox.Policy{})
	// Shorter than the first, because each fork has to install it.
	if len(fork) == 0 || len(fork)%8 != 0 || len(fork) > len(zygote)/4 {
		t.Fatalf("ForkFilters() = %d and %d bytes, want some and a quarter at most", len(zygote), len(fork))
	}
	expect(t, ask(t, m, sandbox.Policy{}, `
import subprocess, threading
class Filter(ctypes.Structure): _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
def enforce(text):
    program = bytes.fromhex(text)
    code = ctypes.create_string_buffer(program, len(program))
    if libc.prctl(22, 2, ctypes.byref(Filter(len(program) // 8, ctypes.addressof(code)))) != 0: raise OSError(ctypes.get_errno())
for text in sys.argv[1:]: enforce(text)
out["mount"] = "ok" if libc.mount(b"", b"/nowhere", b"", 0, None) == 0 else errno.errorcode[ctypes.get_errno()]
out["namespace"] = "ok" if libc.unshare(0x20000) == 0 else errno.errorcode[ctypes.get_errno()]
out["user namespace"] = "ok" if libc.unshare(0x10000000) == 0 else errno.errorcode[ctypes.get_errno()]
out["itself"] = attempt(os.setpriority, os.PRIO_PROCESS, 0, 1)
t = threading.Thread(target=lambda: out.__setitem__("thread", "ok")); t.start(); t.join()
out["child process"] = subprocess.run(["/bin/echo", "ok"], capture_output=True, text=True).stdout.strip()
`, hex.EncodeToString(zygote), hex.EncodeToString(fork)), map[string]string{
		"mount": "EPERM", "namespace": "EPERM", "user namespace": "EPERM", "itself": "ok", "thread": "ok", "child process": "ok",
	})
	if zygote, fork := m.Without("syscalls").ForkFilters(sandbox.Policy{}); zygote != nil || fork != nil {
		t.Errorf("ForkFilters without such filters = %d and %d bytes, want none", len(zygote), len(fork))
	}
}
