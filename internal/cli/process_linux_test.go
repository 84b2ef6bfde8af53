package cli_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

// processProgram does what programs do with their streams, temporary folder and
// user, and asks the kernel for what would reach others.
const processProgram = `
import ctypes
import errno
import getpass
import multiprocessing
import os
import subprocess
import tempfile
import time

libc = ctypes.CDLL(None, use_errno=True)


def tried(action):
    try:
        return str(action())
    except OSError as error:
        return errno.errorcode[error.errno]


def called(result):
    return "ok" if result >= 0 else errno.errorcode[ctypes.get_errno()]


def timers():
    made = 0
    while made < 5000 and libc.timer_create(1, None, ctypes.byref(ctypes.c_void_p())) == 0:
        made += 1
    return 0 < made <= 1024


def shared():
    with multiprocessing.Manager() as manager:
        return list(manager.list([1]))


def run() -> dict:
    return {
        "opens its output": tried(lambda: open("/dev/stdout", "w").write("by its name\n")),
        "a child opens its errors": tried(lambda: subprocess.call("echo by the child > /dev/stderr", shell=True)),
        "its output again": tried(lambda: open(f"/proc/{os.getpid()}/fd/1", "w").write("once more\n")),
        "reads its output": tried(lambda: os.open("/dev/stdout", os.O_RDONLY)),
        "a manager": tried(shared), "temporary": tempfile.gettempdir(), "user": getpass.getuser(),
        "watches": called(libc.inotify_init1(0)),
        "timers": str(timers()),
        "a clock of another": tried(lambda: time.clock_gettime((~os.getppid() << 3) | 2)),
        "its own clock": tried(lambda: time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID) > 0),
    }
`

// TestProcessOfAService checks what the process of an execution finds, warm and
// cold alike.
func TestProcessOfAService(t *testing.T) {
	needLayers(t, "filesystem", "syscalls", "privileges")
	want := map[string]string{
		"opens its output": "12", "a child opens its errors": "0", "its output again": "10", "reads its output": "EACCES",
		"a manager": "[1]", "temporary": "/tmp", "user": "service",
		"watches": "ENOSYS", "timers": "True", "a clock of another": "EINVAL", "its own clock": "True",
	}
	for _, start := range []string{"warm", "cold"} {
		t.Run(start, func(t *testing.T) {
			dir := service(t, processProgram)
			put(t, filepath.Join(dir, "pyproject.toml"), "[project]\nname = \"tested\"\nversion = \"1\"\n[tool.qhubctl]\nstart = \""+start+"\"\n")
			s := serve(t, dir, "--metrics", "127.0.0.1:0")
			until(t, `service_start_info{start="`+start+`"`, s.metricsText)
			out, errs, code := s.qhubctl("executions", "start", "-d", `{}`, "--wait")
			got := map[string]string{}
			if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
				t.Fatalf("exit code %d, %v: %s%s", code, err, out, errs)
			}
			if !maps.Equal(got, want) {
				t.Errorf("the process finds\n%v, want\n%v", got, want)
			}
			id := strings.TrimSpace(strings.TrimPrefix(strings.Split(errs, "\n")[0], "execution"))
			log, _, _ := s.qhubctl("executions", "log", id)
			for _, line := range []string{"by its name", "by the child", "once more"} {
				if !strings.Contains(log, line) {
					t.Errorf("the log does not hold %q:\n%s", line, log)
				}
			}
		})
	}
}
