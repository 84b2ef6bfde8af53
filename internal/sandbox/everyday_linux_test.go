package sandbox_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// everydayShell are programs of the system, by the one that must be installed.
var everydayShell = map[string]string{
	"git": `git init -q . && echo a >a && git add a && git -c user.name=x -c user.email=x@y commit -qm x && git gc -q && git clone -q . ../clone`,
	"gcc": `printf '#include <pthread.h>\nvoid*f(void*x){return x;}int main(){pthread_t t;return pthread_create(&t,0,f,0)||pthread_join(t,0);}' >p.c &&
		gcc -pthread -o p p.c && ./p`,
	"ssh-keygen": `ssh-keygen -q -t ed25519 -N '' -f key && test -s key.pub`,
	"ssh":        `ssh -V 2>version && test -s version`,
	"curl":       `curl --version >version; curl -s -m 5 http://127.0.0.1:1/; test $? = 7`,
	"cp":         `echo a >a && cp -a a b && cp --reflink=auto a c && cp --sparse=always a d && cmp a b`,
	"dd":         `dd if=/dev/zero of=z bs=1M count=2 conv=fsync status=none && sync && truncate -s 1M hole && test $(stat -c %s hole) = 1048576`,
	"tar":        `echo a >a && tar cf t.tar a && rm a && tar xf t.tar && test -s a`,
	"flock":      `flock lock true`,
	"nice":       `nice true && test $(nice -n 5 nice) = 5`,
	"taskset":    `taskset -c 0 true`,
	"ionice":     `ionice -c 3 true`,
	"perl":       `perl -e 'exit(fork() && wait() < 0)'`,
	"node":       `node -e 'setTimeout(() => process.exit(0), 1)'`,
	"java":       `java -version`,
	"openssl":    `openssl rand -hex 4`,
}

// everydayPython makes the calls that programs in Python make.
const everydayPython = `
import asyncio, concurrent.futures, fcntl, mmap, multiprocessing as mp, os, pty, resource, shutil, signal, socket, sqlite3, ssl, subprocess, tempfile, threading
from multiprocessing import shared_memory

def square(x): return x * x

async def streams():
    process = await asyncio.create_subprocess_exec("/bin/echo", "hi", stdout=subprocess.PIPE)
    assert (await process.communicate())[0] == b"hi\n"
    await asyncio.get_running_loop().run_in_executor(None, os.getpid)
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await reader.read(); writer.close(); server.close()

if __name__ == "__main__":
    asyncio.run(streams())
    for method in ("fork", "spawn", "forkserver"):
        with mp.get_context(method).Pool(2) as pool: assert pool.map(square, [2]) == [4]
    shared = shared_memory.SharedMemory(create=True, size=4096); shared.close(); shared.unlink()
    with concurrent.futures.ThreadPoolExecutor(4) as pool: assert list(pool.map(square, [2])) == [4]
    ssl.create_default_context()
    socket.getaddrinfo("localhost", 80); socket.if_nameindex(); socket.socketpair()
    with tempfile.TemporaryDirectory() as dir:
        db = sqlite3.connect(dir + "/x.db"); db.execute("pragma journal_mode=wal"); db.execute("create table t(a)"); db.commit(); db.close()
        shutil.copy2(dir + "/x.db", dir + "/y.db"); shutil.make_archive(dir + "/z", "zip", dir)
        with open(dir + "/f", "wb+") as file:
            os.posix_fallocate(file.fileno(), 0, 1 << 16); assert os.path.getsize(dir + "/f") == 1 << 16
            fcntl.lockf(file, fcntl.LOCK_EX); fcntl.flock(file, fcntl.LOCK_EX)
            with mmap.mmap(file.fileno(), 0) as memory: memory[:2] = b"ok"
    fd = os.memfd_create("x"); os.truncate(fd, 4096)
    memory = mmap.mmap(-1, 4 << 20); memory.madvise(mmap.MADV_DONTNEED); memory.close()
    pid, _ = pty.fork() if os.path.exists("/dev/ptmx") else (os.fork(), 0)
    if pid == 0: os._exit(0)
    os.waitpid(pid, 0)
    os.nice(1); os.sched_setaffinity(0, os.sched_getaffinity(0)); os.setpriority(os.PRIO_PROCESS, 0, 2)
    signal.pthread_kill(threading.get_ident(), 0); signal.pidfd_send_signal(os.pidfd_open(os.getpid()), 0)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    print("all done")
`

// TestEverydayPrograms runs the programs that services run, under the filter of an
// execution with a separate sandbox and that of forks in one.
func TestEverydayPrograms(t *testing.T) {
	m := detected()
	need(t, m, "syscalls")
	shared := closedDir(t)
	for name, p := range map[string]sandbox.Policy{"alone": {}, "with forks": {Forks: shared}} {
		t.Run(name, func(t *testing.T) {
			for program, script := range everydayShell {
				t.Run(program, func(t *testing.T) {
					if path, err := exec.LookPath(program); err != nil || strings.HasPrefix(path, os.Getenv("HOME")) {
						t.Skip("this machine has no " + program)
					}
					r := run(t, m, p, "/bin/sh", "-c", "export HOME=/tmp; mkdir /tmp/work && cd /tmp/work && { "+script+"; }")
					if r.ExitCode != 0 {
						t.Errorf("%s ended with %+v, want exit code 0\n%s%s", program, r.Outcome, r.stdout, r.stderr)
					}
				})
			}
			t.Run("python", func(t *testing.T) {
				if _, err := os.Stat(python); err != nil {
					t.Skip("no Python of the system at " + python)
				}
				out := dir(t)
				script := writeFile(t, filepath.Join(out, "everyday.py"), everydayPython, 0o644)
				p.Readable = []string{out}
				if r := run(t, m, p, python, "-I", script); !strings.Contains(r.stdout, "all done") {
					t.Errorf("the script ended with %+v, want all done\n%s", r.Outcome, r.stderr)
				}
			})
		})
	}
}
