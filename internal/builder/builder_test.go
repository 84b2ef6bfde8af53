package builder_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/blob"
	"github.com/qhubctl/qhubctl/internal/blob/filestore"
	"github.com/qhubctl/qhubctl/internal/builder"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// TestMain is a preparation when a builder has started it as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "prepare" {
		if err := builder.Prepare(context.Background(), os.Args[2], os.Stdout); err != nil {
			fmt.Println(err)
			var detailed interface{ Details() string }
			if errors.As(err, &detailed) {
				fmt.Println(detailed.Details())
			}
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var detect = sync.OnceValue(func() *sandbox.Machine { return sandbox.Detect(sandbox.Options{}) })

type fixture struct {
	*testing.T
	*builder.Builder
	data string
	log  strings.Builder
}

func newFixture(t *testing.T, l builder.Limits) *fixture {
	t.Helper()
	machine := detect()
	if err := machine.Require(); err != nil {
		t.Skipf("this machine cannot confine builds: %v", err)
	}
	data := t.TempDir()
	blobs, err := filestore.Open(filepath.Join(data, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "master.key"), []byte("the key of the server"), 0o644); err != nil {
		t.Fatal(err)
	}
	b, err := builder.New(builder.Options{
		Dir: filepath.Join(data, "revisions"), Blobs: blobs, Machine: machine, Program: []string{self, "prepare"},
		Hidden: []string{data}, Limits: l, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{T: t, Builder: b, data: data}
}

func (f *fixture) Step(s registry.Step)      { fmt.Fprintf(&f.log, "[%s]\n", s) }
func (f *fixture) Say(severity, line string) { fmt.Fprintf(&f.log, "%s %s\n", severity, line) }

// upload stores an archive of files and returns a revision of it.
func (f *fixture) upload(files map[string]string) registry.Revision {
	f.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range files {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o644)
		if strings.HasPrefix(content, "\x7fELF") {
			h.SetMode(0o755)
		}
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write([]byte(content))
		}
		if err != nil {
			f.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		f.Fatal(err)
	}
	return f.uploadBytes(b.Bytes())
}

func (f *fixture) uploadBytes(b []byte) registry.Revision {
	f.Helper()
	r := registry.Revision{ID: uuid.NewString(), State: registry.Working}
	r.Source = "sources/" + r.ID
	if _, err := f.Blobs.Put(f.Context(), r.Source, bytes.NewReader(b), blob.PutOptions{}); err != nil {
		f.Fatal(err)
	}
	return r
}

// run runs an execution of a revision and returns its result.
func (f *fixture) run(r registry.Revision, inputs map[string]json.RawMessage) (result, log string) {
	f.Helper()
	scratch := f.TempDir()
	pool := forkserver.NewPool(0)
	loaded, err := f.Load(f.Context(), r, builder.RunnerOptions{Scratch: scratch, Pool: pool})
	if err != nil {
		f.Fatalf("Load = %v", err)
	}
	defer func() {
		if err := loaded.Close(); err != nil {
			f.Errorf("Close = %v", err)
		}
	}()
	var out bytes.Buffer
	run, err := loaded.Start(f.Context(), runner.Job{
		ID: execution.NewID(), Inputs: inputs, Scratch: scratch, Stdout: &out, Stderr: &out,
	})
	if err != nil {
		f.Fatalf("Start = %v", err)
	}
	outcome, err := run.Wait()
	if err != nil {
		f.Fatalf("Wait = %v, log %s", err, out.String())
	}
	defer func() { _ = run.Close() }()
	text := fmt.Sprintf("%+v", outcome)
	if content, err := readResult(run); err == nil {
		text = content
	}
	return text, out.String()
}

func readResult(run runner.Run) (string, error) {
	artifacts, err := run.Artifacts()
	if err != nil {
		return "", err
	}
	result, err := runner.ReadResult(artifacts)
	if err == nil && result.Value == nil {
		err = fs.ErrNotExist
	}
	return string(result.Value), errors.Join(err, artifacts.Close())
}

const program = `
import os
def run(name: str = "nobody") -> dict:
    found = {}
    for path in %q.split():
        try:
            found[path] = os.path.isdir(path) and os.listdir(path) or open(path).read()
        except OSError as e:
            found[path] = type(e).__name__
    open("draft.txt", "w").write("x")
    return {"hello": name, "found": found, "mode": os.environ.get("MODE"), "path": os.environ.get("PROBE")}
`

func TestBuildsAndRunsAPythonService(t *testing.T) {
	t.Setenv("PROBE", "of the server")
	f := newFixture(t, builder.Limits{})
	key := filepath.Join(f.data, "master.key")
	r := f.upload(map[string]string{
		"src/__init__.py": "", "src/program.py": fmt.Sprintf(program, key+" "+filepath.Join(f.data, "blobs")),
		"pyproject.toml": "[project]\nname = \"my-service\"\nversion = \"0.3.0\"\ndescription = \"greets\"\n[tool.qhubctl]\nenv = [\"PROBE\"]\n[tool.qhubctl.limits]\nmemory = \"300MiB\"\n",
		".env":           "SECRET_TOKEN=very-secret",
	})
	r.Settings = registry.Settings{MemoryMB: 200, Environment: map[string]string{"MODE": "fast"}}
	manifest, err := f.Build(t.Context(), r, f)
	if err != nil {
		t.Fatalf("Build = %v\n%s", err, f.log.String())
	}
	if manifest.Name != "my-service" || manifest.Version != "0.3.0" || manifest.Language != "python" || manifest.Limits.Memory != 200<<20 || !strings.Contains(string(manifest.Signature), `"name"`) {
		t.Errorf("Build = %+v", manifest)
	}
	if log := f.log.String(); !strings.Contains(log, "Left out, because no service has it: .env") || strings.Contains(log, "very-secret") {
		t.Errorf("the log is %s", log)
	}
	result, log := f.run(r, map[string]json.RawMessage{"name": json.RawMessage(`"you"`)})
	var got struct {
		Hello, Mode string
		Path        *string
		Found       map[string]any
	}
	if err := json.Unmarshal([]byte(result), &got); err != nil {
		t.Fatalf("the result is %s, %v; log %s", result, err, log)
	}
	if got.Hello != "you" || got.Mode != "fast" || got.Path != nil {
		t.Errorf("the result is %s", result)
	}
	for path, found := range got.Found {
		if text, _ := found.(string); !strings.HasSuffix(text, "Error") {
			t.Errorf("the service has read %s: %v", path, found)
		}
	}
	if _, err := os.Stat(filepath.Join(f.Dir, r.ID, "work", "draft.txt")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what an execution has written is in the revision: %v", err)
	}
}

// TestForks runs a Python service until it is forked, which all that a build leaves must
// allow.
func TestForks(t *testing.T) {
	f := newFixture(t, builder.Limits{})
	r := f.upload(map[string]string{"src/__init__.py": "", "src/program.py": "def run() -> int:\n    return 7\n"})
	if _, err := f.Build(t.Context(), r, f); err != nil {
		t.Fatalf("Build = %v\n%s", err, f.log.String())
	}
	pool, scratch := forkserver.NewPool(0), t.TempDir()
	if err := os.Chmod(scratch, 0o700); err != nil {
		t.Fatal(err)
	}
	loaded, err := f.Load(t.Context(), r, builder.RunnerOptions{Scratch: scratch, Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := loaded.Close(); err != nil {
			t.Error(err)
		}
	}()
	for range 50 { // until the zygote has imported the service
		run, err := loaded.Start(t.Context(), runner.Job{ID: execution.NewID(), Scratch: scratch, Stdout: io.Discard, Stderr: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		if outcome, err := run.Wait(); err != nil || outcome != (runner.Outcome{}) {
			t.Fatalf("Wait() = %+v, %v, want success", outcome, err)
		}
		if err := run.Close(); err != nil {
			t.Fatal(err)
		}
		if pool.Stats().Warm > 0 {
			return
		}
	}
	t.Errorf("50 executions have started %+v, want the last ones to be forks", pool.Stats())
}

// A revision whose folder is gone is made from its archive when it is needed.
func TestLoadPreparesAgain(t *testing.T) {
	f := newFixture(t, builder.Limits{})
	r := f.upload(map[string]string{"src/__init__.py": "", "src/program.py": "def run() -> int:\n    return 7\n"})
	if _, err := f.Build(t.Context(), r, f); err != nil {
		t.Fatalf("Build = %v\n%s", err, f.log.String())
	}
	if err := f.Remove(r.ID); err != nil {
		t.Fatal(err)
	}
	if result, log := f.run(r, nil); result != "7" {
		t.Errorf("the result is %s, want 7; log %s", result, log)
	}
	// A folder that a runner needs stays.
	loaded, err := f.Load(t.Context(), r, builder.RunnerOptions{Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if removed, err := f.RemoveIdle(r.ID); removed || err != nil || !f.Ready(r.ID) {
		t.Errorf("RemoveIdle() with a runner = %t, %v, want false", removed, err)
	}
	if err := loaded.Close(); err != nil {
		t.Fatal(err)
	}
	if removed, err := f.RemoveIdle(r.ID); !removed || err != nil || f.Ready(r.ID) {
		t.Errorf("RemoveIdle() = %t, %v, want true", removed, err)
	}
}

func TestFailures(t *testing.T) {
	f := newFixture(t, builder.Limits{})
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing":         {map[string]string{"README.md": "x"}, "no src/program.py"},
		"broken module":   {map[string]string{"src/__init__.py": "", "src/program.py": "import nothing_of_this_name\ndef run(): pass\n"}, "nothing_of_this_name"},
		"no function":     {map[string]string{"src/__init__.py": "", "src/program.py": "x = 1\n"}, "run"},
		"bad toml":        {map[string]string{"src/program.py": "", "pyproject.toml": "["}, "pyproject.toml"},
		"unknown package": {map[string]string{"src/program.py": "def run(): pass\n", "requirements.txt": "no-package-has-this-name-xyz\n", "pip.conf": ""}, "environment could not be prepared"},
		"go sources":      {map[string]string{"go.mod": "module x\n", "main.go": "package main\nfunc main() {}\n"}, "deployed as programs"},
		"bad program":     {map[string]string{"service": "\x7fELF and nothing else"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "unknown package" {
				t.Setenv("PIP_NO_INDEX", "1")
			}
			r := f.upload(test.files)
			_, err := f.Build(t.Context(), r, f)
			failed, ok := errors.AsType[*builder.FailedError](err)
			if !ok {
				t.Fatalf("Build = %v, want a *FailedError", err)
			}
			text := failed.Summary + "\n" + strings.Join(failed.Messages, "\n")
			if !strings.Contains(text, test.want) || strings.Contains(text, f.data) {
				t.Errorf("the failure is %q, want one about %q, without the folder of the server", text, test.want)
			}
			if _, err := os.Stat(filepath.Join(f.Dir, r.ID)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a build that failed has left its folder: %v", err)
			}
		})
	}
}

func TestRefusesABadArchive(t *testing.T) {
	f := newFixture(t, builder.Limits{})
	_, err := f.Build(t.Context(), f.uploadBytes([]byte("no archive")), f)
	if _, ok := errors.AsType[*builder.FailedError](err); !ok {
		t.Errorf("Build(no archive) = %v, want a *FailedError", err)
	}
}

// hostile is a build backend that runs code while the environment is prepared.
func hostile(code string) map[string]string {
	return map[string]string{
		"src/__init__.py": "", "src/program.py": "def run() -> int:\n    return 1\n",
		"requirements.txt":    "./evil\n",
		"evil/pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
		"evil/backend.py":     "import os, subprocess, sys, time\n" + code + "\nraise SystemExit('not built')\n",
	}
}

// installing is the same with a backend that succeeds. pip imports it more than once.
func installing(code string) map[string]string {
	files := hostile("")
	files["evil/backend.py"] = "import os, sys\nif not os.path.exists('done'):\n    open('done', 'w').close(); " + code + `
def build_wheel(d, *a, **k):
    import zipfile
    with zipfile.ZipFile(d + "/evil-1-py3-none-any.whl", "w") as z:
        z.writestr("evil.py", "")
        z.writestr("evil-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: evil\nVersion: 1\n")
        z.writestr("evil-1.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr("evil-1.dist-info/RECORD", "")
    return "evil-1-py3-none-any.whl"
`
	return files
}

func TestBuildsAreConfined(t *testing.T) {
	t.Setenv("SECRET_OF_THE_SERVER", "canary-1-of-the-server")
	t.Setenv("PIP_INDEX_URL", "https://user:canary-2@localhost:1/simple")
	t.Setenv("all_proxy", "http://user:canary-3@localhost:1")
	f := newFixture(t, builder.Limits{})
	r := f.upload(hostile(fmt.Sprintf(`
said = ["ENV", dict(os.environ)]
for path in [%q, %q, "/root", "/etc/shadow", "/proc/1/environ"]:
    try:
        said += ["FOUND " + path, os.listdir(path) if os.path.isdir(path) else open(path, "rb").read()]
    except OSError as e:
        said += ["HIDDEN " + path, type(e).__name__]
print(said, "UID", os.getuid(), flush=True)
`, filepath.Join(f.data, "master.key"), filepath.Join(f.data, "blobs"))))
	_, err := f.Build(t.Context(), r, f)
	failed, ok := errors.AsType[*builder.FailedError](err)
	if !ok {
		t.Fatalf("Build = %v, want a *FailedError", err)
	}
	log := f.log.String() + strings.Join(failed.Messages, "\n")
	for _, bad := range []string{"canary-1", "canary-2", "canary-3", "the key of the server", "UID 0", "FOUND " + f.data} {
		if strings.Contains(log, bad) {
			t.Errorf("a build has seen %q:\n%s", bad, log)
		}
	}
	if !strings.Contains(log, "HIDDEN "+f.data) {
		t.Errorf("the backend has not run:\n%s", log)
	}
}

func TestBuildsAreBounded(t *testing.T) {
	for name, test := range map[string]struct {
		code   string
		limits builder.Limits
		want   string
	}{
		"time":   {"time.sleep(600)", builder.Limits{Time: 4 * time.Second}, "longer than 4s"},
		"memory": {"x = bytearray(1 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1", builder.Limits{Memory: 300 << 20}, "memory"},
		"disk":   {"f = open('big', 'wb')\nfor i in range(1 << 20): f.write(bytes(1 << 20))", builder.Limits{Disk: 64 << 20}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, test.limits)
			begun := time.Now()
			_, err := f.Build(t.Context(), f.upload(hostile(test.code)), f)
			failed, ok := errors.AsType[*builder.FailedError](err)
			if !ok || !strings.Contains(failed.Summary, test.want) {
				t.Errorf("Build = %v, want a *FailedError about %q; log %s", err, test.want, f.log.String())
			}
			if took := time.Since(begun); took > 2*time.Minute {
				t.Errorf("Build took %s", took)
			}
		})
	}
}

// What a build has left may not lead an execution, or the server, out of its folder.
func TestRefusesLinksThatLeadOut(t *testing.T) {
	f := newFixture(t, builder.Limits{})
	for name, link := range map[string]string{
		"absolute": "os.symlink('/etc', '%s/out')", "relative": "os.symlink('../../../blobs', '%s/out')",
		"interpreter": "os.remove('%[1]s/.venv/bin/python'); os.symlink('" + f.data + "/x/y', '%[1]s/.venv/bin/python')",
		"pipe":        "os.mkfifo('%s/out')",
		"behind a link": "os.makedirs('%[1]s/a/b/c'); os.symlink(sys.base_prefix, '%[1]s/a/b/c/d'); " +
			"os.symlink('a/b/c/d/../../data', '%[1]s/out')",
	} {
		t.Run(name, func(t *testing.T) {
			r := f.upload(hostile(""))
			work := filepath.Join(f.Dir, r.ID, "work")
			id := r.ID
			r = f.upload(installing(fmt.Sprintf(link, work)))
			r.ID = id
			_, err := f.Build(t.Context(), r, f)
			wants := []string{"leads out", "behind a name", "neither"}
			if name == "interpreter" { // pip needs it again
				wants = append(wants, "prepared")
			}
			failed, ok := errors.AsType[*builder.FailedError](err)
			if !ok || !slices.ContainsFunc(wants, func(want string) bool { return strings.Contains(failed.Summary, want) }) {
				t.Errorf("Build = %v, want a *FailedError about the link; log %s", err, f.log.String())
			}
		})
	}
}

// The server writes its description of a service into the state folder: a link that a
// build has left there would lead it to any file.
func TestEmptiesTheStateFolder(t *testing.T) {
	f := newFixture(t, builder.Limits{})
	r := f.upload(hostile(""))
	work := filepath.Join(f.Dir, r.ID, "work")
	id := r.ID
	r = f.upload(installing(fmt.Sprintf("os.symlink('../src/program.py', '%s/.qhub/signature.json.%d')", work, os.Getpid())))
	r.ID = id
	if _, err := f.Build(t.Context(), r, f); err != nil {
		t.Fatalf("Build = %v; log %s", err, f.log.String())
	}
	if text, err := os.ReadFile(filepath.Join(work, "src/program.py")); err != nil || !strings.HasPrefix(string(text), "def run") {
		t.Errorf("after the build src/program.py = %.60q, %v; want it unchanged", text, err)
	}
	if info, err := os.Lstat(filepath.Join(work, ".qhub/signature.json")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("Lstat(.qhub/signature.json) = %v, %v; want a file", info, err)
	}
}
