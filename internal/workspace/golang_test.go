package workspace_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/workspace"
)

const goMain = `package main

import (
	"context"

	"github.com/qhubctl/qhubctl/sdk/go/service"
)

func main() {
	service.Main(func(context.Context, struct{}) (string, error) { return answer, nil })
}
`

// lay writes files below dir; a name that ends in a slash is a folder.
func lay(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenFindsTheLanguage(t *testing.T) {
	const module = "module example.com/svc\n"
	for name, c := range map[string]struct {
		files map[string]string
		inner string // a folder to open instead
		want  workspace.Language
		// An error and its hint.
		says, hint string
	}{
		"Python":                   {files: map[string]string{"src/program.py": ""}, want: workspace.Python},
		"Go":                       {files: map[string]string{"go.mod": module, "main.go": goMain}, want: workspace.Go},
		"a package of a module":    {files: map[string]string{"go.mod": module, "cmd/svc/svc.go": goMain}, inner: "cmd/svc", want: workspace.Go},
		"Python beside Go":         {files: map[string]string{"go.mod": module, "main.go": goMain, "src/program.py": ""}, want: workspace.Python},
		"a helper that is ignored": {files: map[string]string{"go.mod": module, "svc.go": goMain, "gen.go": "//go:build ignore\n\npackage gen\n"}, want: workspace.Go},
		"code that does not parse": {files: map[string]string{"go.mod": module, "main.go": "package main\n\nimport (\n"}, want: workspace.Go},
		"no main package":          {files: map[string]string{"go.mod": module, "svc.go": "package svc\n"}, says: "no package main", hint: "init"},
		"main is a folder below":   {files: map[string]string{"go.mod": module, "cmd/svc/main.go": goMain}, says: "no package main", hint: filepath.Join("cmd", "svc") + "?"},
		"no module":                {files: map[string]string{"main.go": goMain}, says: "go.mod", hint: "init --lang go"},
		"a program that generates": {files: map[string]string{"go.mod": module, "svc.go": "package svc\n", "gen.go": "//go:build ignore\n\npackage main\n"}, says: "no package main", hint: "init"},
		"a test":                   {files: map[string]string{"go.mod": module, "svc_test.go": "package main\n"}, says: "no package main", hint: "init"},
		"nothing":                  {files: map[string]string{"notes.txt": ""}, says: "holds no service", hint: "init"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			lay(t, dir, c.files)
			w, err := workspace.Open(filepath.Join(dir, filepath.FromSlash(c.inner)))
			if c.says == "" {
				if err != nil || w.Language != c.want {
					t.Fatalf("Open() = %v, %v, want %v", w, err, c.want)
				}
				return
			}
			explains(t, err, c.says, c.hint)
		})
	}
}

func explains(t *testing.T, err error, says, hint string) {
	t.Helper()
	problem, ok := errors.AsType[*workspace.Error](err)
	if !ok {
		t.Fatalf("the error is %v, want a workspace.Error", err)
	}
	if text := problem.Error() + "\n" + problem.Details(); !strings.Contains(text, says) {
		t.Errorf("the error is %s, want %q in it", text, says)
	}
	if !strings.Contains(problem.Hint(), hint) {
		t.Errorf("the hint is %s, want %q in it", problem.Hint(), hint)
	}
}

func TestOpenAProgram(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no executable bit here")
	}
	dir, here := t.TempDir(), t.TempDir()
	lay(t, dir, map[string]string{"signer": "", "notes": ""})
	if err := os.Chmod(filepath.Join(dir, "signer"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(here)
	w, err := workspace.Open(filepath.Join(dir, "signer"))
	if err != nil {
		t.Fatal(err)
	}
	if current, err := os.Getwd(); err != nil || w.Language != workspace.Prebuilt || w.Name != "signer" || w.Dir != current {
		t.Errorf("Open(a program) = %+v, want Prebuilt in the current folder", w)
	}
	env, err := w.Prepare(t.Context(), nil)
	if err != nil || env.Binary != filepath.Join(dir, "signer") || env.Managed {
		t.Errorf("Prepare() = %+v, %v, want the program itself", env, err)
	}
	if entries, err := os.ReadDir(here); err != nil || len(entries) > 0 {
		t.Errorf("the user's folder has %v (%v), want it empty", entries, err)
	}
	_, err = workspace.Open(filepath.Join(dir, "notes"))
	explains(t, err, "not executable", "chmod +x")
}

func TestOptionsOfPythonAreRefused(t *testing.T) {
	dir := t.TempDir()
	lay(t, dir, map[string]string{"go.mod": "module example.com/svc\n", "main.go": goMain})
	w, err := workspace.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.WithEntrypoint("src.other:run")
	explains(t, err, "Python", "--entrypoint")
	_, err = w.WithPython("python3")
	explains(t, err, "Python", "--python")
}

// steps counts the steps of Prepare: none if all is up to date.
type steps struct{ n atomic.Int32 }

func (s *steps) Step(string) func(error) {
	s.n.Add(1)
	return func(error) {}
}

// newGoService is a scaffold, opened.
func newGoService(t *testing.T) *workspace.Workspace {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOPROXY", "off")
	t.Setenv("GOFLAGS", "-mod=readonly")
	t.Setenv("GOWORK", "")
	dir := filepath.Join(t.TempDir(), "svc")
	if _, err := workspace.Scaffold(dir, workspace.Go); err != nil {
		t.Fatal(err)
	}
	w, err := workspace.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestTheScaffoldSatisfiesItsTools(t *testing.T) {
	w := newGoService(t)
	for _, args := range [][]string{{"vet", "./..."}, {"test", "./..."}, {"mod", "tidy", "-diff"}, {"mod", "verify"}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = w.Dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("go %s = %v, want success\n%s", strings.Join(args, " "), err, out)
		}
	}
}

func TestScaffoldWritesAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	lay(t, dir, map[string]string{"main.go": "package main"})
	_, err := workspace.Scaffold(dir, workspace.Go)
	explains(t, err, "main.go", "another folder")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("after the refusal the folder has %v (%v), want one file", entries, err)
	}
	_, err = workspace.Scaffold(dir, "cobol")
	explains(t, err, `"cobol"`, "python, go")
}

func TestOnlyAChangeIsBuiltAgain(t *testing.T) {
	w := newGoService(t)
	write := func(name, content string) func() {
		return func() { lay(t, w.Dir, map[string]string{name: content}) }
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(w.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	const sdkFile = "qhubctl-sdk/sdk/go/secret/value.go"
	for _, c := range []struct {
		what   string
		do     func()
		builds int32
	}{
		{"nothing was built", func() {}, 1},
		{"nothing changed", func() {}, 0},
		{"a file was saved unchanged", write("main.go", read("main.go")), 0},
		{"a text changed", write("README.md", "words"), 0},
		{"a test changed", write("main_test.go", "package main\n"), 0},
		{"a source changed", write("main.go", read("main.go")+"\nvar _ = 1\n"), 1},
		{"a source came", write("more.go", "package main\n"), 1},
		{"a source came that embeds", write("more.go", "package main\n\nimport _ \"embed\"\n\n//go:embed input/data.json\nvar _ []byte\n"), 1},
		{"an embedded file changed", write("input/data.json", `{"message": "hello, again"}`), 1},
		{"a log beside embedded files", write("serve.log", "reloaded"), 0},
		{"a source went", func() { remove(t, w.Dir, "more.go") }, 1},
		{"the SDK changed", write(sdkFile, read(sdkFile)+"\n"), 1},
		{"the module changed", write("go.mod", read("go.mod")+"\n"), 1},
		{"the program is gone", func() { remove(t, w.Dir, ".qhub", "service*") }, 1},
		{"the program is another", func() {
			lay(t, w.Dir, map[string]string{filepath.ToSlash(".qhub/" + filepath.Base(programOf(t, w))): "#!/bin/false"})
		}, 1},
		{"the flags changed", func() { t.Setenv("GOFLAGS", "-mod=readonly -trimpath") }, 1},
		{"nothing changed again", func() {}, 0},
		{"go is gone", func() { t.Setenv("PATH", t.TempDir()) }, 0},
	} {
		c.do()
		var progress steps
		if _, err := w.Prepare(t.Context(), &progress); err != nil {
			t.Fatalf("Prepare(%s) = %v, want nil", c.what, err)
		}
		if got := progress.n.Load(); got != c.builds {
			t.Errorf("%s: built %d times, want %d", c.what, got, c.builds)
		}
		if state, env := w.EnvironmentState(); state != workspace.Ready {
			t.Errorf("%s: the state of %s is %d, want Ready", c.what, env.Path(), state)
		}
	}
	// Still without go, which this change needs.
	write("more.go", "package main\n")()
	_, err := w.Prepare(t.Context(), new(steps))
	explains(t, err, "no Go", "install Go")
}

func remove(t *testing.T, dir string, names ...string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(append([]string{dir}, names...)...))
	if err != nil || len(found) == 0 {
		t.Fatalf("Glob(%v) = nothing, %v, want a file to remove", names, err)
	}
	for _, path := range found {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func programOf(t *testing.T, w *workspace.Workspace) string {
	t.Helper()
	_, env := w.EnvironmentState()
	return env.Binary
}

func TestSeveralAtOnceBuildOnce(t *testing.T) {
	w := newGoService(t)
	var progress steps
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, err := w.Prepare(t.Context(), &progress); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := progress.n.Load(); got != 1 {
		t.Errorf("%d builds, want 1", got)
	}
}

func TestBuildsThatFail(t *testing.T) {
	const sdk = "require github.com/qhubctl/qhubctl v0.0.0\n\nreplace github.com/qhubctl/qhubctl => ./qhubctl-sdk\n"
	for name, c := range map[string]struct {
		files      map[string]string
		says, hint string
	}{
		"the code does not compile": {
			files: map[string]string{"main.go": goMain},
			says:  "main.go:10:72: undefined: answer", hint: "compiler",
		},
		"a program that is no service": {
			files: map[string]string{"main.go": "package main\n\nfunc main() {}\n"},
			says:  "no service", hint: "service.Main(run)",
		},
		"a module that go.mod lacks": {
			files: map[string]string{"more.go": "package main\n\nimport _ \"example.com/absent\"\n"},
			says:  "example.com/absent", hint: "go mod tidy",
		},
		"a Go that is too old": {
			files: map[string]string{"go.mod": "module example.com/svc\n\ngo 1.999\n\n" + sdk},
			says:  "go >= 1.999", hint: "GOTOOLCHAIN=auto",
		},
		"two packages": {
			files: map[string]string{"other.go": "package other\n"},
			says:  "found packages main (main.go) and other", hint: "one package main",
		},
		"the SDK is gone": {
			files: map[string]string{"go.mod": "module example.com/svc\n\ngo 1.26\n\n" + strings.ReplaceAll(sdk, "./qhubctl-sdk", "./elsewhere")},
			says:  "elsewhere", hint: "the SDK is gone",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newGoService(t)
			lay(t, w.Dir, c.files)
			_, err := w.Prepare(t.Context(), new(steps))
			explains(t, err, c.says, c.hint)
			if _, err := os.Stat(programOf(t, w)); err == nil {
				t.Error("there is a program")
			}
		})
	}
}

func TestACancelledBuildSaysSo(t *testing.T) {
	w := newGoService(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Prepare(ctx, new(steps)); !errors.Is(err, context.Canceled) {
		t.Errorf("Prepare(cancelled) = %v, want context.Canceled", err)
	}
}

// TestTheDescriptionGoesWithTheProgram: a signature is cached as long as the program stays the same.
func TestTheDescriptionGoesWithTheProgram(t *testing.T) {
	w := newGoService(t)
	keys := map[string]bool{}
	for _, content := range []string{"package main\n\nvar _ = 1\n", "package main\n\nfunc init() { println() }\n"} {
		lay(t, w.Dir, map[string]string{"more.go": content})
		env, err := w.Prepare(t.Context(), new(steps))
		if err != nil {
			t.Fatal(err)
		}
		key := w.SourceKey(env)
		if key == "" || key != w.SourceKey(env) {
			t.Fatalf("SourceKey() = %q, want the same key twice", key)
		}
		keys[key] = true
	}
	if len(keys) != 2 {
		t.Errorf("two programs have the keys %q, want two different ones", slices.Collect(maps.Keys(keys)))
	}
}

// TestAServiceInGoThatChanged: Changed reports a change of the sources before they
// are built.
func TestAServiceInGoThatChanged(t *testing.T) {
	w := newGoService(t)
	env, err := w.Prepare(t.Context(), new(steps))
	if err != nil {
		t.Fatal(err)
	}
	key := w.SourceKey(env)
	for _, c := range []struct {
		file string
		want bool
	}{{"main_test.go", false}, {"README.md", false}, {".env", true}} {
		lay(t, w.Dir, map[string]string{c.file: "package main\n"})
		if got := w.Changed(env, key); got != c.want {
			t.Errorf("with another %s: %t, want %t", c.file, got, c.want)
		}
	}
	remove(t, w.Dir, ".env")
	lay(t, w.Dir, map[string]string{"more.go": "package main\n"})
	if !w.Changed(env, key) {
		t.Error("a new source is no change")
	}
}

// TestWatchAProgram: of a built program only the file itself is watched, because
// the user's current folder may hold anything.
func TestWatchAProgram(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no executable bit here")
	}
	dir, here := t.TempDir(), t.TempDir()
	signer := filepath.Join(dir, "signer")
	lay(t, dir, map[string]string{"signer": ""})
	if err := os.Chmod(signer, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(here)
	w, err := workspace.Open(signer)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := w.Watch(t.Context(), &workspace.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	// A change that does not count comes first: if it counted, there would be two tokens.
	lay(t, w.Dir, map[string]string{"notes.txt": "", "below/notes.txt": ""})
	for _, path := range []string{signer, w.EnvFile()} {
		lay(t, filepath.Dir(path), map[string]string{filepath.Base(path): "A=1"})
		select {
		case <-changed:
		case <-time.After(3 * time.Minute):
			t.Fatalf("Watch() reported nothing, want the change of %s", path)
		}
	}
	// The watcher may report the same change again, if the machine was slow.
	if changed, err = w.Watch(t.Context(), &workspace.Environment{}); err != nil {
		t.Fatal(err)
	}
	lay(t, w.Dir, map[string]string{"notes.txt": "again"})
	select {
	case <-changed:
		t.Error("a change was reported that does not count")
	case <-time.After(time.Second):
	}
}
