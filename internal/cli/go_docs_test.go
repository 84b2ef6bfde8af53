package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// A fenced block of a document. Go files begin with a comment that names them;
// bash is run, and text is what the bash before it prints: each line is a part
// of a line, in order. A block may end with another exit code than 0 if a
// comment before it says so.
var goDocBlock = regexp.MustCompile("(?ms)^(?:<!-- exits ([0-9]+) -->\n)?```([a-z]+)\n(.*?)\n```$")

// TestGoDocs does what a reader of docs/go.md does.
func TestGoDocs(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the commands of the document are for a Unix shell")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "go.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := goDocBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 10 {
		t.Fatalf("found only %d blocks", len(blocks))
	}
	reader := newGoReader(t)
	output := ""
	for _, block := range blocks {
		exits, language, content := block[1], block[2], block[3]
		switch language {
		case "go":
			first, _, _ := strings.Cut(content, "\n")
			reader.write(strings.TrimPrefix(first, "// "), content+"\n")
		case "bash":
			want, _ := strconv.Atoi(exits) // none is 0
			var code int
			if output, code = reader.run(content); code != want {
				t.Fatalf("exit code %d, want %d:\n%s\n%s", code, want, content, output)
			}
		case "text":
			if missing := missingFrom(output, content); missing != "" {
				t.Errorf("there is no %q in\n%s", missing, output)
			}
		default:
			t.Errorf("a block of %q is neither run nor compared", language)
		}
	}
}

// missingFrom is the first line that output does not have after those before.
func missingFrom(output, want string) string {
	for line := range strings.Lines(want) {
		line = strings.TrimSuffix(line, "\n")
		_, rest, found := strings.Cut(output, line)
		if !found {
			return line
		}
		output = rest
	}
	return ""
}

// goReader is someone at a shell, with qhubctl, go and a home of their own.
type goReader struct {
	t        *testing.T
	dir, env string
	environ  []string
}

func newGoReader(t *testing.T) *goReader {
	t.Helper()
	gotool := lookPath(t, "go")
	cache, err := exec.CommandContext(t.Context(), gotool, "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	path := strings.Join([]string{filepath.Dir(lookPath(t, "qhubctl")), filepath.Dir(gotool), os.Getenv("PATH")}, string(filepath.ListSeparator))
	r := &goReader{t: t, dir: filepath.Join(home, "work"), env: filepath.Join(home, "env")}
	r.environ = []string{"PATH=" + path, "HOME=" + home, "GOCACHE=" + strings.TrimSpace(string(cache)), "GOPROXY=off"}
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return r
}

func lookPath(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (r *goReader) write(name, content string) {
	r.t.Helper()
	if filepath.Ext(name) != ".go" {
		r.t.Fatalf("%q is no name of a Go file", name)
	}
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// run runs commands where those before have ended, with the variables that
// they have exported.
func (r *goReader) run(commands string) (output string, code int) {
	r.t.Helper()
	script := fmt.Sprintf("trap 'export -p >%[1]s; pwd >%[1]s.dir' EXIT\n[ ! -f %[1]s ] || . %[1]s\nset -e\n%[2]s\n", r.env, commands)
	cmd := exec.CommandContext(r.t.Context(), "sh", "-c", script)
	cmd.Dir, cmd.Env = r.dir, r.environ
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	where, err := os.ReadFile(r.env + ".dir")
	if err != nil {
		r.t.Fatal(err)
	}
	r.dir = strings.TrimSpace(string(where))
	return string(out), cmd.ProcessState.ExitCode()
}
