package cli_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/qhubctl/qhubctl/internal/redact"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestScripts runs scripts. Each tests one behaviour of the program, which runs as a
// separate process with a separate home. Scripts may use testscript's commands and
// these:
//
//	exits CODE PROGRAM ARG...   runs a program, which must end with CODE and
//	                            print neither a Go panic nor a traceback at the
//	                            left margin
//	noleak VALUE [PATH...]      neither the last output nor a file below the
//	                            paths holds the value in any form
//	gone FILE                   no process runs that a line of the file numbers
//	with-references             qhubctl-refs is in PATH
//	with-published              PYTHON is one with the upstream SDK
//	with-uv                     uv is in PATH
//	without-path                PATH holds qhubctl alone
//
// and these variables: PYTHON has our SDK; BARE, which PATH finds, has not.
func TestScripts(t *testing.T) {
	python, pythonDir := sdkPython(t), pythonFolder(t)
	qhubctl, err := exec.LookPath("qhubctl")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PYTHON", python)
			e.Setenv("BARE", filepath.Join(pythonDir, "python3"))
			e.Setenv("BARE_DIR", pythonDir)
			e.Setenv("BIN", filepath.Dir(qhubctl))
			e.Setenv("PATH", strings.Join([]string{filepath.Dir(qhubctl), pythonDir, "/usr/bin", "/bin"}, string(filepath.ListSeparator)))
			for _, name := range []string{"HOME", "XDG_CACHE_HOME"} {
				dir := filepath.Join(e.WorkDir, "."+strings.ToLower(name))
				if err := os.Mkdir(dir, 0o700); err != nil {
					return err
				}
				e.Setenv(name, dir)
			}
			return passInstallers(e)
		},
		Condition: func(name string) (bool, error) {
			if name != "root" {
				return false, errors.New("unknown condition " + name)
			}
			return os.Getuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":          cmdExits,
			"noleak":         cmdNoLeak,
			"gone":           cmdGone,
			"with-published": cmdWithPublished,
			"with-references": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Setenv("PATH", filepath.Dir(testenv.References(t))+string(filepath.ListSeparator)+ts.Getenv("PATH"))
			},
			"with-uv":      cmdWithUV,
			"without-path": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Setenv("PATH", ts.Getenv("BIN")) },
		},
	})
}

// pythonFolder is a folder with a python3 and nothing else.
func pythonFolder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(need(t, testenv.Python), filepath.Join(dir, "python3")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// passInstallers lets pip and uv reach their index as this machine is set up
// to, and keep what they download from one test run to the next.
func passInstallers(e *testscript.Env) error {
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if isInstallers(name) {
			e.Setenv(name, value)
		}
	}
	cache, err := testenv.CacheDir()
	if err != nil {
		return err
	}
	e.Setenv("PIP_CACHE_DIR", filepath.Join(cache, "pip"))
	e.Setenv("UV_CACHE_DIR", filepath.Join(cache, "uv-cache"))
	e.Setenv("UV_PYTHON_DOWNLOADS", "never")
	return nil
}

// isInstallers reports whether a variable tells an installer how to reach its
// index.
func isInstallers(name string) bool {
	name = strings.ToUpper(name)
	return strings.HasPrefix(name, "PIP_") || strings.HasPrefix(name, "UV_") || strings.HasPrefix(name, "SSL_CERT_") || strings.HasSuffix(name, "_PROXY")
}

var crash = regexp.MustCompile(`(?m)^(panic:|goroutine \d+|fatal error:|Traceback \(most recent call last\))`)

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
	// The log of a service may hold a traceback; what qhubctl says may not.
	if stderr := ts.ReadFile("stderr"); want == 2 && crash.MatchString(stderr) {
		ts.Fatalf("a bare crash: %s", crash.FindString(stderr))
	}
}

func cmdNoLeak(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: noleak VALUE [PATH...]")
	}
	forms := redact.Forms([]byte(args[0]))
	for _, name := range []string{"stdout", "stderr"} {
		if form := holds([]byte(ts.ReadFile(name)), forms); form != nil {
			ts.Fatalf("%s holds the secret as %q", name, form)
		}
	}
	for _, path := range args[1:] {
		if err := noLeakBelow(ts.MkAbs(path), forms); err != nil {
			ts.Fatalf("%v", err)
		}
	}
}

// noLeakBelow looks for the forms in all files below path, and in their names.
func noLeakBelow(path string, forms [][]byte) error {
	return filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if form := holds([]byte(entry.Name()), forms); form != nil {
			return errors.New("the name " + name + " holds the secret")
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(name)
		if form := holds(content, forms); form != nil {
			return errors.New(name + " holds the secret as " + strconv.Quote(string(form)))
		}
		return err
	})
}

func holds(text []byte, forms [][]byte) []byte {
	for _, form := range forms {
		if bytes.Contains(text, form) {
			return form
		}
	}
	return nil
}

func cmdWithPublished(ts *testscript.TestScript, _ bool, _ []string) {
	dir, err := upstream()
	ts.Check(err)
	ts.Setenv("PYTHON", testenv.Program(dir, "python"))
}

func cmdWithUV(ts *testscript.TestScript, _ bool, _ []string) {
	dir, err := testenv.UV()
	ts.Check(err)
	ts.Setenv("PATH", dir+string(filepath.ListSeparator)+ts.Getenv("PATH"))
}

func cmdGone(ts *testscript.TestScript, _ bool, args []string) {
	for _, line := range strings.Fields(ts.ReadFile(args[0])) {
		pid, err := strconv.Atoi(line)
		ts.Check(err)
		if runs(pid) {
			ts.Fatalf("process %d still runs", pid)
		}
	}
}

// runs reports whether a process runs. A zombie, which has ended and whose parent
// has not waited for it, does not.
func runs(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(state, []byte("Z")) && !bytes.HasPrefix(state, []byte("X"))
}
