package sandbox_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox"
)

func TestFilesystem(t *testing.T) {
	each(t, func(t *testing.T, m *sandbox.Machine) {
		if !held(m, "filesystem") {
			need(t, m, "landlock")
		}
		dir := dir(t)
		code, output, platform := filepath.Join(dir, "code"), filepath.Join(dir, "output"), filepath.Join(dir, "platform")
		writeFile(t, filepath.Join(code, "program.py"), "code", 0o644)
		writeFile(t, filepath.Join(code, ".env"), "secret", 0o644)
		writeFile(t, filepath.Join(code, ".git", "config"), "secret", 0o644)
		writeFile(t, filepath.Join(platform, "key"), "secret", 0o644)
		linked := writeFile(t, filepath.Join(code, "secrets", "env"), "secret", 0o644)
		if err := os.Symlink(linked, filepath.Join(code, ".env.local")); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(output, "given"), "given", 0o644)
		orphan := writeFile(t, filepath.Join(os.TempDir(), fmt.Sprintf("sandbox-orphan-%d", os.Getpid())), "of another", 0o666)
		t.Cleanup(func() { _ = os.Remove(orphan) })
		got := ask(t, m, sandbox.Policy{
			Readable: []string{code},
			Writable: []string{output},
			Hidden:   []string{filepath.Join(code, ".env"), filepath.Join(code, ".env.local"), filepath.Join(code, ".git"), platform},
		}, `
code, output, platform, orphan = sys.argv[1:]
out["read code"] = attempt(read, code + "/program.py")
out["write code"] = attempt(write, code + "/program.py")
out["new code"] = attempt(write, code + "/new.py")
out["read .env"] = attempt(read, code + "/.env")
out["read a link"] = attempt(read, code + "/.env.local")
out["read a linked file"] = attempt(read, code + "/secrets/env")
out["read .git"] = attempt(read, code + "/.git/config")
out["list .git"] = attempt(os.listdir, code + "/.git")
out["read platform"] = attempt(read, platform + "/key")
out["read orphan"] = attempt(read, orphan)
out["write orphan"] = attempt(write, orphan)
out["write output"] = attempt(write, output + "/result")
out["read given"] = attempt(read, output + "/given")
os.symlink(platform + "/key", output + "/link")
out["through a link"] = attempt(read, output + "/link")
out["up and over"] = attempt(read, output + "/../platform/key")
out["by the root of init"] = attempt(read, "/proc/1/root" + platform + "/key")
out["by cwd"] = attempt(read, "/proc/self/cwd" + platform + "/key")
out["hard link"] = attempt(os.link, code + "/.env", output + "/hard")
out["hard link of code"] = attempt(os.link, code + "/program.py", output + "/hard2")
out["write /etc"] = attempt(write, "/etc/hosts")
out["write /usr"] = attempt(write, "/usr/new")
out["write /"] = attempt(write, "/new")
out["write /proc/sys"] = attempt(write, "/proc/sys/kernel/core_pattern")
out["write /sys"] = attempt(write, "/sys/kernel/mm/transparent_hugepage/enabled")
out["read shadow"] = attempt(read, "/etc/shadow")
out["own memory"] = attempt(lambda: open("/proc/self/mem", "r+b").close())
out["disk"] = attempt(read, "/dev/vda")
out["a device"] = attempt(os.mknod, output + "/disk", 0o600 | 0o060000, os.makedev(254, 0))
out["a socket to nowhere"] = attempt(write, "/dev/null")
`, code, output, platform, orphan)
		no := "ENOENT|EACCES|EROFS|EPERM"
		expect(t, got, map[string]string{
			"read code": "code", "read given": "given", "write output": "ok", "a socket to nowhere": "ok",
			"write code": no, "new code": no, "read .env": no, "read a link": no, "read a linked file": no, "read .git": no, "list .git": no, "read platform": no,
			"read orphan": no, "through a link": no, "up and over": no, "by the root of init": no, "by cwd": no,
			"hard link": no + "|EXDEV", "hard link of code": no + "|EXDEV", "write /etc": no, "write /usr": no, "write /": no,
			"write /proc/sys": no, "write /sys": no, "read shadow": no, "disk": no, "a device": no,
		})
		if held(m, "filesystem") { // the SDKs overwrite secrets there
			expect(t, got, map[string]string{"own memory": "ok"})
		}
		if text, err := os.ReadFile(orphan); err != nil || string(text) != "of another" {
			t.Errorf("a file in /tmp of the machine holds %q (%v), want it unchanged", text, err)
		}
		info, err := os.Stat(filepath.Join(output, "result"))
		if err != nil {
			t.Fatal(err)
		}
		if stat := info.Sys().(*syscall.Stat_t); held(m, "user") == (int(stat.Uid) == os.Geteuid()) {
			t.Errorf("the result belongs to user %d, want that of the execution", stat.Uid)
		}
	})
}

// TestInsideHidden shows a folder among those of others.
func TestInsideHidden(t *testing.T) {
	each(t, func(t *testing.T, m *sandbox.Machine) {
		if !held(m, "filesystem") {
			need(t, m, "landlock")
		}
		dir := dir(t)
		writeFile(t, filepath.Join(dir, "data", "key"), "secret", 0o644)
		writeFile(t, filepath.Join(dir, "data", "work", "other", "secret"), "secret", 0o644)
		writeFile(t, filepath.Join(dir, "data", "bin", "program"), "code", 0o644)
		own := filepath.Dir(writeFile(t, filepath.Join(dir, "data", "work", "own", "input"), "mine", 0o644))
		got := ask(t, m, sandbox.Policy{
			Readable: []string{dir, filepath.Join(dir, "data", "bin", "program")},
			Hidden:   []string{filepath.Join(dir, "data")},
			Writable: []string{own},
		}, `
data = sys.argv[1] + "/data"
out["key"] = attempt(read, data + "/key")
out["other"] = attempt(read, data + "/work/other/secret")
out["program"] = attempt(read, data + "/bin/program")
out["input"] = attempt(read, data + "/work/own/input")
out["output"] = attempt(write, data + "/work/own/output")
out["beside"] = attempt(write, data + "/work/new")
out["change"] = attempt(os.chmod, data, 0o777)
`, dir)
		no := "ENOENT|EACCES|EROFS|EPERM"
		expect(t, got, map[string]string{
			"key": no, "other": no, "program": "code", "input": "mine", "output": "ok", "beside": no,
		})
		if held(m, "filesystem") { // Landlock ignores modes
			expect(t, got, map[string]string{"change": no})
		}
	})
}

func TestPrivateTemp(t *testing.T) {
	m := detected()
	need(t, m, "filesystem")
	script := `
for name in "/tmp/mine", "/var/tmp/mine2", "/dev/shm/mine3":
    out[name] = attempt(lambda: os.close(os.open(name, os.O_CREAT | os.O_EXCL)))
out["entries"] = str(sorted(os.listdir("/tmp")))
flags = os.statvfs("/tmp").f_flag
out["flags"] = str(bool(flags & os.ST_NOSUID and flags & os.ST_NODEV))
`
	for range 2 { // the second must find no file of the first
		expect(t, ask(t, m, sandbox.Policy{}, script), map[string]string{
			"/tmp/mine": "ok", "/var/tmp/mine2": "ok", "/dev/shm/mine3": "ok", "flags": "True",
			"entries": "['mine', 'mine2', 'mine3']",
		})
	}
	if _, err := os.Stat("/tmp/mine"); err == nil {
		t.Error("the file is in the /tmp of the machine")
	}
}

// TestOwners runs code that only the server's user can read.
func TestOwners(t *testing.T) {
	m := detected()
	need(t, m, "user", "owners", "filesystem")
	dir := dir(t)
	code := writeFile(t, filepath.Join(dir, "locked", "program.sh"), "echo run by $(id -u)", 0o600)
	if err := os.Chmod(filepath.Dir(code), 0o700); err != nil {
		t.Fatal(err)
	}
	r := run(t, m, sandbox.Policy{Readable: []string{filepath.Dir(code)}}, "/bin/sh", code)
	uid := strings.TrimPrefix(strings.TrimSpace(r.stdout), "run by ")
	if n, err := strconv.Atoi(uid); err != nil || n == os.Geteuid() {
		t.Errorf("the service says %q and %q, want another user than the server's", r.stdout, r.stderr)
	}
}

func TestUsersDiffer(t *testing.T) {
	m := detected()
	need(t, m, "user")
	start := func() (*sandbox.Process, *os.File) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", "id -u; exec sleep 60")
		cmd.Dir, cmd.Env, cmd.Stdout = "/", []string{"PATH=/usr/bin:/bin"}, w
		c, err := m.Start(cmd, sandbox.Policy{})
		_ = w.Close()
		if err != nil {
			t.Fatal(err)
		}
		return c, r
	}
	a, fromA := start()
	b, fromB := start()
	var bufA, bufB [64]byte
	nA, _ := fromA.Read(bufA[:])
	nB, _ := fromB.Read(bufB[:])
	if nA == 0 || string(bufA[:nA]) == string(bufB[:nB]) {
		t.Errorf("two executions at once run as %q and %q, want different users", bufA[:nA], bufB[:nB])
	}
	for _, c := range []*sandbox.Process{a, b} {
		c.Kill()
		if _, err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	_, _ = fromA.Close(), fromB.Close()
}

func TestPrivileges(t *testing.T) {
	each(t, func(t *testing.T, m *sandbox.Machine) {
		t.Setenv("CANARY", "of the server")
		got := ask(t, m, sandbox.Policy{}, `
for line in open("/proc/self/status"):
    name, value = line.strip().split(":", 1)
    out[name] = value.strip()
import resource
out["core"] = str(resource.getrlimit(resource.RLIMIT_CORE))
out["descriptors"] = str(sorted(int(n) for n in os.listdir("/proc/self/fd"))[:-1])
out["environment"] = os.environ.get("CANARY")
out["setuid"] = attempt(os.setuid, 0)
out["lower nice"] = attempt(os.nice, -5)
`)
		want := map[string]string{
			"CapInh": "0000000000000000", "CapPrm": "0000000000000000", "CapEff": "0000000000000000", "CapAmb": "0000000000000000",
			"NoNewPrivs": "1", "core": "(0, 0)", "descriptors": "[0, 1, 2]", "environment": "inside", "lower nice": "EPERM|EACCES",
		}
		if held(m, "syscalls") {
			want["Seccomp"] = "2"
		}
		if held(m, "user") {
			want["setuid"] = "EPERM"
			if strings.HasPrefix(got["Uid"], "0\t") {
				t.Errorf("the user is %s, want any but root", got["Uid"])
			}
		}
		if os.Geteuid() == 0 || held(m, "processes") { // else it cannot drop any, and no_new_privs suffices
			want["CapBnd"] = "0000000000000000"
		}
		expect(t, got, want)
	})
}

func TestServerUnreachable(t *testing.T) {
	each(t, func(t *testing.T, m *sandbox.Machine) {
		if !held(m, "processes") {
			need(t, m, "landlock")
		}
		got := ask(t, m, sandbox.Policy{}, `
server = int(sys.argv[1])
for name in "environ", "maps", "mem", "fd/0", "cwd/etc", "root/etc":
    out[name] = attempt(lambda: os.close(os.open("/proc/%d/%s" % (server, name), os.O_RDONLY)))
out["signal"] = attempt(os.kill, server, 0)
out["ptrace"] = attempt(lambda: call(101, 16, server, 0, 0))
out["pidfd"] = call(434, server, 0) if sys.argv[2] == "hidden" else "ESRCH"
`, strconv.Itoa(os.Getpid()), map[bool]string{true: "hidden"}[held(m, "processes")])
		no := "ENOENT|EACCES|EPERM|ESRCH"
		expect(t, got, map[string]string{
			"environ": no, "maps": no, "mem": no, "fd/0": no, "cwd/etc": no, "root/etc": no, "signal": no, "ptrace": no, "pidfd": "ESRCH",
		})
	})
}

func TestSyscalls(t *testing.T) {
	m := detected()
	need(t, m, "syscalls")
	if unix.SYS_UNSHARE != 272 {
		t.Skip("the numbers in this test are those of amd64")
	}
	got := ask(t, m, sandbox.Policy{}, `
for name, number, *args in [
    ("unshare", 272, 0x10000000), ("setns", 308, 0, 0), ("mount", 165, 0, 0, 0, 0, 0), ("umount", 166, 0, 0),
    ("pivot_root", 155, 0, 0), ("ptrace", 101, 0, 0, 0, 0), ("process_vm_readv", 310, 1, 0, 0, 0, 0, 0),
    ("process_vm_writev", 311, 1, 0, 0, 0, 0, 0), ("kexec_load", 246, 0, 0, 0, 0), ("init_module", 175, 0, 0, 0),
    ("bpf", 321, 0, 0, 0), ("perf_event_open", 298, 0, 0, 0, 0, 0), ("userfaultfd", 323, 0), ("keyctl", 250, 0, 0, 0, 0, 0),
    ("add_key", 248, 0, 0, 0, 0, 0), ("request_key", 249, 0, 0, 0, 0), ("open_by_handle_at", 304, 0, 0, 0),
    ("clock_settime", 227, 0, 0), ("settimeofday", 164, 0, 0), ("reboot", 169, 0, 0, 0, 0), ("swapon", 167, 0, 0),
    ("clone of a user namespace", 56, 0x10000000 | 17, 0, 0, 0, 0), ("chroot", 161, 0), ("move_mount", 429, 0, 0, 0, 0, 0),
    ("open_tree", 428, 0, 0, 0), ("fsopen", 430, 0, 0), ("mount_setattr", 442, 0, 0, 0, 0, 0),
]:
    out[name] = call(number, *args)
out["clone3"] = call(435, 0, 0)
out["io_uring"] = call(425, 1, 0)
out["x32"] = call(0x40000000 | 39)
out["vsock"] = call(41, 40, 1, 0)
out["crypto"] = call(41, 38, 5, 0)
out["packet"] = call(41, 17, 3, 0)
out["high bits"] = call(41, 40 | 1 << 32, 1, 0)
out["unix"] = attempt(lambda: socket.socketpair()[0].close())
# getpid by the gate for 32 bits, where its number is 20
import mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
gate = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
result = gate()
out["32 bits"] = errno.errorcode.get(-result, "went through")
import threading, subprocess
t = threading.Thread(target=lambda: out.__setitem__("thread", "ok")); t.start(); t.join()
out["child"] = subprocess.run(["/bin/echo", "ok"], capture_output=True, text=True).stdout.strip()
`)
	for name, answer := range got {
		switch name {
		case "clone3", "io_uring", "x32", "32 bits":
			expect(t, got, map[string]string{name: "ENOSYS"})
		case "vsock", "crypto", "packet", "high bits":
			expect(t, got, map[string]string{name: "EAFNOSUPPORT"})
		case "unix", "thread", "child":
			expect(t, got, map[string]string{name: "ok"})
		default:
			if answer != "EPERM" {
				t.Errorf("%s answers %s, want EPERM", name, answer)
			}
		}
	}
}

func TestNetwork(t *testing.T) {
	m := detected()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	abstract := fmt.Sprintf("sandbox-test-%d", os.Getpid())
	local, err := new(net.ListenConfig).Listen(t.Context(), "unix", "@"+abstract)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = local.Close() }()
	script := `
port, abstract = int(sys.argv[1]), sys.argv[2]
def dial(family, address):
    with socket.socket(family) as s: s.settimeout(5); s.connect(address)
def own():
    with socket.create_server(("127.0.0.1", 0)) as s: dial(socket.AF_INET, s.getsockname())
out["server"] = attempt(dial, socket.AF_INET, ("127.0.0.1", port))
out["own"] = attempt(own)
out["abstract"] = attempt(dial, socket.AF_UNIX, "\0" + abstract)
`
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	for _, test := range []struct {
		network sandbox.Network
		want    map[string]string
	}{
		{sandbox.NetworkFull, map[string]string{"server": "ok", "own": "ok"}},
		{sandbox.NetworkLoopback, map[string]string{"server": "ECONNREFUSED", "own": "ok", "abstract": "ECONNREFUSED|EPERM"}},
		{sandbox.NetworkNone, map[string]string{"server": "EAFNOSUPPORT", "own": "EAFNOSUPPORT", "abstract": "ECONNREFUSED|EPERM"}},
	} {
		t.Run("network "+string(test.network), func(t *testing.T) {
			if !m.Network(test.network) {
				t.Skip("this machine cannot hold it")
			}
			if test.network == sandbox.NetworkFull && held(m, "landlock") {
				test.want["abstract"] = "EPERM"
			}
			expect(t, ask(t, m, sandbox.Policy{Network: test.network}, script, port, abstract), test.want)
		})
	}
	t.Run("refused where it cannot be held", func(t *testing.T) {
		_, err := bareLayers(m).Start(exec.CommandContext(t.Context(), "/bin/true"), sandbox.Policy{Network: sandbox.NetworkLoopback})
		if _, ok := errors.AsType[*sandbox.StartError](err); !ok {
			t.Errorf("Start(loopback without namespaces) = %v, want a StartError", err)
		}
	})
}

func TestSharedMemory(t *testing.T) {
	m := detected()
	need(t, m, "ipc")
	script := `
out["new"] = str(libc.shmget(0x51aB, 4096, 0o1000 | 0o2000 | 0o666) >= 0)  # IPC_CREAT | IPC_EXCL
out["queue"] = str(libc.msgget(0x51aB, 0o1000 | 0o2000 | 0o666) >= 0)
`
	for range 2 { // the second must not find that of the first
		expect(t, ask(t, m, sandbox.Policy{}, script), map[string]string{"new": "True", "queue": "True"})
	}
}
