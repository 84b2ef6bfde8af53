// Package workspace is the folder in which someone writes a service: finding
// out what it holds ([Open]), making a new one ([Scaffold]), setting up what
// it needs to run ([Workspace.Prepare]), and the description of its service
// ([Workspace.CachedSignature]).
//
// What the program keeps for a workspace lies in its folder ".qhub", which
// ignores itself for git and may be deleted at any time. No secret is ever
// written there.
package workspace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// DefaultEntrypoint is where the function of a Python service is.
const DefaultEntrypoint = "src.program:run"

const stateDir = ".qhub"

// A Workspace is a folder that holds a service. It is immutable.
type Workspace struct {
	// Dir is absolute.
	Dir string
	// Entrypoint is module:function.
	Entrypoint string
	// Name, Version and Description are the project's own words; the name of
	// the folder stands for a missing name.
	Name, Version, Description string
	// Published: the workspace wants the published kit instead of ours.
	Published bool

	project project
}

// project is the part of a pyproject.toml that matters here.
type project struct {
	Project struct {
		Name           string
		Version        string
		Description    string
		RequiresPython string `toml:"requires-python"`
		Dependencies   []string
	}
	Tool struct {
		Qhubctl struct {
			SDK        string `toml:"sdk"`
			Entrypoint string `toml:"entrypoint"`
		} `toml:"qhubctl"`
	}
}

// An Error says what is wrong with a workspace and what to do about it.
type Error struct {
	Message string
	// Detail is what another program said, or empty.
	Detail string
	// Advice is one sentence, or empty.
	Advice string
	Err    error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// Hint is the advice.
func (e *Error) Hint() string { return e.Advice }

// Details is what another program said.
func (e *Error) Details() string { return e.Detail }

// Open finds out what the folder dir holds.
func Open(dir string) (*Workspace, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, &Error{Message: "cannot find " + dir, Err: err}
	}
	info, err := os.Stat(absolute)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Error{Message: "there is no folder " + dir, Advice: "make a service with: qhubctl init " + dir}
	case err != nil:
		return nil, &Error{Message: "cannot open " + dir, Err: err}
	case !info.IsDir():
		return nil, &Error{Message: dir + " is not a folder", Advice: "name the folder that holds the service, the one with src/program.py"}
	}
	w := &Workspace{Dir: absolute, Entrypoint: DefaultEntrypoint, Name: filepath.Base(absolute)}
	if err := w.readProject(); err != nil {
		return nil, err
	}
	err = w.checkEntrypoint(dir)
	return w, err
}

// WithEntrypoint is the same workspace with another function to run.
func (w *Workspace) WithEntrypoint(entrypoint string) (*Workspace, error) {
	other := *w
	other.Entrypoint = entrypoint
	return &other, other.checkEntrypoint(w.Dir)
}

func (w *Workspace) readProject() error {
	text, err := os.ReadFile(w.path("pyproject.toml"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = toml.Unmarshal(text, &w.project)
	}
	if err != nil {
		return &Error{Message: "cannot read " + w.path("pyproject.toml"), Advice: "mend the file; a service needs none", Err: err}
	}
	p := w.project
	if p.Project.Name != "" {
		w.Name = p.Project.Name
	}
	w.Version, w.Description = p.Project.Version, p.Project.Description
	if p.Tool.Qhubctl.Entrypoint != "" {
		w.Entrypoint = p.Tool.Qhubctl.Entrypoint
	}
	switch p.Tool.Qhubctl.SDK {
	case "", "embedded":
	case "published":
		w.Published = true
	default:
		return &Error{
			Message: fmt.Sprintf("%s: [tool.qhubctl] sdk is %q", w.path("pyproject.toml"), p.Tool.Qhubctl.SDK),
			Advice:  `it may be "embedded" (the default) or "published"`,
		}
	}
	return nil
}

// checkEntrypoint looks for the file of the entry module, so that a wrong
// folder is told from a broken service before anything is installed.
func (w *Workspace) checkEntrypoint(given string) error {
	module, function, ok := strings.Cut(w.Entrypoint, ":")
	if !ok || module == "" || function == "" {
		return &Error{
			Message: fmt.Sprintf("the entrypoint %q is not of the form module:function", w.Entrypoint),
			Advice:  "the default is " + DefaultEntrypoint,
		}
	}
	file := filepath.Join(strings.Split(module, ".")...)
	for _, candidate := range []string{file + ".py", filepath.Join(file, "__init__.py")} {
		if _, err := os.Stat(w.path(candidate)); err == nil {
			return nil
		}
	}
	e := &Error{
		Message: fmt.Sprintf("%s holds no service: there is no %s", given, file+".py"),
		Advice:  "make a service with `qhubctl init`, or name the folder that holds one",
	}
	if inner := w.innerService(file + ".py"); inner != "" {
		e.Advice = "did you mean the folder " + filepath.Join(given, inner) + "?"
	}
	return e
}

// innerService is a folder one level down that holds the file.
func (w *Workspace) innerService(file string) string {
	found, err := filepath.Glob(w.path("*", file))
	if err != nil || len(found) != 1 {
		return ""
	}
	relative, err := filepath.Rel(w.Dir, found[0])
	if err != nil {
		return ""
	}
	return strings.Split(relative, string(filepath.Separator))[0]
}

func (w *Workspace) path(elements ...string) string {
	return filepath.Join(slices.Concat([]string{w.Dir}, elements)...)
}

// state is a path below the state folder, which it makes.
func (w *Workspace) state(elements ...string) (string, error) {
	dir := w.path(stateDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", &Error{Message: "cannot keep anything in " + dir, Err: err}
	}
	ignore := filepath.Join(dir, ".gitignore")
	if _, err := os.Stat(ignore); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(ignore, []byte("*\n"), 0o600); err != nil {
			return "", &Error{Message: "cannot keep anything in " + dir, Err: err}
		}
	}
	return filepath.Join(slices.Concat([]string{dir}, elements)...), nil
}

// DataPool is the folder that holds the data pool of a parameter on this
// machine; empty if there is none.
func (w *Workspace) DataPool(parameter string) string {
	for _, candidate := range []string{w.path("input", parameter), w.path("datapool", parameter)} {
		if info, err := os.Stat(candidate); err == nil && info.IsDir() {
			return candidate
		}
	}
	return ""
}

// InputDir is where input files lie when no input is given.
func (w *Workspace) InputDir() string { return w.path("input") }

// EnvFile is the workspace's .env, which may not exist.
func (w *Workspace) EnvFile() string { return w.path(".env") }
