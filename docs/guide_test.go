package docs_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

const (
	// guideToken is the token that the guide's commands give.
	guideToken = "your-test-token-here"
	// guideAPI is the address of the guide's API, which here is another.
	guideAPI = "http://127.0.0.1:8000"
	// limit ends a test that hangs.
	limit = 8 * time.Minute
)

// TestGuide does what a reader of the guide does: it writes the files, runs
// the commands in order, and compares what they print.
//
// A block of the language bash is run, one of text is what the block before it
// prints: each of its lines, in order, where … stands for anything. A block
// whose first line is a comment with a file's name is that file.
func TestGuide(t *testing.T) {
	t.Parallel()
	api := newTokenAPI(t)
	shell := newShell(t)
	var output string
	for _, b := range readBlocks(t, "guide.md") {
		text := strings.ReplaceAll(b.text, guideAPI, api.URL)
		switch name, content := b.file(text); {
		case name != "":
			shell.write(name, content)
		case b.language == "bash":
			if b.says("with uv") {
				shell.addPath(needDir(t, testenv.UV))
			}
			var code int
			output, code = shell.run(text)
			output = strings.ReplaceAll(output, api.URL, guideAPI)
			if code != b.exitCode() {
				t.Fatalf("line %d of the guide: exit code %d, want %d\n%s\n%s", b.line, code, b.exitCode(), b.text, output)
			}
			if strings.Contains(output, guideToken) {
				t.Errorf("line %d of the guide: the output shows the token, want it masked", b.line)
			}
		case b.language == "text":
			if missing := missingLine(output, b.text); missing != "" {
				t.Errorf("line %d of the guide: want %q in\n%s", b.line, missing, output)
			}
		default:
			t.Errorf("line %d of the guide: a block of %q is neither run nor compared, want no such block", b.line, b.language)
		}
	}
	if got := api.calls(); !slices.Contains(got, "PUT /models/demand.bin weights") || !slices.Contains(got, "GET /weather ") {
		t.Errorf("the API was called with %q, want the GET and the PUT of the guide", got)
	}
	if api.refused() > 0 {
		t.Errorf("%d calls came without the token, want 0", api.refused())
	}
}

// block is a fenced block of a document.
type block struct {
	line     int
	language string
	text     string
	remark   string // the HTML comment before it
}

var blockPattern = regexp.MustCompile("(?ms)^(<!-- [^\n]* -->\n)?```([a-z]*)\n(.*?)^```$") //nolint:gocritic // ^ is the start of a line

func readBlocks(t *testing.T, path string) []block {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	for _, m := range blockPattern.FindAllSubmatchIndex(text, -1) {
		b := block{line: 1 + strings.Count(string(text[:m[0]]), "\n"), language: string(text[m[4]:m[5]]), text: string(text[m[6]:m[7]])}
		if m[2] >= 0 {
			b.remark = strings.Trim(string(text[m[2]:m[3]]), "<!-> \n")
		}
		blocks = append(blocks, b)
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no blocks, want some", path)
	}
	return blocks
}

func (b block) says(remark string) bool { return b.remark == remark }

// exitCode is the one that the block must end with.
func (b block) exitCode() int {
	if code, ok := strings.CutPrefix(b.remark, "exits "); ok {
		n, err := strconv.Atoi(code)
		if err != nil {
			panic(err)
		}
		return n
	}
	return 0
}

// file is the name and content of the file that the block is, if it is one.
// JSON has no comments, so there the first line is not a part of it.
func (b block) file(text string) (name, content string) {
	first, rest, _ := strings.Cut(text, "\n")
	switch b.language {
	case "python", "dotenv":
		if name, ok := strings.CutPrefix(first, "# "); ok {
			return name, text
		}
	case "go":
		if name, ok := strings.CutPrefix(first, "// "); ok {
			return name, text
		}
	case "json":
		if name, ok := strings.CutPrefix(first, "// "); ok {
			return name, rest
		}
	}
	return "", ""
}

// missingLine is the first line of want that output does not have after the
// lines before it; empty if it has all.
func missingLine(output, want string) string {
	lines := strings.Split(output, "\n")
	for line := range strings.SplitSeq(strings.TrimSpace(want), "\n") {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*") + "$")
		found := slices.IndexFunc(lines, func(l string) bool { return pattern.MatchString(strings.TrimSpace(l)) })
		if found < 0 {
			return line
		}
		lines = lines[found+1:]
	}
	return ""
}

// shell is one bash that runs commands in turn, in a separate home, with
// qhubctl and Python in its path.
type shell struct {
	t     *testing.T
	dir   string
	in    io.WriteCloser
	out   *bufio.Reader
	count int
}

func newShell(t *testing.T) *shell {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skipf("the guide's commands need bash: %v", err)
	}
	dir := t.TempDir()
	python, err := testenv.PythonDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	installers, err := testenv.Installers()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	command := exec.CommandContext(ctx, bash, "--noprofile", "--norc")
	command.Dir = filepath.Join(dir, "work")
	if err := os.Mkdir(command.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := strings.Join([]string{needDir(t, qhubctl), python, "/usr/bin", "/bin"}, string(filepath.ListSeparator))
	command.Env = append([]string{"PATH=" + path, "HOME=" + dir, "LANG=C.UTF-8", "TMPDIR=" + dir}, installers...)
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = command.Wait()
		cancel()
	})
	s := &shell{t: t, dir: dir, in: in, out: bufio.NewReader(out)}
	// The code of the first command that fails, as `set -e` would end with.
	s.run(`trap 'last=$?; [ "$code" != 0 ] || code=$last' ERR`)
	return s
}

// run runs commands and returns what they print and the exit code.
func (s *shell) run(commands string) (output string, code int) {
	s.t.Helper()
	s.count++
	file := filepath.Join(s.dir, "commands"+strconv.Itoa(s.count))
	if err := os.WriteFile(file, []byte(commands), 0o600); err != nil {
		s.t.Fatal(err)
	}
	end := fmt.Sprintf("end of commands %d: ", s.count)
	if _, err := fmt.Fprintf(s.in, "code=0; source '%s' </dev/null; echo; echo \"%s$code\"\n", file, end); err != nil {
		s.t.Fatal(err)
	}
	var text strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			s.t.Fatalf("the shell ended: %v, want the output of the commands\n%s", err, &text)
		}
		if rest, ok := strings.CutPrefix(line, end); ok {
			code, err := strconv.Atoi(strings.TrimSpace(rest))
			if err != nil {
				s.t.Fatal(err)
			}
			return text.String(), code
		}
		text.WriteString(line)
	}
}

// must runs commands that may not fail.
func (s *shell) must(commands string) string {
	s.t.Helper()
	output, code := s.run(commands)
	if code != 0 {
		s.t.Fatalf("exit code %d, want 0\n%s\n%s", code, commands, output)
	}
	return output
}

// write writes a file in the shell's folder.
func (s *shell) write(name, content string) {
	s.t.Helper()
	dir := strings.TrimSpace(s.must("pwd"))
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shell) addPath(dir string) {
	s.t.Helper()
	s.must(fmt.Sprintf("export PATH='%s':\"$PATH\"", dir))
}

// qhubctl is the folder of the program, built once.
var qhubctl = sync.OnceValues(func() (string, error) { return testenv.Build(buildDir) })

// buildDir lives as long as the tests.
var buildDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "qhubctl-docs-")
		if err != nil {
			panic(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		buildDir = dir
		return m.Run()
	}())
}

func needDir(t *testing.T, made func() (string, error)) string {
	t.Helper()
	dir, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// tokenAPI answers requests that have the token, and records them.
type tokenAPI struct {
	*httptest.Server
	mu      sync.Mutex
	noted   []string
	without int
}

func newTokenAPI(t *testing.T) *tokenAPI {
	t.Helper()
	api := &tokenAPI{}
	api.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		api.mu.Lock()
		defer api.mu.Unlock()
		if err != nil || r.Header.Get("Authorization") != "Bearer "+guideToken {
			api.without++
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		api.noted = append(api.noted, r.Method+" "+r.URL.Path+" "+string(body))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"temperature": 21}`)
	}))
	t.Cleanup(api.Close)
	return api
}

func (a *tokenAPI) calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.noted)
}

func (a *tokenAPI) refused() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.without
}
