//go:build linux

package forkserver_test

import (
	"maps"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner"
)

// saying is a service that misuses the socket by which a fork sends its exit notice,
// the only socket that it has, or reads its result at the end.
const saying = `
import atexit, logging, os, resource, subprocess, sys, threading, time

def look(*about):
    folder = os.environ["OUTPUT_DIRECTORY"]
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name)) as file:
            print(*about, name, "".join(file.read().split()))

class Looks:
    def __del__(self):
        look("deleted")

class Ends(logging.NullHandler):
    def close(self):
        os._exit(0)

class Stream:
    def write(self, text):
        return len(text)

    def flush(self):  # an interpreter may do so twice
        self.flush = lambda: None
        os.write(1, b"\n".join(map(str.encode, os.listdir(os.environ["OUTPUT_DIRECTORY"]))) + b"\n")

def result_is(make):
    make(os.path.join(os.environ["OUTPUT_DIRECTORY"], "output.json"))

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
        os.write(socket(), bytes(6))
        time.sleep(600)
    elif action == "lies about its result":
        os.write(socket(), bytes((0, 1, 0, 0, 0, 17)) + b'{"action":"lied"}')
        time.sleep(600)
    elif action == "sends too much":
        os.write(socket(), bytes((0, 1, 255, 255, 255, 255)))
        time.sleep(0.1)
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
    elif action == "looks at the end":
        atexit.register(look, "end")
    elif action == "looks when it is deleted":
        globals()["kept"] = Looks()
    elif action == "ends in a handler":
        globals()["kept"] = Ends()
    elif action == "logs to its stream":
        globals()["kept"] = logging.StreamHandler(Stream())
    elif action == "prints to its stream":
        sys.stdout = Stream()
    elif action == "has a folder for a result":
        result_is(os.mkdir)
    elif action == "has a link for a result":
        result_is(lambda path: os.symlink("/tmp/elsewhere", path))
    elif action == "can write no file":
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        globals()["kept"] = (number for number in range(3))  # the end of a generator may look at the result
        next(kept)
    elif action == "fails at the end":
        atexit.register(os._exit, 3)
    elif action == "runs twice":
        child = os.fork()
        if child:
            os.waitpid(child, 0)
    elif action == "has much to say":
        return {"action": action, "text": "x" * 100_000}
    return {"action": action}
`

// TestExitNotice: executions end correctly, even if the service corrupts or sends the
// notice.
func TestExitNotice(t *testing.T) {
	r := prepared(t, written(t, saying, confined()))
	defer func() { _ = r.Close() }()
	for _, action := range []string{
		"none", "closes", "takes its number", "leaves a child", "leaves a thread", "hands it on", "closes its output",
		"runs twice", "has much to say",
	} {
		got := do(t, r, action)
		if got.outcome != (runner.Outcome{}) || got.value["action"] != action || got.stdout != "said\n" {
			t.Errorf("%s: %+v, %v, %q, want success and said\n%s", action, got.outcome, got.value, got.stdout, got.stderr)
		}
		if own, wrote := got.files["own.txt"]; wrote && own != "own" {
			t.Errorf("%s: a file of the service holds %q, want own", action, own)
		}
	}
	if got := do(t, r, "fails"); got.outcome.ExitCode != 7 || got.outcome.Signal != "" {
		t.Errorf("the service that fails ends %+v, want exit code 7\n%s", got.outcome, got.stderr)
	}
	// An execution that sends the notice ends, even if the service has sent it.
	for action, want := range map[string]any{"lies": nil, "lies about its result": "lied"} {
		if got := do(t, r, action); got.outcome != (runner.Outcome{}) || got.value["action"] != want || got.stdout != "said\n" {
			t.Errorf("%s: %+v %v %q, want the result %v", action, got.outcome, got.value, got.stdout, want)
		}
	}
	if got := do(t, r, "sends too much"); got.outcome != (runner.Outcome{}) {
		t.Errorf("sends too much: %+v %s, want a success", got.outcome, got.stderr)
	}
	if left := children(t, r.Program().State().Pid); len(left) > 0 {
		t.Errorf("the zygote has the children %v, want none", left)
	}
}

// TestResultIsThereAtTheEnd has code of the service look for its result after run. A
// small result may have no file otherwise.
func TestResultIsThereAtTheEnd(t *testing.T) {
	o := written(t, saying, confined())
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	for _, action := range []string{
		"looks at the end", "fails at the end", "ends in a handler", "logs to its stream",
		"prints to its stream", "has a folder for a result", "has a link for a result",
	} {
		got, want := do(t, r, action), do(t, cold(o), action)
		if got.outcome != want.outcome || got.stdout != want.stdout || !maps.Equal(got.files, want.files) || !maps.Equal(got.value, want.value) {
			t.Errorf("%s: got %+v %q %q %v, want as of a cold start %+v %q %q %v", action,
				got.outcome, got.stdout, got.files, got.value, want.outcome, want.stdout, want.files, want.value)
		}
	}
	if got, want := do(t, r, "can write no file"), do(t, cold(o), "can write no file"); got.outcome != want.outcome || got.outcome.ExitCode == 0 {
		t.Errorf("can write no file: got %+v %s, want as of a cold start %+v", got.outcome, got.stderr, want.outcome)
	}
	// A cold start does not always call __del__ of the objects of a module.
	want := "said\ndeleted output.json {\"action\":\"lookswhenitisdeleted\"}\n"
	if got := do(t, r, "looks when it is deleted"); got.outcome != (runner.Outcome{}) || got.stdout != want {
		t.Errorf("looks when it is deleted: got %+v %q, want a success and %q", got.outcome, got.stdout, want)
	}
}
