//go:build linux

package forkserver_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// TestZygotesAreReplaced has an execution run through the ends of several
// zygotes, while others get the imports of newer ones.
func TestZygotesAreReplaced(t *testing.T) { each(t, testZygotesAreReplaced) }

func testZygotesAreReplaced(t *testing.T, sb *process.Sandbox) {
	messages := make(reported, 1000)
	o := written(t, `
import pathlib, time
AT = time.monotonic_ns()

def run(action: str) -> dict:
    if action == "sleep":
        print("ready", flush=True)
        while not pathlib.Path(__file__).with_name("end").exists():
            time.sleep(0.01)
    return {"at": AT}
`, sb)
	o.MaxAge, o.Spares, o.Logger = 500*time.Millisecond, 1, slog.New(messages)
	r := prepared(t, o)
	first := do(t, r, "look").value["at"]
	_, outcome := started(t, r)
	const replacing = "replacing a zygote that has reached its age"
	for replaced := 0; replaced < 2; {
		if <-messages == replacing {
			replaced++
		}
	}
	if err := r.Program().Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if second := do(t, r, "look").value["at"]; second == first {
		t.Errorf("after two ages an execution has the first import, %v, want a newer one", second)
	}
	if got := r.Program().Stats(); got.Zygotes < 2 || got.Failed > 0 {
		t.Errorf("the program counts %+v; want two zygotes or more, none failed", got)
	}
	select {
	case got := <-outcome:
		t.Errorf("an execution ended with its zygote: %+v, want it to go on", got)
	default:
	}
	if err := os.WriteFile(filepath.Join(o.Dir, "src", "end"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := <-outcome; got != (runner.Outcome{}) {
		t.Errorf("the execution ends %+v; want success", got)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
