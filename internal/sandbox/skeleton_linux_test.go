package sandbox_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// TestHiddenFileIsReplaced renames files and folders over hidden ones while a
// command looks for them: in a folder of the workspace, and in one of the system.
func TestHiddenFileIsReplaced(t *testing.T) {
	each(t, func(t *testing.T, m *sandbox.Machine) {
		system, err := os.MkdirTemp("/opt", "sandbox-test-") //nolint:usetesting // a folder of the system
		if err != nil {
			t.Skip("no folder that every execution may read can be made: ", err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(system) })
		if err := os.Chmod(system, 0o755); err != nil {
			t.Fatal(err)
		}
		code, signal := dir(t), dir(t)
		for _, root := range []string{code, system} {
			for name, text := range map[string]string{"keys/key": "secret", "keys/other": "public", "data": "public", "folder/key": "secret"} {
				writeFile(t, filepath.Join(root, name), text, 0o644)
			}
			if err := os.Symlink("keys/other", filepath.Join(root, "link")); err != nil {
				t.Fatal(err)
			}
		}
		p := sandbox.Policy{
			Readable: []string{code, signal},
			Hidden:   []string{filepath.Join(code, "keys/key"), filepath.Join(system, "keys/key"), filepath.Join(system, "missing/key"), filepath.Join(code, "folder"), filepath.Join(system, "folder")},
		}
		cmd := exec.CommandContext(t.Context(), python, "-I", "-c", prelude+lookAgain, code, system, signal)
		cmd.Env, cmd.Dir = []string{"PATH=/usr/bin:/bin"}, "/"
		r, w := io.Pipe()
		cmd.Stdout, cmd.Stderr = w, os.Stderr
		c, err := m.Start(cmd, p)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := c.Wait()
			_ = w.CloseWithError(err)
			ended <- err
		}()
		defer func() {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}()
		lines := bufio.NewScanner(r)
		if !lines.Scan() || lines.Text() != "ready" {
			t.Fatalf("the command said %q, %v, want ready", lines.Text(), lines.Err())
		}
		for _, root := range []string{code, system} {
			writeFile(t, filepath.Join(root, "keys", "key.new"), "secret", 0o644)
			writeFile(t, filepath.Join(root, "new", "key"), "secret", 0o644)
			for _, names := range [][2]string{{"keys/key.new", "keys/key"}, {"keys", "keys.old"}, {"new", "keys"}, {"folder", "folder.old"}} {
				if err := os.Rename(filepath.Join(root, names[0]), filepath.Join(root, names[1])); err != nil {
					t.Fatal(err)
				}
			}
			writeFile(t, filepath.Join(root, "missing", "key"), "secret", 0o644)
		}
		writeFile(t, filepath.Join(signal, "go"), "", 0o644)
		var before, after map[string]string
		for _, seen := range []*map[string]string{&before, &after} {
			if !lines.Scan() || json.Unmarshal(lines.Bytes(), seen) != nil {
				t.Fatalf("the command said %q (%v), want a line of JSON", lines.Text(), lines.Err())
			}
		}
		for _, name := range []string{"code ", "system "} {
			expect(t, before, map[string]string{name + "data": "public", name + "keys/other": "public", name + "keys/key": "ENOENT|EACCES"})
			for _, path := range []string{"keys/key", "keys.old/key", "missing/key", "folder/key", "folder.old/key"} {
				expect(t, after, map[string]string{name + path: "ENOENT|EACCES"})
			}
		}
	})
}

// lookAgain looks twice: at once, and after the files were replaced.
const lookAgain = `
code, system, signal = sys.argv[1:]
def look():
    for name, root in {"code": code, "system": system}.items():
        for path in ("keys/key", "keys.old/key", "missing/key", "folder/key", "folder.old/key", "data", "link", "keys/other"):
            out[name + " " + path] = attempt(read, root + "/" + path)
    return json.dumps(out)
first = look()
print("ready", flush=True)
deadline = time.monotonic() + 30
while not os.path.exists(signal + "/go") and time.monotonic() < deadline: time.sleep(0.01)
print(first, look(), sep="\n", flush=True)
`
