//go:build linux

package forkserver_test

import (
	"reflect"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// What a handler of logging holds back is shown at the end, wherever it was
// made, as it is cold.
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
				t.Errorf("%d %q %q; cold: %d %q %q",
					got.outcome.ExitCode, got.stdout, got.stderr, want.outcome.ExitCode, want.stdout, want.stderr)
			}
		})
	}
}

// Of what modules have asked to be called around a fork, a service sees what
// tells it that its process is another one; never what is meant for a parent.
func TestHandlersOfForks(t *testing.T) { each(t, testHandlersOfForks) }

func testHandlersOfForks(t *testing.T, sb *process.Sandbox) {
	o := written(t, `
import os
calls = []
os.register_at_fork(after_in_child=lambda: calls.append("child"))
os.register_at_fork(before=lambda: calls.append("before"), after_in_child=lambda: calls.append("pair"))
os.register_at_fork(after_in_parent=lambda: calls.append("parent"))

def run(action: str) -> dict:
    before = list(calls)
    if os.fork() == 0:
        os._exit(0)
    return {"before": before, "after": calls, "own": os.register_at_fork.__module__ == "posix"}
`, sb)
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	for range 2 {
		got := do(t, r, "x").value
		want := map[string]any{"before": []any{"child"}, "after": []any{"child", "before", "parent"}, "own": true}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("called: %v", got)
		}
	}
}
