package leak_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/leak"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
)

// workspace is the folder of a service, and the way to run the program in it.
type workspace struct {
	dir     string
	program string // qhubctl
	sdk     sdk
	warm    bool // the server has reported it
	flags   []string
	env     []string
}

// newWorkspace writes the service of an SDK, with a parameter for each canary,
// for a program.
func newWorkspace(t *testing.T, program string, k sdk, warm bool, canaries []leak.Canary) workspace {
	t.Helper()
	w := workspace{dir: filepath.Join(t.TempDir(), "service"), program: program, sdk: k, warm: warm}
	for _, name := range []string{"HOME", "TMPDIR", "XDG_CACHE_HOME"} {
		w.env = append(w.env, name+"="+t.TempDir())
	}
	w.env = append(w.env, "PATH="+os.Getenv("PATH"), "LANG=C.UTF-8")
	var dotenv strings.Builder
	for _, c := range canaries {
		switch c.Cell {
		case fromDotenv, undeclared, described:
			value := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(c.Value)
			fmt.Fprintf(&dotenv, "%s=\"%s\"\n", variable(c), value)
		case fromEnvironment:
			w.env = append(w.env, variable(c)+"="+c.Value)
		}
	}
	write(t, filepath.Join(w.dir, ".env"), dotenv.String())
	if k == golang {
		w.writeGo(t, canaries)
	} else {
		w.writePython(t, canaries)
	}
	return w
}

func variable(c leak.Canary) string { return "SECRET_" + strings.ToUpper(parameter(c)) }

func (w *workspace) writePython(t *testing.T, canaries []leak.Canary) {
	t.Helper()
	python, start := runnertest.SDKPython, "cold"
	if w.warm {
		start = "warm"
	}
	if w.sdk == upstream {
		python = runnertest.PublishedPython
	}
	w.flags = []string{"--python", python(t).Interpreter}
	var program strings.Builder
	program.WriteString("from typing import Optional\n\nfrom qhub.commons.secret import SecretValue\n\nfrom src import channels\n\n\ndef run(\n    mode: str,\n")
	for _, c := range declared(canaries) {
		fmt.Fprintf(&program, "    %s: Optional[SecretValue] = None,\n", parameter(c))
	}
	for _, c := range canaries {
		if c.Cell == described {
			fmt.Fprintf(&program, "    %s: str = \"see \" + channels.dotenv(%q),\n", parameter(c), variable(c))
		}
	}
	program.WriteString(") -> dict:\n    given = dict(locals())\n    return channels.carry_out(given.pop(\"mode\"), given)\n")
	write(t, filepath.Join(w.dir, "src", "__init__.py"), "")
	write(t, filepath.Join(w.dir, "src", "program.py"), program.String())
	write(t, filepath.Join(w.dir, "src", "channels.py"), read(t, filepath.Join("testdata", "python", "channels.py")))
	write(t, filepath.Join(w.dir, "pyproject.toml"), "[project]\nname = \"leaks\"\nversion = \"1\"\n[tool.qhubctl]\nstart = \""+start+"\"\n")
}

func (w *workspace) writeGo(t *testing.T, canaries []leak.Canary) {
	t.Helper()
	cache, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	w.env = append(w.env, "GOCACHE="+strings.TrimSpace(string(cache)), "GOPROXY=off", "GOFLAGS=-mod=mod")
	w.qhubctl(t, "init", w.dir, "--lang", "go")
	var fields, list strings.Builder
	for i, c := range declared(canaries) {
		fmt.Fprintf(&fields, "\tF%d *secret.Value `json:%q`\n", i, parameter(c))
		fmt.Fprintf(&list, "\t\t{%q, in.F%d, \"\"},\n", parameter(c), i)
	}
	write(t, filepath.Join(w.dir, "main.go"), read(t, filepath.Join("testdata", "go", "main.go.txt")))
	write(t, filepath.Join(w.dir, "input.go"), "package main\n\nimport \"github.com/qhubctl/qhubctl/sdk/go/secret\"\n\n"+
		"type Input struct {\n\tMode string `json:\"mode\"`\n"+fields.String()+"}\n\n"+
		"func (in Input) secrets() []named {\n\treturn []named{\n"+list.String()+"\t}\n}\n")
	if err := os.Remove(filepath.Join(w.dir, "main_test.go")); err != nil {
		t.Fatal(err)
	}
}

// command is the program in this workspace.
func (w *workspace) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), w.program, args...)
	command.Env = w.env
	return command
}

// qhubctl runs a command that must succeed.
func (w *workspace) qhubctl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := w.command(t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("qhubctl %s = %v, want success\n%s", args[0], err, out)
	}
	return string(out)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o750)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
