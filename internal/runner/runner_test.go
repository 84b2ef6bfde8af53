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

// TestWriteInputs: a string becomes a text file with that text, all other values JSON.
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
		t.Errorf("the inputs are %v, want %d", names, len(want))
	}
}

func TestLinkInputs(t *testing.T) {
	f, dir := newDir(t), t.TempDir()
	if err := f.LinkInputs(filepath.Join(dir, "nowhere")); err != nil {
		t.Errorf("LinkInputs(no folder) = %v, want nil", err)
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
		t.Errorf("the inputs are %v, want linked.txt and n.json", names)
	}
	if got, err := os.ReadFile(filepath.Join(f.Input(), "linked.txt")); err != nil || string(got) != "content" {
		t.Errorf("the linked file holds %q (%v), want content", got, err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	if err := newDir(t).LinkInputs(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LinkInputs(a link to nowhere) = %v, want fs.ErrNotExist", err)
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
				t.Errorf("ReadResult() = %q, %v, %v, want %q, %v", got.Value, got.Files, err, test.value, test.left)
			}
		})
	}
}

// TestLinksAreNoResults: no file outside the output folder is ever read, because a service
// could name a file of the user.
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
		t.Errorf("ReadResult(links) = %q, %v, %v, want nothing", got.Value, got.Files, err)
	}
	// The same if a link replaced a file after it was listed.
	for _, name := range []string{"file.txt", "../private", "/etc/hostname"} {
		if path, err := runner.Export(output(t, f), name, t.TempDir(), name, redact.New(nil)); err == nil {
			t.Errorf("Export(%s) = %s, want an error", name, path)
		}
	}
	if err := os.RemoveAll(f.Output()); err != nil {
		t.Fatal(err)
	}
	if got, err := runner.ReadResult(output(t, f)); err != nil || got.Value != nil {
		t.Errorf("ReadResult(no output folder) = %+v, %v, want nothing", got, err)
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
			t.Errorf("%s holds %q (%v), want %q", path, got, err, want)
		}
	}
	if _, err := runner.Export(output(t, f), "c.bin", dir, "c.bin", masker); !errors.Is(err, redact.ErrWithheld) {
		t.Errorf("Export(a binary file with a secret) = %v, want ErrWithheld", err)
	}
	if got, err := os.ReadFile(outside); err != nil || string(got) != "untouched" {
		t.Errorf("the target of a link holds %q (%v), want it untouched", got, err)
	}
	if names := list(t, dir); !slices.Equal(names, []string{"[redacted].txt", "a.txt", "b.bin"}) {
		t.Errorf("the folder holds %v, want the two files and the masked name", names)
	}
}

// TestRemove removes a folder in any state that a service can leave.
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
		t.Errorf("Stat(the removed folder) = %v, want that it does not exist", err)
	}
	if _, err := runner.NewDir(filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("a folder was made nowhere")
	}
}

// TestEnvironment: a service gets no variable that is not put into its environment.
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
		t.Errorf("the environment is %s, want no canary in it", text)
	}
	for _, want := range []string{
		"LC_ALL=C.UTF-8", "HTTPS_PROXY=http://127.0.0.1:1", "INPUT_DIRECTORY=" + f.Input(), "OUTPUT_DIRECTORY=" + f.Output(),
		"DATAPOOL_DIRECTORY=" + f.DataPools(), "TMPDIR=" + f.Temp(), "PATH=/first" + string(filepath.ListSeparator) + os.Getenv("PATH"),
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("the environment is %s, want %s in it", text, want)
		}
	}
	if !slices.IsSorted(env.List()) {
		t.Error("the list is not sorted")
	}
	bare := runner.Environment{}
	bare.PrependPath("/only")
	if bare["PATH"] != "/only" {
		t.Errorf("PATH = %q, want /only", bare["PATH"])
	}
}

func TestLinkDataPool(t *testing.T) {
	f, pool := newDir(t), t.TempDir()
	write(t, "model", pool, "a.bin")
	if err := f.LinkDataPool("models", pool); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(f.DataPools(), "models", "a.bin")); err != nil || string(got) != "model" {
		t.Errorf("the file of the pool holds %q (%v), want model", got, err)
	}
	if err := f.LinkDataPool("models", pool); err == nil {
		t.Error("one data pool took the place of another")
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	if names := list(t, pool); len(names) != 1 {
		t.Errorf("the pool holds %v, want its one file untouched", names)
	}
}
