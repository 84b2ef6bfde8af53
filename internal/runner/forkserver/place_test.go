//go:build linux

package forkserver_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
)

// TestPlacesOfTheImport: a service that keeps the folders of the contract at import
// finds those of each execution there.
func TestPlacesOfTheImport(t *testing.T) {
	o := written(t, `
import os
NAMES = "INPUT_DIRECTORY", "OUTPUT_DIRECTORY", "DATAPOOL_DIRECTORY", "TMPDIR", "HOME"
kept = [os.environ.get(name) for name in NAMES]
def look():
    with open(os.path.join(kept[1], "file"), "x") as file:
        file.write("of one execution")
    return [[os.environ[name] for name in NAMES], kept, [os.path.isdir(path) for path in kept]]
`+looks, confined())
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	for range 2 {
		got := do(t, r, "x")
		seen, _ := got.value["seen"].([]any)
		if len(seen) != 3 || !reflect.DeepEqual(seen[0], seen[1]) || !reflect.DeepEqual(seen[2], []any{true, true, true, true, true}) {
			t.Errorf("an execution sees %v %s; want the folders of the import", got.value, got.stderr)
		}
	}
}

// TestImportThatWritesResults: a service that uses the folder of an execution during
// the import starts cold.
func TestImportThatWritesResults(t *testing.T) {
	for name, text := range map[string]string{
		"a file":   "open(os.path.join(out, 'file'), 'w')",
		"a folder": "os.makedirs(os.path.join(out, 'more'), exist_ok=True)",
		"a look":   "os.listdir(os.environ['INPUT_DIRECTORY'])",
	} {
		t.Run(name, func(t *testing.T) {
			o := written(t, "import os\nout = os.environ['OUTPUT_DIRECTORY']\n"+text+"\n"+trivial, confined())
			r := forkserver.NewRunner(o)
			defer func() { _ = r.Close() }()
			if err := r.Program().Prepare(t.Context()); err != nil {
				t.Fatal(err)
			}
			if state := r.Program().State(); state.Warm || !strings.Contains(state.Reason, "importing") {
				t.Errorf("the service starts %+v; want cold", state)
			}
		})
	}
}
