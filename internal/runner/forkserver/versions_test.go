//go:build linux

package forkserver_test

import (
	"os"
	"reflect"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestEachPython checks that forks of the Pythons that the other tests do not use start,
// end and work like cold starts: each version stores its objects differently.
func TestEachPython(t *testing.T) {
	defaultPython, err := testenv.Python()
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"3.10", "3.11", "3.12", "3.13"} {
		t.Run(version, func(t *testing.T) {
			switch found := testenv.PythonOf(version); found {
			case "":
				t.Skipf("there is no Python %s on this machine", version)
			case defaultPython:
				t.Skip("all other tests run on it")
			default:
				testPython(t, func(t testing.TB) process.Python { return complete(t, runnertest.SDKPythonOf(t, found)) })
			}
		})
	}
}

func testPython(t *testing.T, python func(testing.TB) process.Python) {
	o := service(t, nil, nil)
	o.Python = python(t)
	t.Run("nothing is visible to the next", func(t *testing.T) { nothingIsVisible(t, o) })
	t.Run("works as cold", func(t *testing.T) { worksAsCold(t, o) })
	t.Run("ends as cold", func(t *testing.T) { endsAsColdOnes(t, nil, python) })
	forked := func(t *testing.T, text string) []left {
		t.Helper()
		o := written(t, text+looks, nil)
		o.Python = python(t)
		r := prepared(t, o)
		defer func() { _ = r.Close() }()
		return []left{do(t, cold(o), "x"), do(t, r, "x"), do(t, r, "x")}
	}
	for _, name := range []string{"an object", "a copy", "the time", "the state before a seed", "pickled", "of a class in C"} {
		t.Run("draws: "+name, func(t *testing.T) { differ(t, forked(t, drawing[name])) })
	}
	texts := map[string]string{"a descriptor twice": reopened["a descriptor twice"]}
	if os.Geteuid() == 0 { // forks can have copies of files
		texts["a tree"], texts["a file that stays open"] = made["a tree"], made["a file that stays open"]
	}
	for name, text := range texts {
		t.Run("has its own: "+name, func(t *testing.T) {
			all := forked(t, text)
			for _, got := range all[1:] {
				if got.value["seen"] == nil || !reflect.DeepEqual(got.value, all[0].value) {
					t.Errorf("an execution sees %v, want %v as cold\n%s", got.value, all[0].value, got.stderr)
				}
			}
		})
	}
}

// counted is a service that reports which of its objects count references, after it has
// taken and dropped a reference to each.
const counted = `
import sys

FREE = frozenset({"a", "b"})
HOLDS = (object(),)
NESTED = ((1, (str, FREE)), None)
HOLDS_DEEP = ((1, (str, [])), None)
OWN = {}

def closing(value):
    return lambda: value

CLOSURE = closing([])

class Base:
    def method(self):
        return super().__init__()

def run(action: str) -> dict:
    things = {
        "function": run, "code": run.__code__, "class": type(run), "names": FREE, "nested": NESTED, "module": globals(),
        "method": Base.__dict__["method"], "constant": run.__code__.co_consts,
        "holder": HOLDS, "deep": HOLDS_DEEP, "closure": CLOSURE, "own": OWN, "instance": INSTANCE,
    }
    counts = {}
    for name, thing in things.items():
        before = sys.getrefcount(thing)
        more = [thing] * 1000
        counts[name] = sys.getrefcount(thing) != before
    return counts

INSTANCE = Base()
`

// TestWhatIsImportedIsNotCounted: forks do not write to imported objects that they only
// use, and release objects whose end other code may wait for.
func TestWhatIsImportedIsNotCounted(t *testing.T) {
	newest := testenv.PythonOf("3.13")
	if newest == "" {
		t.Skip("there is no Python 3.13 on this machine, whose objects can be immortal")
	}
	for _, finalize := range []bool{false, true} {
		o := written(t, counted, nil)
		o.Python, o.Finalize = complete(t, runnertest.SDKPythonOf(t, newest)), finalize
		r := prepared(t, o)
		got := do(t, r, "count")
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		// If the interpreter shuts down completely, all must end as after a cold start.
		for name, want := range map[string]bool{
			"function": finalize, "code": finalize, "class": false, "names": finalize, "nested": finalize, "module": finalize,
			"method": finalize, "constant": finalize,
			"holder": true, "deep": true, "closure": true, "own": true, "instance": true,
		} {
			if got.value[name] != want {
				t.Errorf("finalize %t: %s is counted: %v, want %v\n%s", finalize, name, got.value[name], want, got.stderr)
			}
		}
	}
}

// TestForksWithoutAWarmUp: a service starts warm even if its zygote cannot warm up.
func TestForksWithoutAWarmUp(t *testing.T) {
	r := prepared(t, written(t, `
import socket

def broken(*args):
    raise OSError("no more")

socket.socketpair = broken

def run(action: str) -> dict:
    return {"did": action}
`, nil))
	defer func() { _ = r.Close() }()
	if got := do(t, r, "it"); got.value["did"] != "it" || got.stderr != "" {
		t.Errorf("an execution ends %+v with %v, want success\n%s", got.outcome, got.value, got.stderr)
	}
	if stats := r.Program().Stats(); stats.Warm != 1 || len(stats.Cold) > 0 {
		t.Errorf("the counts are %+v, want one warm start", stats)
	}
}
