package docs_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
	"github.com/qhubctl/qhubctl/sdk"
)

// TestGoGuide does what a reader of the page about Go does, as [TestGuide]
// does with the guide.
func TestGoGuide(t *testing.T) {
	t.Parallel()
	shell := newGoShell(t)
	var output string
	for _, b := range readBlocks(t, "go.md") {
		switch name, content := b.file(b.text); {
		case name != "":
			shell.write(name, content)
		case b.language == "bash":
			var code int
			if output, code = shell.run(b.text); code != b.exitCode() {
				t.Fatalf("line %d of the page: exit code %d, want %d\n%s\n%s", b.line, code, b.exitCode(), b.text, output)
			}
			if strings.Contains(output, "tok-4e1f77c2") {
				t.Errorf("line %d of the page: the output shows the token, want it masked", b.line)
			}
		case b.language == "text":
			if missing := missingLine(output, b.text); missing != "" {
				t.Errorf("line %d of the page: want %q in\n%s", b.line, missing, output)
			}
		default:
			t.Errorf("line %d of the page: a block of %q is neither run nor compared, want no such block", b.line, b.language)
		}
	}
}

// newGoShell is a shell with go, which keeps what it compiles and loads
// nothing.
func newGoShell(t *testing.T) *shell {
	t.Helper()
	gotool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := exec.CommandContext(t.Context(), gotool, "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	shell := newShell(t)
	shell.addPath(filepath.Dir(gotool))
	shell.must("export GOPROXY=off GOCACHE='" + strings.TrimSpace(string(cache)) + "'")
	return shell
}

// withExamples lays the examples as they lie here: below the module that the
// Go SDK is in.
func withExamples(t *testing.T, shell *shell, names ...string) {
	t.Helper()
	dir := strings.TrimSpace(shell.must("pwd"))
	module, err := sdk.GoModule()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range module {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		copyExample(t, filepath.Join("..", "examples", name), filepath.Join(dir, "examples", name))
	}
}

// TestGoExamples is [TestExamples] for those in Go.
func TestGoExamples(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"go-plain": "with the key [redacted]", "go-two-secrets": `"estimate": 15.5`} {
		shell := newGoShell(t)
		withExamples(t, shell, name)
		var output strings.Builder
		for _, b := range readBlocks(t, filepath.Join("..", "examples", name, "README.md")) {
			output.WriteString(shell.must(b.text))
		}
		if !strings.Contains(output.String(), want) {
			t.Errorf("the output is\n%s\nwant %s in it", &output, want)
		}
		shell.must("go vet ./... && go test ./...")
	}
}

// TestBothLanguagesHaveOneAPI: a caller cannot tell in which language an
// example is written. Titles are pydantic's own.
func TestBothLanguagesHaveOneAPI(t *testing.T) {
	t.Parallel()
	shell := newGoShell(t)
	shell.addPath(needDir(t, testenv.UV))
	withExamples(t, shell, "plain", "go-plain", "two-secrets", "go-two-secrets")
	for _, name := range []string{"plain", "two-secrets"} {
		var documents [2]any
		for i, dir := range []string{"examples/" + name, "examples/go-" + name} {
			text := shell.must("qhubctl openapi -q --format json --title T --api-version 1 " + dir)
			if err := json.Unmarshal([]byte(text), &documents[i]); err != nil {
				t.Fatal(err)
			}
		}
		python, golang := withoutTitles(documents[0]), withoutTitles(documents[1])
		if !reflect.DeepEqual(python, golang) {
			t.Errorf("%s in Python is\n%s\nin Go, want the same:\n%s", name, indented(t, python), indented(t, golang))
		}
	}
}

// withoutTitles removes the titles of schemas; a property may have that name.
func withoutTitles(document any) any {
	switch d := document.(type) {
	case []any:
		for i := range d {
			d[i] = withoutTitles(d[i])
		}
	case map[string]any:
		if title, ok := d["title"].(string); ok && title != "" {
			delete(d, "title")
		}
		for key := range d {
			d[key] = withoutTitles(d[key])
		}
	}
	return document
}

func indented(t *testing.T, value any) string {
	t.Helper()
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
