//go:build linux

package forkserver_test

import (
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
)

// saying is a service that meddles with the socket by which a fork says
// exit notice, which is the only one it has.
const saying = `
import os, subprocess, sys, threading, time

def socket():
    return next(int(name) for name in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{name}")
                and os.readlink(f"/proc/self/fd/{name}").startswith("socket:"))

def run(action: str) -> dict:
    print("said")
    if action == "closes":
        os.close(socket())
    elif action == "takes its number":
        file = os.open(os.path.join(os.environ["OUTPUT_DIRECTORY"], "own.txt"), os.O_CREAT | os.O_RDWR)
        os.dup2(file, socket())
        os.write(file, b"own")
    elif action == "lies":
        os.write(socket(), b"\0")
        time.sleep(600)
    elif action == "leaves a child":
        subprocess.Popen(["sleep", "600"])
    elif action == "leaves a thread":
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    elif action == "hands it on":
        if os.fork() == 0:
            time.sleep(600)
    elif action == "fails":
        sys.exit(7)
    elif action == "closes its output":
        os.close(1)
    return {"action": action}
`

// TestExitNotice has executions end as they should, whatever becomes of the word
// that they end.
func TestExitNotice(t *testing.T) {
	r := prepared(t, written(t, saying, confined()))
	defer func() { _ = r.Close() }()
	for _, action := range []string{
		"none", "closes", "takes its number", "leaves a child", "leaves a thread", "hands it on", "closes its output",
	} {
		got := do(t, r, action)
		if got.outcome != (runner.Outcome{}) || got.value["action"] != action || got.stdout != "said\n" {
			t.Errorf("%s: %+v %v %q %s", action, got.outcome, got.value, got.stdout, got.stderr)
		}
		if own, wrote := got.files["own.txt"]; wrote && own != "own" {
			t.Errorf("%s: a file of the service holds %q", action, own)
		}
	}
	if got := do(t, r, "fails"); got.outcome.ExitCode != 7 || got.outcome.Signal != "" {
		t.Errorf("%+v %s", got.outcome, got.stderr)
	}
	// Who says that it ends, ends.
	if got := do(t, r, "lies"); got.outcome != (runner.Outcome{}) || got.value["action"] != nil || got.stdout != "said\n" {
		t.Errorf("%+v %v %q", got.outcome, got.value, got.stdout)
	}
	if left := children(t, r.Program().State().Pid); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}
