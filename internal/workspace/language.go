package workspace

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// A Language is the language of a service, or Prebuilt.
type Language string

const (
	// Python services are run by an interpreter in an environment.
	Python Language = "python"
	// Go services are built from the workspace.
	Go Language = "go"
	// Prebuilt services are programs that somebody else has built.
	Prebuilt Language = "prebuilt"
)

// Languages are those that a new service can be written in.
var Languages = []Language{Python, Go}

// mainEntrypoint stands for the function of a service that is a program.
const mainEntrypoint = "main"

// openBinary is the workspace of a program that is built already. The user's
// inputs and results may be anywhere, not beside the program. So its folder is
// the current one, as for any program.
func openBinary(given, path string, info fs.FileInfo) (*Workspace, error) {
	switch {
	case !info.Mode().IsRegular():
		return nil, &Error{Message: given + " is neither a folder nor a program", Advice: "name the folder that holds the service, the one with src/program.py or main.go"}
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o111 == 0:
		return nil, &Error{Message: given + " is not executable", Advice: "name the folder that holds the service, the one with src/program.py or main.go; if the file is a service that is built already: chmod +x " + given}
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, &Error{Message: "cannot find the current folder", Err: err}
	}
	name := filepath.Base(path)
	if filepath.Ext(name) == ".exe" {
		name = name[:len(name)-len(".exe")]
	}
	return &Workspace{Dir: dir, Language: Prebuilt, Entrypoint: mainEntrypoint, Name: name, binary: path}, nil
}

// OpenProgram is the workspace of a program in a folder, which says in its
// qhubctl.toml how the program is run.
func OpenProgram(dir, name string) (*Workspace, error) {
	path := filepath.Join(dir, name)
	info, err := os.Lstat(path)
	if err != nil {
		return nil, &Error{Message: "cannot open " + path, Err: err}
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return nil, &Error{Message: path + " is not executable", Advice: "chmod +x " + name}
	}
	w := &Workspace{Dir: dir, Language: Prebuilt, Entrypoint: mainEntrypoint, Name: name, binary: path}
	confined, err := w.readConfinement()
	if err != nil {
		return nil, err
	}
	w.Limits, w.Network, w.variables = confined.limits, confined.network, confined.variables
	return w, nil
}

// Program describes how to run the service in the environment.
func (w *Workspace) Program(env *Environment) (process.Program, error) {
	if env.Binary != "" {
		return process.Binary{Path: env.Binary}, nil
	}
	return w.python(env)
}

// WithPython is the workspace's environment around a Python that the user names,
// which qhubctl never changes.
func (w *Workspace) WithPython(python string) (*Environment, error) {
	if w.Language != Python {
		return nil, &Error{
			Message: fmt.Sprintf("the service in %s is not written in Python", w.Dir),
			Advice:  "leave out --python",
		}
	}
	absolute, err := filepath.Abs(python)
	if err != nil {
		return nil, &Error{Message: "cannot find " + python, Err: err}
	}
	if !isFile(absolute) {
		return nil, &Error{
			Message: "there is no Python at " + python,
			Advice:  "name the interpreter of an environment that has qhub-commons, such as .venv/bin/python",
		}
	}
	env := &Environment{Python: absolute}
	if dir := filepath.Dir(filepath.Dir(absolute)); exists(filepath.Join(dir, "pyvenv.cfg")) {
		env.Dir = dir
		env.Origin = foreignOrigin(env)
	}
	return env, nil
}

// Activate puts the environment's own variables into those of the service.
func (e *Environment) Activate(env runner.Environment) {
	if e.Python == "" {
		return
	}
	env["PYTHONUNBUFFERED"] = "1" // log lines appear when they are written
	env.PrependPath(filepath.Dir(e.Python))
	if e.Dir != "" {
		env["VIRTUAL_ENV"] = e.Dir
	}
}

// Path is the place to show to a user: the program, the environment's folder, or
// the interpreter.
func (e *Environment) Path() string {
	for _, path := range []string{e.Binary, e.Dir} {
		if path != "" {
			return path
		}
	}
	return e.Python
}
