//go:build linux

package forkserver_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hostileImport misuses, during the import, the capabilities that the zygote has for its forks.
const hostileImport = `
import ctypes, errno, os, time
libc = ctypes.CDLL(None, use_errno=True)
seen = {}
def named(r):
    return errno.errorcode[ctypes.get_errno()] if r == -1 else "ok"
def attempt(f, *args):
    try:
        r = f(*args)
        return "ok" if r is None else str(r)
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
def read(path):
    with open(path, "rb") as f: return f.read().decode(errors="replace")
def uncover():
    # In namespaces that it may change.
    pid = os.fork()
    if pid == 0:
        shown = libc.unshare(0x20000) == 0 and any(libc.umount2(p.encode(), 2) == 0 for p in ("%[1]s", "%[2]s", "/run/executions", "/proc", "/etc/passwd", "/"))
        os._exit(1 if shown or attempt(read, "%[2]s") == "hidden" else 0)
    return "ok" if os.waitpid(pid, 0)[1] else "EINVAL"
seen["user namespace"] = named(libc.unshare(0x10000000))
seen["time namespace"] = named(libc.unshare(0x80))
seen["namespace of another"] = attempt(lambda: named(libc.setns(os.open("/proc/1/ns/mnt", os.O_RDONLY), 0)))
seen["uncover"] = uncover()
seen["root"] = attempt(os.setresuid, 0, 0, 0) if os.getuid() else "EINVAL"
seen["user of another"] = attempt(os.setresuid, os.getuid() + 256, -1, -1)
seen["group"] = attempt(os.setgroups, [os.getgid() + 256])
seen["environ of init"] = attempt(read, "/proc/1/environ")
seen["root of init"] = attempt(os.listdir, "/proc/1/root/")
seen["signal to init"] = attempt(os.kill, 1, 9)
seen["trace init"] = named(libc.ptrace(16, 1, 0, 0))
seen["hidden"] = attempt(read, "%[2]s")
seen["owner"] = attempt(os.chown, "/run", os.getuid(), -1)
seen["host name"] = named(libc.sethostname(b"x", 1))
seen["device"] = attempt(os.mknod, "/tmp/device", 0o600 | 0o060000, os.makedev(254, 0))
seen["clock"] = attempt(time.clock_settime, time.CLOCK_REALTIME, time.time())
seen["handle"] = named(libc.syscall(304, -100, None, 0))
def run(action: str) -> dict:
    return {**seen, "capabilities": [l.split()[1].strip("0") for l in open("/proc/self/status") if l.startswith("Cap")]}
`

// TestHostileImport has an import try to misuse the capabilities that the zygote has
// for its forks.
func TestHostileImport(t *testing.T) {
	if err := machine().RequireForks(); err != nil {
		t.Skip("this machine does not keep forks apart: ", err)
	}
	hidden := t.TempDir()
	secret := filepath.Join(hidden, "secret.txt")
	if err := os.WriteFile(secret, []byte("hidden"), 0o644); err != nil {
		t.Fatal(err)
	}
	sb := confined()
	sb.Policy.Hidden, sb.Policy.Readable = []string{hidden}, []string{filepath.Dir(hidden)}
	r := prepared(t, written(t, fmt.Sprintf(hostileImport, hidden, secret), sb))
	defer func() { _ = r.Close() }()
	got := do(t, r, "tell")
	init := "EPERM"
	if os.Geteuid() != 0 {
		init = "EPERM|ok" // of the same user; it ends only the import itself
	}
	for key, want := range map[string]string{
		"user namespace": "EPERM", "time namespace": "EPERM", "namespace of another": "EPERM|EACCES|ENOENT", "uncover": "EINVAL", "root": "EINVAL|EPERM",
		"user of another": "EINVAL|EPERM", "group": "EINVAL|EPERM", "environ of init": "EACCES|EPERM|ENOENT", "root of init": "EACCES|EPERM|ENOENT",
		"signal to init": init, "trace init": "EPERM", "hidden": "EACCES|ENOENT", "owner": "EPERM|EROFS", "host name": "EPERM", "device": "EPERM",
		"clock": "EPERM", "handle": "EPERM|EBADF",
	} {
		if value, _ := got.value[key].(string); !slices.Contains(strings.Split(want, "|"), value) {
			t.Errorf("%s: %q, want %s", key, value, want)
		}
	}
	if held := fmt.Sprint(got.value["capabilities"]); held != "[    ]" {
		t.Errorf("a fork has the capabilities %q, want none\n%s", held, got.stderr)
	}
	pid := r.Program().State().Pid
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"CapBnd:": "0000000000000000", "CapAmb:": "0000000000000000", "CapPrm:": "0000000000200000"} // CAP_SYS_ADMIN
	if os.Geteuid() == 0 {
		want["CapPrm:"] = "00000000002000e0" // and CAP_SETUID, CAP_SETGID, CAP_KILL
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); want[fields[0]] != "" && fields[1] != want[fields[0]] {
			t.Errorf("the zygote has %s %s, want %s", fields[0], fields[1], want[fields[0]])
		}
	}
}
