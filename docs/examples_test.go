package docs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestExamples runs the commands of each example's README, and the tests that
// the example has.
func TestExamples(t *testing.T) {
	t.Parallel()
	for name, wants := range map[string][]string{
		"plain":       {`"message": "hello"`, "with the key [redacted]"},
		"two-secrets": {`"estimate": 15.5`, `"estimate": 14.25`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shell := newShell(t)
			shell.addPath(needDir(t, testenv.UV))
			dir := strings.TrimSpace(shell.must("pwd"))
			copyExample(t, filepath.Join("..", "examples", name), filepath.Join(dir, "examples", name))
			// The files that the READMEs mention and a reader has.
			shell.write("weather.txt", "weather-key\n")
			shell.must("export MY_STOCK_KEY=stock-key")
			var output strings.Builder
			for _, b := range readBlocks(t, filepath.Join("..", "examples", name, "README.md")) {
				output.WriteString(shell.must(b.text))
			}
			for _, want := range wants {
				if !strings.Contains(output.String(), want) {
					t.Errorf("the output is\n%s\nwant %s in it", &output, want)
				}
			}
			shell.must("cd examples/" + name + " && .venv/bin/python -m unittest")
		})
	}
}

// copyExample leaves out the files that earlier runs made in the example.
func copyExample(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	for _, made := range []string{".venv", ".qhub", ".env", "out"} {
		if err := os.RemoveAll(filepath.Join(to, made)); err != nil {
			t.Fatal(err)
		}
	}
}
