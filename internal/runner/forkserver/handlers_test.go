//go:build linux

package forkserver_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// TestLoggingIsFlushedAtTheEnd: records that a handler of logging holds back appear at
// the end as after a cold start, for handlers made in any place.
func TestLoggingIsFlushedAtTheEnd(t *testing.T) { each(t, testLoggingIsFlushedAtTheEnd) }

func testLoggingIsFlushedAtTheEnd(t *testing.T, sb *process.Sandbox) {
	const head = `
import atexit, logging, logging.handlers, sys

def hold(name):
    handler = logging.handlers.MemoryHandler(100, target=logging.StreamHandler(sys.stderr))
    logging.getLogger(name).addHandler(handler)
`
	for name, text := range map[string]string{
		"nothing":         "def run(action: str) -> dict:\n    return {}\n",
		"made by import":  "hold('a')\ndef run(action: str) -> dict:\n    logging.getLogger('a').error('held')\n    return {}\n",
		"made by run":     "def run(action: str) -> dict:\n    hold('a')\n    logging.getLogger('a').error('held')\n    return {}\n",
		"before an exit":  "atexit.register(print, 'at exit')\nhold('a')\ndef run(action: str) -> dict:\n    logging.getLogger('a').error('held')\n    return {}\n",
		"of the exit":     "hold('a')\ndef run(action: str) -> dict:\n    atexit.register(logging.getLogger('a').error, 'late')\n    return {}\n",
		"of last resort":  "def run(action: str) -> dict:\n    logging.error('said')\n    return {}\n",
		"of a bad result": "hold('a')\ndef run(action: str) -> dict:\n    logging.getLogger('a').error('held')\n    raise SystemExit(3)\n",
	} {
		t.Run(name, func(t *testing.T) {
			o := written(t, head+text, sb)
			r := prepared(t, o)
			defer func() { _ = r.Close() }()
			got, want := do(t, r, "x"), do(t, cold(o), "x")
			if got.stdout != want.stdout || got.stderr != want.stderr || got.outcome.ExitCode != want.outcome.ExitCode {
				t.Errorf("%d %q %q; want as cold: %d %q %q",
					got.outcome.ExitCode, got.stdout, got.stderr, want.outcome.ExitCode, want.stdout, want.stderr)
			}
		})
	}
}

// TestHandlersOfForks: of the handlers that modules have registered around a fork, a
// service runs those for the child, in the order of a fork, and none for a parent.
func TestHandlersOfForks(t *testing.T) { each(t, testHandlersOfForks) }

func testHandlersOfForks(t *testing.T, sb *process.Sandbox) {
	o := written(t, `
import os, posix, threading
calls, zygote = [], os.getpid()
lock = threading.Lock()
os.register_at_fork(after_in_child=lambda: calls.append("child"))
os.register_at_fork(before=lambda: calls.append("before"), after_in_child=lambda: calls.append("pair"))
posix.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
os.register_at_fork(after_in_parent=lambda: calls.append("parent"), after_in_child=lambda: calls.append(os.getpid() != zygote))
from posix import register_at_fork
register_at_fork(before=lambda: calls.append("first"), after_in_child=lambda: calls.append("last"))

def run(action: str) -> dict:
    before = list(calls)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    modules = {os.register_at_fork.__module__, posix.register_at_fork.__module__}
    return {"before": before, "after": calls[len(before):], "own": list(modules), "free": not lock.locked()}
`, sb)
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	for range 2 {
		got := do(t, r, "x").value
		want := map[string]any{
			"before": []any{"first", "before", "child", "pair", true, "last"},
			"after":  []any{"first", "before", "parent"},
			"own":    []any{"posix"}, "free": true,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("the handlers ran as %v, want %v", got, want)
		}
	}
}

// TestFailingHandlersOfForks: a failing handler is shown and stops nothing, as in any other fork.
func TestFailingHandlersOfForks(t *testing.T) {
	o := written(t, `
import os
os.register_at_fork(after_in_child=lambda: 1 / 0)
os.register_at_fork(before=lambda: exit(3), after_in_child=lambda: calls.append("called"))
calls = []
def run(action: str) -> dict:
    return {"calls": calls}
`, nil)
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	got := do(t, r, "x")
	if !reflect.DeepEqual(got.value, map[string]any{"calls": []any{"called"}}) || got.outcome.ExitCode != 0 {
		t.Errorf("the execution ends %+v with %v, want success after the other handler", got.outcome, got.value)
	}
	if !strings.Contains(got.stderr, "ZeroDivisionError") || !strings.Contains(got.stderr, "SystemExit") {
		t.Errorf("the log shows %q; want both failures", got.stderr)
	}
}

// TestFailuresAtTheEndAreShown: the log shows exceptions of objects at the end, warm and cold.
func TestFailuresAtTheEndAreShown(t *testing.T) {
	o := written(t, `
class Failing:
    def __del__(self): raise ValueError("at the end")
kept = Failing()
def run(action: str) -> dict: return {}
`, nil)
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	for name, got := range map[string]left{"cold": do(t, cold(o), "x"), "warm": do(t, r, "x")} {
		if got.outcome.ExitCode != 0 || !strings.Contains(got.stderr, "Exception ignored in") || !strings.Contains(got.stderr, "at the end") {
			t.Errorf("%s: the log shows %q; want the failure", name, got.stderr)
		}
	}
}
