//go:build linux

package forkserver_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// shared are imports that leave something that forks would share or lack, and a part of
// the reason for the cold start.
var shared = map[string]struct{ text, reason string }{
	"an unnamed file":        {"import tempfile\nkept = tempfile.TemporaryFile()", "a file without a name"},
	"a named file":           {"import tempfile\nkept = tempfile.NamedTemporaryFile()", "for writing"},
	"a file to append to":    {"import os, tempfile\nkept = open(os.path.join(tempfile.gettempdir(), 'log'), 'a')", "for writing"},
	"a log file":             {"import logging, os, tempfile\nlogging.basicConfig(filename=os.path.join(tempfile.gettempdir(), 'log'))", "for writing"},
	"a database":             {"import os, sqlite3, tempfile\nkept = sqlite3.connect(os.path.join(tempfile.gettempdir(), 'db'))\nkept.execute('create table t (a)')", "for writing"},
	"a lock of a file":       {"import fcntl\nkept = open(__file__)\nfcntl.flock(kept, fcntl.LOCK_SH)", "locked"},
	"a lock of a stream":     {"import fcntl\nfcntl.flock(0, fcntl.LOCK_SH)", "locks a standard stream"},
	"a lock of the output":   {"import fcntl\nfcntl.flock(1, fcntl.LOCK_EX)", "locks a standard stream"},
	"a lock of a device":     {"import fcntl\nkept = open('/dev/urandom')\nfcntl.flock(kept, fcntl.LOCK_SH)", "locked"},
	"a file of the system":   {"kept = open('/proc/self/stat')", "/proc/"},
	"a pipe":                 {"import os\nkept = os.pipe()", "a pipe"},
	"an unfinished event":    {"import os\nkept = os.eventfd(0) if hasattr(os, 'eventfd') else os.pipe()", "open (descriptor"},
	"an event loop":          {"import asyncio\nkept = asyncio.new_event_loop()", "an event queue"},
	"a memory file":          {"import os\nkept = os.memfd_create('kept')", "shared memory"},
	"a terminal":             {"import os\nkept = os.openpty() if os.path.exists('/dev/ptmx') else os.pipe()", "open (descriptor"},
	"a handle of a process":  {"import os\nkept = os.pidfd_open(os.getpid())", "a handle of a process"},
	"a watch for files":      {"import ctypes\nkept = ctypes.CDLL(None).inotify_init()\nif kept < 0: import socket; kept = socket.socket()", "open (descriptor"},
	"another output":         {"import os\nos.dup2(os.open(os.devnull, os.O_WRONLY), 1)", "replaces a standard stream"},
	"anonymous memory":       {"import mmap\nkept = mmap.mmap(-1, 4096)", "memory that its forks would share"},
	"memory of a file":       {"import mmap, os, tempfile\nfd, _ = tempfile.mkstemp()\nos.truncate(fd, 4096)\nkept = mmap.mmap(fd, 4096)\nos.close(fd)", "for writing"},
	"memory of a closed one": {"import ctypes, os, tempfile\nfd, _ = tempfile.mkstemp()\nos.truncate(fd, 4096)\nmap = ctypes.CDLL(None).mmap\nmap.restype = ctypes.c_void_p\nassert map(None, ctypes.c_size_t(4096), 1, 1, fd, ctypes.c_long(0)) != 2**64-1\nos.close(fd)", "memory that its forks would share"},
	"a shared value":         {"import multiprocessing\nkept = multiprocessing.Value('i')", "leaves"},
	"a shared array":         {"import multiprocessing\nkept = multiprocessing.Array('i', 3)", "leaves"},
	"a shared raw array":     {"import multiprocessing.sharedctypes\nkept = multiprocessing.sharedctypes.RawArray('i', 3)", "leaves"},
	"a lock of processes":    {"import multiprocessing\nkept = multiprocessing.Lock()", "memory that its forks would share"},
	"a semaphore":            {"import multiprocessing\nkept = multiprocessing.BoundedSemaphore(2)", "memory that its forks would share"},
	"an event of processes":  {"import multiprocessing\nkept = multiprocessing.Event()", "memory that its forks would share"},
	"a queue":                {"import multiprocessing\nkept = multiprocessing.Queue()", "a pipe"},
	"a simple queue":         {"import multiprocessing\nkept = multiprocessing.SimpleQueue()", "a pipe"},
	"a block of memory":      {"import multiprocessing.shared_memory\nkept = multiprocessing.shared_memory.SharedMemory(create=True, size=64)", "leaves"},
	"a pool of processes":    {"import multiprocessing\nkept = multiprocessing.Pool(1)", "thread"},
	"a process":              {"import subprocess\nkept = subprocess.Popen(['sleep', '600'])", "a process: sleep"},
	"a process that ended":   {"import os, subprocess\nkept = subprocess.Popen(['true'])\nos.waitid(os.P_PID, kept.pid, os.WEXITED | os.WNOWAIT)", "a process"},
	"a daemon":               {"import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: os.execlp('sleep', 'sleep', '600')\n    os._exit(0)\nos.wait()", "a process"},
	"a timer":                {"import signal\nsignal.setitimer(signal.ITIMER_REAL, 600)", "a timer"},
	"an alarm":               {"import signal\nsignal.alarm(600)", "a timer"},
	"a native timer":         {"import ctypes\nkept = ctypes.c_void_p()\nassert ctypes.CDLL(None).timer_create(1, None, ctypes.byref(kept)) == 0", "a timer"},
	"a pending signal":       {"import os, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})\nos.kill(os.getpid(), signal.SIGUSR1)", "a signal"},
	"ignored children":       {"import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)", "ignores SIGCHLD"},
	"blocked children":       {"import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})", "blocks SIGCHLD"},
	"a pipe with a name":     {"import os, tempfile\nos.mkfifo(os.path.join(tempfile.mkdtemp(), 'pipe'))", "a pipe or a device"},
	"too large a file":       {"import os, tempfile\nfd, _ = tempfile.mkstemp()\nos.truncate(fd, 65 << 20)\nos.close(fd)", "more files than are copied"},
	"too many files":         {"import os, tempfile\nfolder = tempfile.mkdtemp()\nfor n in range(10001): os.mkdir(f'{folder}/{n}')", "more files than are copied"},
	"a removed folder":       {"import os, tempfile\nfolder = tempfile.mkdtemp()\nos.chdir(folder)\nos.rmdir(folder)", "a folder that was removed"},
}

func TestColdWhereForksWouldShare(t *testing.T) { each(t, testColdWhereForksWouldShare) }

func testColdWhereForksWouldShare(t *testing.T, sb *process.Sandbox) {
	for name, c := range shared {
		t.Run(name, func(t *testing.T) {
			o := written(t, c.text+"\n"+trivial, sb)
			r := forkserver.NewRunner(o)
			defer func() { _ = r.Close() }()
			if err := r.Program().Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			if state := r.Program().State(); state.Warm || !strings.Contains(state.Reason, c.reason) {
				t.Errorf("the service starts %+v; want cold for %q", state, c.reason)
			}
		})
	}
}

// reopened are imports that keep something open that each fork gets fresh.
var reopened = map[string]string{
	"a file": `
kept = open(__file__)
kept.readline()
def look(): return kept.read()`,
	"a file without a buffer": `
kept = open(__file__, "rb", buffering=0)
kept.seek(9)
def look(): return kept.read(20).decode()`,
	"a descriptor twice": `
import os
kept = os.open(__file__, os.O_RDONLY)
same, other = os.dup(kept), os.open(__file__, os.O_RDONLY)
os.set_inheritable(same, True)
os.lseek(kept, 3, os.SEEK_SET)
def look():
    os.lseek(kept, 2, os.SEEK_CUR)
    return [os.lseek(fd, 0, os.SEEK_CUR) for fd in (kept, same, other)] + [os.get_inheritable(fd) for fd in (kept, same)]`,
	"an archive": `
import tempfile, zipfile
packed = tempfile.SpooledTemporaryFile()
with zipfile.ZipFile(packed, "w") as archive:
    archive.writestr("a", "first" * 3000)
    archive.writestr("b", "second" * 3000)
kept = zipfile.ZipFile(packed)
def look(): return [kept.read("a").decode(), kept.read("b").decode()]`,
	"memory of a file": `
import mmap
with open(__file__, "rb") as file:
    kept = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
def look(): return kept.readline().decode() + kept.readline().decode()`,
	"a copy of a file in memory": `
import mmap
with open(__file__, "rb") as file:
    kept = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
def look():
    before = kept[:5].decode()
    kept[:5] = b"xxxxx"
    return before`,
	"a folder": `
import os
kept = os.open(os.path.dirname(__file__), os.O_RDONLY)
def look(): return sorted(os.listdir(kept))`,
	"a place": `
import os
kept = os.open(os.path.dirname(__file__), os.O_PATH)
def look(): return os.path.exists(f"/proc/self/fd/{kept}/program.py")`,
	"devices": `
kept = open("/dev/urandom", "rb", buffering=0)
null = open("/dev/null", "w")
def look(): return [len(kept.read(8)), null.write("gone")]`,
	"the standard input": `
import fcntl, os
def look():
    flags = fcntl.fcntl(0, fcntl.F_GETFL)
    locked = "lock" in open("/proc/self/fdinfo/0").read()
    fcntl.fcntl(0, fcntl.F_SETFL, flags | os.O_APPEND)
    fcntl.flock(0, fcntl.LOCK_SH)
    return [flags & (os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK), locked, os.get_inheritable(0), os.readlink("/proc/self/fd/0")]`,
	"the standard input with flags": `
import fcntl, os
fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_NONBLOCK)
def look(): return fcntl.fcntl(0, fcntl.F_GETFL) & (os.O_ACCMODE | os.O_NONBLOCK)`,
	"flags and locks of devices": `
import fcntl, os
kept = [os.open("/dev/urandom", os.O_RDONLY), os.open("/dev/null", os.O_RDWR), os.dup(0)]
os.set_inheritable(kept[1], True)
def look():
    seen = []
    for fd in kept:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        seen.append([flags & (os.O_ACCMODE | os.O_APPEND), "lock" in open(f"/proc/self/fdinfo/{fd}").read(), os.get_inheritable(fd)])
        fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_APPEND)
        fcntl.flock(fd, fcntl.LOCK_SH)
    return seen`,
	"a database in memory": `
import sqlite3
kept = sqlite3.connect(":memory:")
kept.execute("create table t (a)")
def look():
    kept.execute("insert into t values (1)")
    return kept.execute("select count(*) from t").fetchall()`,
	"a lock of threads": `
import threading
kept = threading.Lock()
def look(): return kept.acquire(timeout=1)`,
	"a handler of a signal": `
import signal
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append("handled"))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
def look():
    signal.raise_signal(signal.SIGUSR1)
    return got + sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))`,
}

const looks = "\ndef run(action: str) -> dict:\n    return {'seen': look()}\n"

func TestForksHaveTheirOwn(t *testing.T) { each(t, testForksHaveTheirOwn) }

func testForksHaveTheirOwn(t *testing.T, sb *process.Sandbox) {
	for name, text := range reopened {
		t.Run(name, func(t *testing.T) {
			o := written(t, text+looks, sb)
			o.Spares = 1
			r := prepared(t, o)
			defer func() { _ = r.Close() }()
			want := do(t, cold(o), "x")
			if want.value["seen"] == nil {
				t.Fatal(want.stderr)
			}
			for range 3 {
				if got := do(t, r, "x"); !reflect.DeepEqual(got.value, want.value) || got.stderr != want.stderr {
					t.Errorf("an execution sees %v %s, want %v as cold", got.value, got.stderr, want.value)
				}
			}
		})
	}
}

// TestTemporaryFolderOfTheService: a temporary folder that the service sets at import stays.
func TestTemporaryFolderOfTheService(t *testing.T) { each(t, testTemporaryFolderOfTheService) }

func testTemporaryFolderOfTheService(t *testing.T, sb *process.Sandbox) {
	if sb == nil && os.Geteuid() != 0 {
		t.Skip("forks can have no copies of files")
	}
	for name, c := range map[string]struct {
		text string
		own  bool
	}{
		"set":     {"tempfile.tempdir = tempfile.mkdtemp()", true},
		"default": {"tempfile.gettempdir()", false},
		"unused":  {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := prepared(t, written(t, "import os, tempfile\n"+c.text+`
kept = tempfile.tempdir
def look():
    with tempfile.NamedTemporaryFile() as file:
        folder = os.path.dirname(file.name)
    return [folder == kept, folder == os.path.abspath(os.environ["TMPDIR"])]
`+looks, sb))
			defer func() { _ = r.Close() }()
			want := []any{c.own || sb != nil && name == "default", !c.own}
			if got := do(t, r, "x"); !reflect.DeepEqual(got.value["seen"], want) {
				t.Errorf("a temporary file lies in the folder [of the import, of the execution] %v; want %v\n%s", got.value["seen"], want, got.stderr)
			}
		})
	}
}

// made are imports that make files, and the files that an execution finds and leaves.
var made = map[string]string{
	"a folder": `
import pathlib, tempfile
WORK = pathlib.Path(tempfile.mkdtemp())
(WORK / "given").write_text("by import")
def look():
    seen = sorted((path.name, path.read_text(), oct(path.stat().st_mode)) for path in WORK.iterdir())
    (WORK / "token").write_text("of one execution")
    (WORK / "given").write_text("changed")
    return seen`,
	"a folder that is removed at exit": `
import atexit, os, shutil, tempfile
WORK = tempfile.mkdtemp()
atexit.register(shutil.rmtree, WORK)
def look():
    seen = os.listdir(WORK)
    open(os.path.join(WORK, "token"), "w").close()
    return seen`,
	"a temporary folder": `
import os, tempfile
WORK = tempfile.TemporaryDirectory()
def look():
    seen = os.listdir(WORK.name), oct(os.stat(WORK.name).st_mode)
    open(os.path.join(WORK.name, "token"), "w").close()
    return list(seen)`,
	"a tree": `
import os, tempfile
WORK = tempfile.mkdtemp()
os.makedirs(WORK + "/one/two/three")
open(WORK + "/one/file", "w").write("text")
os.link(WORK + "/one/file", WORK + "/one/two/same")
os.symlink("one/file", WORK + "/link")
os.symlink("nowhere", WORK + "/broken")
os.chmod(WORK + "/one/file", 0o640)
os.utime(WORK + "/one/file", (1e9, 1e9))
os.chmod(WORK + "/one/two", 0o500)
os.utime(WORK + "/one/two", (1e9, 1e9))
def look():
    found = []
    for folder, folders, files in os.walk(WORK):
        for name in folders + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            time = status.st_mtime if status.st_mtime == 1e9 else 0
            found.append([path[len(WORK):], oct(status.st_mode), time, status.st_uid == os.getuid()])
    found.append(os.path.samefile(WORK + "/one/file", WORK + "/one/two/same"))
    open(WORK + "/link", "a").write("changed")
    return [sorted(map(str, found)), open(WORK + "/one/two/same").read()]`,
	"the current folder": `
import os, tempfile
WORK = tempfile.mkdtemp()
os.chdir(WORK)
def look():
    seen = os.listdir(".")
    open("token", "w").close()
    return [seen, os.getcwd() == os.path.realpath(WORK), os.listdir(WORK)]`,
	"a file that stays open": `
import os, tempfile
fd, path = tempfile.mkstemp()
os.write(fd, b"of the import")
os.close(fd)
kept = open(path)
kept.read(3)
def look():
    with open(path, "a") as file:
        file.write(", and of an execution")
    return kept.read()`,
	"a cache in the home": `
import os, pathlib
CACHE = pathlib.Path.home() / ".cache" / "service"
CACHE.mkdir(parents=True)
(CACHE / "index").write_text("empty")
def look():
    seen = [path.read_text() for path in CACHE.iterdir()]
    (CACHE / "index").write_text("full")
    return seen`,
	"odd names": `
import os, tempfile
WORK = os.fsencode(tempfile.mkdtemp())
open(WORK + b"/\xff\n", "w").write("odd")
def look(): return [repr(os.listdir(WORK)), open(WORK + b"/\xff\n").read()]`,
}

// TestFilesOfTheImport has executions find separate copies of the files of the import,
// or start cold if the kernel does not allow copies to a fork.
func TestFilesOfTheImport(t *testing.T) { each(t, testFilesOfTheImport) }

func testFilesOfTheImport(t *testing.T, sb *process.Sandbox) {
	for name, text := range made {
		t.Run(name, func(t *testing.T) {
			o := written(t, text+looks, sb)
			o.Spares = 1
			r := forkserver.NewRunner(o)
			if err := r.Program().Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			state := r.Program().State()
			if !state.Warm && (sb == nil && os.Geteuid() == 0 || !strings.Contains(state.Reason, "forks cannot have copies")) {
				t.Errorf("the service starts %+v; want warm, or cold as forks cannot have copies", state)
			}
			want := do(t, cold(o), "x")
			if want.value["seen"] == nil || want.stderr != "" {
				t.Fatal(want.stderr)
			}
			for range 3 {
				if got := do(t, r, "x"); !reflect.DeepEqual(got.value, want.value) || got.stderr != "" {
					t.Errorf("an execution sees %v %s, want %v as cold", got.value, got.stderr, want.value)
				}
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// restoring imports files below the folder of its argument. Its forks find that folder
// empty, because they have mounted something over it.
const restoring = `
import importlib.util, os, sys

def load(name):
    spec = importlib.util.spec_from_file_location(name, os.path.join(sys.argv[1], name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

module, root = load("importedfiles"), sys.argv[2]
os.environ["HOME"] = root + "/home"
os.mkdir(root + "/before")
files = module.ImportedFiles([root, "/proc/self/root" + root], True)
os.makedirs(root + "/before/made/deep")
open(root + "/before/made/file", "w").write("text")
os.chmod(root + "/before/made", 0o550)
os.chdir(root + "/before/made/deep")
assert files.why_shared(os.fork) is None and files.is_needed() and len(files.roots) == 1
for number in range(2):
    pid = os.fork()
    if pid == 0:
        module.mount_over([root])
        assert os.listdir(root) == []
        files.restore()
        with open("../file", "r+") as file:
            print(number, sorted(os.listdir(root)), os.listdir("."), os.listdir(".."), file.read(), flush=True)
            file.write(str(number))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
print("left", open(root + "/before/made/file").read())
`

// TestRestoreIntoPrivateFolders has forks that find their folders empty get the
// files of an import.
func TestRestoreIntoPrivateFolders(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs the right to mount")
	}
	o := service(t, nil, nil)
	programs := filepath.Dir(o.Python.Launcher)
	command := exec.CommandContext(t.Context(), o.Python.Interpreter, "-c", restoring, programs, t.TempDir())
	out, err := command.CombinedOutput()
	const want = "0 ['before', 'home'] [] ['deep', 'file'] text\n1 ['before', 'home'] [] ['deep', 'file'] text\nleft text\n"
	got := strings.ReplaceAll(string(out), "['home', 'before']", "['before', 'home']")
	got = strings.ReplaceAll(got, "['file', 'deep']", "['deep', 'file']")
	if err != nil || got != want {
		t.Errorf("forks find %q, %v; want %q", got, err, want)
	}
}

// TestImportDirIsRemoved looks for the import folder of a zygote without a private root
// folder.
func TestImportDirIsRemoved(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	for name, text := range map[string]string{
		"warm": trivial,
		"cold": "import tempfile\nWORK = tempfile.mkdtemp()\nkept = tempfile.TemporaryFile()\n" + trivial,
	} {
		r := forkserver.NewRunner(written(t, text, nil))
		if err := r.Program().Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		found, err := filepath.Glob(filepath.Join(temp, "qhubctl-import-*"))
		if state := r.Program().State(); err != nil || state.Warm != (len(found) == 1) || state.Warm != (name == "warm") {
			t.Errorf("%s: the import folders are %v (%v), and the service starts %+v, want one folder if warm", name, found, err, state)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(temp, "qhubctl-import-*")); err != nil || len(left) > 0 {
		t.Errorf("the import folders %v (%v) are left, want none", left, err)
	}
}
