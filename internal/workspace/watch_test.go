package workspace_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/workspace"
)

func TestWatchTellsOfChangesOfTheService(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("src/program.py", "def run(): pass\n")
	write("input/data.json", "{}")
	write("pyproject.toml", "[tool.qhubctl]\nwatch = [\"prompts\", \"*.json\"]\n")
	w, err := workspace.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := w.Watch(t.Context(), &workspace.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	// A change that does not count comes first: if it counted, there would be two tokens.
	for _, c := range [][2]string{
		{"src/program.py", "def run(): return 1\n"},
		{"src/new/deep/module.py", "x = 1\n"},
		{"src/new/deep/module.py", "x = 2\n"},
		{".env", "A=1\n"},
		{"pyproject.toml", "[project]\n"},
		{"requirements.txt", "# none\n"},
		{"prompts/deep/one.txt", "declared"},
		{"rules.json", "{}"},
	} {
		for _, other := range []string{"input/data.json", ".qhub/serve/executions.db", "src/__pycache__/program.pyc", "out/result.txt", "serve.log", "src/state.json", "result.txt"} {
			write(other, c[1])
		}
		write(c[0], c[1])
		select {
		case <-changed:
		case <-time.After(3 * time.Minute):
			t.Fatalf("Watch() reported nothing, want the change of %s", c[0])
		}
	}
	// The watcher may report the same change again, if the machine was slow.
	if changed, err = w.Watch(t.Context(), &workspace.Environment{}); err != nil {
		t.Fatal(err)
	}
	write("src/__pycache__/program.pyc", "again")
	select {
	case <-changed:
		t.Error("a change was reported that does not count")
	case <-time.After(time.Second):
	}
}
