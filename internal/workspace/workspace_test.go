package workspace_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/workspace"
)

func write(t *testing.T, content string, elements ...string) {
	t.Helper()
	name := filepath.Join(elements...)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *workspace.Workspace {
	t.Helper()
	w, err := workspace.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func newService(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, "def run(): ...\n", dir, "src", "program.py")
	return dir
}

func TestOpen(t *testing.T) {
	dir := newService(t)
	w := open(t, dir)
	if w.Name != filepath.Base(dir) || w.Entrypoint != workspace.DefaultEntrypoint || w.UpstreamSDK || w.Dir != dir {
		t.Errorf("Open() = %+v, want the defaults", w)
	}
	write(t, `[project]
name = "signer"
version = "1.2"
description = "Signs."
[tool.qhubctl]
sdk = "published"
entrypoint = "app:main"
`, dir, "pyproject.toml")
	if _, err := workspace.Open(dir); err == nil || !strings.Contains(err.Error(), "there is no app.py") {
		t.Errorf("Open(an entrypoint that is not there) = %v, want an error that names app.py", err)
	}
	write(t, "", dir, "app", "__init__.py") // a package will do
	w = open(t, dir)
	if w.Name != "signer" || w.Version != "1.2" || w.Description != "Signs." || w.Entrypoint != "app:main" || !w.UpstreamSDK {
		t.Errorf("Open() = %+v, want the settings of pyproject.toml", w)
	}
	other, err := w.WithEntrypoint("src.program:other")
	if err != nil || other.Entrypoint != "src.program:other" || w.Entrypoint != "app:main" {
		t.Errorf("WithEntrypoint() = %s, %v, and the original has %s, want it unchanged", other.Entrypoint, err, w.Entrypoint)
	}
}

func TestDataPool(t *testing.T) {
	dir := newService(t)
	w := open(t, dir)
	write(t, "", dir, "input", "file")
	write(t, "", dir, "datapool", "models", "a")
	for name, want := range map[string]string{"file": "", "none": "", "models": filepath.Join(dir, "datapool", "models")} {
		if got := w.DataPool(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	write(t, "", dir, "input", "models", "a")
	if got, want := w.DataPool("models"), filepath.Join(dir, "input", "models"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestSourceKey: the key of a description changes with everything that a
// description depends on, and does not change with input and results.
func TestSourceKey(t *testing.T) {
	dir := newService(t)
	env, err := open(t, dir).WithPython(os.Args[0]) // any file will do
	if err != nil {
		t.Fatal(err)
	}
	key := func() string { return open(t, dir).SourceKey(env) }
	last := key()
	if last == "" {
		t.Fatal("there is no key")
	}
	for _, change := range []struct {
		name string
		do   func()
		want bool
	}{
		{"nothing", func() {}, false},
		{"input", func() { write(t, "1", dir, "input", "n.json") }, false},
		{"a result", func() { write(t, "1", dir, "out", "a.txt") }, false},
		{"a cache", func() { write(t, "1", dir, "src", "__pycache__", "a.pyc") }, false},
		{"git", func() { write(t, "1", dir, ".git", "index") }, false},
		{"an environment", func() { write(t, "", dir, "venv", "pyvenv.cfg"); write(t, "", dir, "venv", "lib", "x.py") }, false},
		{"the time of a Python file", func() {
			later := time.Now().Add(time.Hour)
			if err := os.Chtimes(filepath.Join(dir, "src", "program.py"), later, later); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"the function", func() { write(t, "def run(n: int): ...\n", dir, "src", "program.py") }, true},
		{"a module", func() { write(t, "", dir, "src", "other.py") }, true},
		{"a file that may be read", func() { write(t, "[]", dir, "src", "schema.json") }, true},
		{"a folder named as the input, further down", func() { write(t, "", dir, "src", "input", "a.py") }, true},
		{"the environment", func() {
			env, err = open(t, dir).WithPython(filepath.Join(dir, "src", "program.py"))
			if err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		change.do()
		if now := key(); (now != last) != change.want || now == "" {
			t.Errorf("%s: the key changed: %t, want %t", change.name, now != last, change.want)
		} else {
			last = now
		}
	}
}

const document = `{"schemaVersion":1,"sdk":{"language":"python","name":"qhub-commons","version":"1.2.2+qhubctl.1"},"entrypoint":"src.program:run","parameters":[],"result":{}}`

// TestCachedSignature: a description is cached under its key; a broken cache counts as none.
func TestCachedSignature(t *testing.T) {
	dir := newService(t)
	w := open(t, dir)
	if _, ok := w.CachedSignature("key"); ok {
		t.Error("there is one before there is one")
	}
	w.CacheSignature("", []byte(document))
	if _, ok := w.CachedSignature(""); ok {
		t.Error("one was kept without a key")
	}
	w.CacheSignature("key", []byte(document))
	if s, ok := w.CachedSignature("key"); !ok || s.Entrypoint != "src.program:run" {
		t.Errorf("CachedSignature() = %+v, %t, want the cached one", s, ok)
	}
	if _, ok := w.CachedSignature("other"); ok {
		t.Error("one was taken for another")
	}
	ignored, err := os.ReadFile(filepath.Join(dir, ".qhub", ".gitignore"))
	if err != nil || string(ignored) != "*\n" {
		t.Errorf(".qhub/.gitignore is %q (%v), want one that ignores the folder", ignored, err)
	}
	for _, broken := range []string{"", "{", `{"key": "key"}`, `{"key": "key", "document": {"schemaVersion": 99}}`} {
		write(t, broken, dir, ".qhub", "signature.json")
		if _, ok := w.CachedSignature("key"); ok {
			t.Errorf("CachedSignature(%q) = true, want false", broken)
		}
	}
	// A folder that cannot be written is no error.
	if err := os.RemoveAll(filepath.Join(dir, ".qhub")); err != nil {
		t.Fatal(err)
	}
	write(t, "", dir, ".qhub")
	w.CacheSignature("key", []byte(document))
}

// TestEnvironmentState: an environment of the user is used, and never removed.
func TestEnvironmentState(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  workspace.State
	}{
		{"none", nil, workspace.Stale},
		{"made by venv", map[string]string{".venv/pyvenv.cfg": "x", ".venv/bin/python": ""}, workspace.UserManaged},
		{"made by conda", map[string]string{".venv/conda-meta/history": "", ".venv/bin/python": ""}, workspace.UserManaged},
		{"without an interpreter", map[string]string{".venv/pyvenv.cfg": "x"}, workspace.Broken},
		{"an empty folder", map[string]string{".venv/.keep": ""}, workspace.Broken},
		{"a file", map[string]string{".venv": ""}, workspace.Broken},
		{"ours, half made", map[string]string{".qhub/environment.json": `{"key": "", "config": ""}`, ".venv/bin/python": ""}, workspace.Stale},
		{"ours, of another key", map[string]string{
			".qhub/environment.json": `{"key": "k", "config": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"}`,
			".venv/pyvenv.cfg":       "x", ".venv/bin/python": "",
		}, workspace.Stale},
		{"put in the place of ours", map[string]string{
			".qhub/environment.json": `{"key": "k", "config": "another"}`, ".venv/pyvenv.cfg": "x", ".venv/bin/python": "",
		}, workspace.UserManaged},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := newService(t)
			for name, content := range test.files {
				write(t, content, dir, filepath.FromSlash(name))
			}
			if got, _ := open(t, dir).EnvironmentState(); got != test.want {
				t.Errorf("state %d, want %d", got, test.want)
			}
		})
	}
}

func TestScaffold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "My Service!")
	names, err := workspace.Scaffold(dir, "python")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".env.example", ".gitignore", "README.md", "pyproject.toml", filepath.Join("src", "program.py"), filepath.Join("src", "__main__.py")} {
		if !slices.Contains(names, want) {
			t.Errorf("Scaffold() writes %v, want %s among them", names, want)
		}
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	project, err := os.ReadFile(filepath.Join(dir, "pyproject.toml"))
	if err != nil || !strings.Contains(string(project), `name = "my-service"`) || strings.Contains(string(project), "{{") {
		t.Errorf("pyproject.toml is (%v)\n%s\nwant the name of the folder and no placeholder", err, project)
	}
	open(t, dir)
	// Scaffold overwrites nothing, and writes nothing beside a file that is in the way.
	if err := os.Remove(filepath.Join(dir, "README.md")); err != nil {
		t.Fatal(err)
	}
	var refused *workspace.Error
	if _, err := workspace.Scaffold(dir, "python"); !errors.As(err, &refused) || refused.Hint() == "" {
		t.Errorf("Scaffold(a second time) = %v, want an Error with a hint", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "README.md")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Stat(README.md after a refusal) = %v, want that it does not exist", err)
	}
	// A link that leads nowhere is in the way too.
	linked := t.TempDir()
	if err := os.Symlink("nowhere", filepath.Join(linked, "pyproject.toml")); err != nil {
		t.Fatal(err)
	}
	if _, err := workspace.Scaffold(linked, "python"); !errors.As(err, &refused) {
		t.Errorf("Scaffold(over a link) = %v, want an Error", err)
	}
}

func TestProjectNames(t *testing.T) {
	for name, want := range map[string]string{"a_b": "a-b", "--": "service", "Über": "ber", "x1.2": "x1-2"} {
		dir := filepath.Join(t.TempDir(), name)
		if _, err := workspace.Scaffold(dir, "python"); err != nil {
			t.Fatal(err)
		}
		if w := open(t, dir); w.Name != want {
			t.Errorf("%s: %q, want %q", dir, w.Name, want)
		}
	}
}

func TestGiven(t *testing.T) {
	w := open(t, newService(t))
	for _, bad := range []string{"nowhere/python", t.TempDir()} {
		var refused *workspace.Error
		if _, err := w.WithPython(bad); !errors.As(err, &refused) || refused.Hint() == "" {
			t.Errorf("WithPython(%s) = %v, want an Error with a hint", bad, err)
		}
	}
	dir := t.TempDir()
	write(t, "", dir, "pyvenv.cfg")
	write(t, "", dir, "bin", "python")
	if env, err := w.WithPython(filepath.Join(dir, "bin", "python")); err != nil || env.Dir != dir || env.Managed {
		t.Errorf("WithPython() = %+v, %v, want the environment around it", env, err)
	}
}
