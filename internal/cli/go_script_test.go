package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Scripts about services in Go, which need nothing but go: PATH has no more. There is
// no module proxy either, as a new service must not need one. EXAMPLES is the
// folder of the examples.
func TestGoScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "go"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setupGo,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// without-go: PATH holds qhubctl alone.
			"without-go": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Setenv("PATH", ts.Getenv("BIN"))
			},
			// nowhere VALUE PATH...: no file below the paths holds the value.
			"nowhere": nowhere,
		},
	})
}

func setupGo(e *testscript.Env) error {
	gotool, err := exec.LookPath("go")
	if err != nil {
		return err
	}
	qhubctl, err := exec.LookPath("qhubctl")
	if err != nil {
		return err
	}
	// The compiled packages are kept from one test run to the next.
	cache, err := exec.CommandContext(e.T().(testing.TB).Context(), gotool, "env", "GOCACHE").Output()
	if err != nil {
		return err
	}
	examples, err := filepath.Abs(filepath.Join("..", "..", "examples"))
	if err != nil {
		return err
	}
	home, tools := filepath.Join(e.WorkDir, ".home"), filepath.Join(e.WorkDir, ".tools")
	for _, dir := range []string{home, tools} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	if err := os.Symlink(gotool, filepath.Join(tools, filepath.Base(gotool))); err != nil {
		return err
	}
	e.Setenv("BIN", filepath.Dir(qhubctl))
	e.Setenv("PATH", filepath.Dir(qhubctl)+string(filepath.ListSeparator)+tools)
	e.Setenv("HOME", home)
	e.Setenv("GOCACHE", strings.TrimSpace(string(cache)))
	e.Setenv("GOPROXY", "off")
	e.Setenv("EXAMPLES", examples)
	return nil
}

func nowhere(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: nowhere VALUE PATH...")
	}
	for _, path := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(path), func(name string, entry os.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			if strings.Contains(ts.ReadFile(name), args[0]) {
				ts.Fatalf("%s holds the value", name)
			}
			return nil
		}))
	}
}
