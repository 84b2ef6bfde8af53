package runner_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/runner"
)

func newDir(t *testing.T) runner.Dir {
	t.Helper()
	f, err := runner.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, content string, elements ...string) string {
	t.Helper()
	name := filepath.Join(elements...)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// A string is a text file that holds the text, whatever it says; all else JSON.
func TestWriteInputs(t *testing.T) {
	f := newDir(t)
	inputs := map[string]json.RawMessage{
		"text": json.RawMessage(`"null"`), "escaped": json.RawMessage(` "a\n\"é\" \u0041"`), "empty": json.RawMessage(`""`),
		"number": json.RawMessage(`1.10`), "null": json.RawMessage(`null`), "object": json.RawMessage(`{"a": "b"}`),
	}
	if err := f.WriteInputs(inputs); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"text.txt": "null", "escaped.txt": "a\n\"é\" A", "empty.txt": "", "number.json": "1.10", "null.json": "null", "object.json": `{"a": "b"}`,
	}
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(f.Input(), name))
		if err != nil || string(got) != content {
			t.Errorf("%s: %q, %v; want %q", name, got, err, content)
		}
	}
	if names := list(t, f.Input()); len(names) != len(want) {
		t.Errorf("there is %v", names)
	}
}

func TestLinkInputs(t *testing.T) {
	f, dir := newDir(t), t.TempDir()
	if err := f.LinkInputs(filepath.Join(dir, "nowhere")); err != nil {
		t.Errorf("no folder is no input: %v", err)
	}
	target := write(t, "content", t.TempDir(), "target")
	write(t, "1", dir, "n.json")
	write(t, "x", dir, "pool", "file")
	if err := os.Symlink(target, filepath.Join(dir, "linked.txt")); err != nil {
		t.Fatal(err)
	}
	if err := f.LinkInputs(dir); err != nil {
		t.Fatal(err)
	}
	if names := list(t, f.Input()); !slices.Equal(names, []string{"linked.txt", "n.json"}) {
		t.Errorf("there is %v", names)
	}
	if got, err := os.ReadFile(filepath.Join(f.Input(), "linked.txt")); err != nil || string(got) != "content" {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	if err := newDir(t).LinkInputs(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a link to nowhere: %v", err)
	}
}

// output opens the output folder until the test ends.
func output(t *testing.T, f runner.Dir) *runner.Output {
	t.Helper()
	o, err := f.OpenOutput()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}

func TestReadResult(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		value string
		left  []string
	}{
		{"nothing", nil, "", nil},
		{"an object", map[string]string{"output.json": "{}\n"}, "{}", nil},
		{"a text", map[string]string{"output.txt": "\"a\""}, `"a"`, nil},
		{"both", map[string]string{"output.json": "{}", "output.txt": "1"}, "{}", nil},
		{"files too", map[string]string{"output.json": "{}", "b.bin": "b", "a.txt": "a"}, "{}", []string{"a.txt", "b.bin"}},
		{"folders", map[string]string{"output.json": "{}", "a/b/c.txt": "c", "a/output.json": "1", "a.txt": "a"}, "{}", []string{"a.txt", "a/b/c.txt", "a/output.json"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newDir(t)
			for name, content := range test.files {
				path := filepath.Join(f.Output(), name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				write(t, content, filepath.Dir(path), filepath.Base(path))
			}
			got, err := runner.ReadResult(output(t, f))
			if err != nil || string(got.Value) != test.value || !slices.Equal(got.Files, test.left) {
				t.Errorf("%q, %v, %v", got.Value, got.Files, err)
			}
		})
	}
}

// Nothing outside the output folder is ever read: a service could name a file
// of the user's.
func TestLinksAreNoResults(t *testing.T) {
	f := newDir(t)
	secret := write(t, "private", t.TempDir(), "private")
	for _, name := range []string{"output.json", "file.txt"} {
		if err := os.Symlink(secret, filepath.Join(f.Output(), name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(f.Output(), "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := runner.ReadResult(output(t, f))
	if err != nil || got.Value != nil || len(got.Files) > 0 {
		t.Errorf("%q, %v, %v", got.Value, got.Files, err)
	}
	// Also where a file was replaced by a link after it was listed.
	for _, name := range []string{"file.txt", "../private", "/etc/hostname"} {
		if path, err := runner.Export(output(t, f), name, t.TempDir(), name, redact.New(nil)); err == nil {
			t.Errorf("%s was exported to %s", name, path)
		}
	}
	if err := os.RemoveAll(f.Output()); err != nil {
		t.Fatal(err)
	}
	if got, err := runner.ReadResult(output(t, f)); err != nil || got.Value != nil {
		t.Errorf("no output folder: %+v, %v", got, err)
	}
}

func TestExport(t *testing.T) {
	const secret = "canary-4711-value"
	masker := redact.New([]redact.Secret{{Value: []byte(secret)}})
	f := newDir(t)
	write(t, "token="+secret, f.Output(), "a.txt")
	write(t, "\x00\xff", f.Output(), "b.bin")
	write(t, "\x00"+secret, f.Output(), "c.bin")
	write(t, "named", f.Output(), secret+".txt")
	outside := write(t, "untouched", t.TempDir(), "outside")
	dir := filepath.Join(t.TempDir(), "made", "on", "demand")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "b.bin")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.txt": "token=[redacted]", "b.bin": "\x00\xff", secret + ".txt": "named"} {
		path, err := runner.Export(output(t, f), name, dir, name, masker)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if _, err := runner.Export(output(t, f), "c.bin", dir, "c.bin", masker); !errors.Is(err, redact.ErrWithheld) {
		t.Errorf("a binary file with a secret: %v", err)
	}
	if got, err := os.ReadFile(outside); err != nil || string(got) != "untouched" {
		t.Errorf("a link was followed: %q, %v", got, err)
	}
	if names := list(t, dir); !slices.Equal(names, []string{"[redacted].txt", "a.txt", "b.bin"}) {
		t.Errorf("there is %v", names)
	}
}

// A folder goes, whatever the service has made of it.
func TestRemove(t *testing.T) {
	f := newDir(t)
	write(t, "x", f.Output(), "deep", "file")
	for _, dir := range []string{filepath.Join(f.Output(), "deep"), f.Output()} {
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(f.Input()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := runner.NewDir(filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("a folder was made nowhere")
	}
}

// What is not put into an environment does not reach a service.
func TestEnvironment(t *testing.T) {
	t.Setenv("SECRET_API_TOKEN", "canary")
	t.Setenv("QHUBCTL_TEST_OTHER", "canary")
	t.Setenv("LC_ALL", "C.UTF-8")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	env := runner.BaseEnvironment()
	f := newDir(t)
	env.Place(f)
	env.PrependPath("/first")
	text := "\n" + strings.Join(env.List(), "\n") + "\n"
	if strings.Contains(text, "canary") {
		t.Errorf("there is too much in %s", text)
	}
	for _, want := range []string{
		"LC_ALL=C.UTF-8", "HTTPS_PROXY=http://127.0.0.1:1", "INPUT_DIRECTORY=" + f.Input(), "OUTPUT_DIRECTORY=" + f.Output(),
		"DATAPOOL_DIRECTORY=" + f.DataPools(), "TMPDIR=" + f.Temp(), "PATH=/first" + string(filepath.ListSeparator) + os.Getenv("PATH"),
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("there is no %s in %s", want, text)
		}
	}
	if !slices.IsSorted(env.List()) {
		t.Error("the list is not sorted")
	}
	bare := runner.Environment{}
	bare.PrependPath("/only")
	if bare["PATH"] != "/only" {
		t.Errorf("PATH is %q", bare["PATH"])
	}
}

func TestLinkDataPool(t *testing.T) {
	f, pool := newDir(t), t.TempDir()
	write(t, "model", pool, "a.bin")
	if err := f.LinkDataPool("models", pool); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(f.DataPools(), "models", "a.bin")); err != nil || string(got) != "model" {
		t.Errorf("%q, %v", got, err)
	}
	if err := f.LinkDataPool("models", pool); err == nil {
		t.Error("one data pool took the place of another")
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	if names := list(t, pool); len(names) != 1 {
		t.Errorf("the pool itself was touched: %v", names)
	}
}
