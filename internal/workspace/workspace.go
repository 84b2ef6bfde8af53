// Package workspace handles the folder in which a developer writes a service. It
// opens it ([Open]), creates a new one ([Scaffold]), sets up its environment
// ([Workspace.Prepare]), finds the program to run ([Workspace.Program]), and
// caches the description of its service ([Workspace.CachedSignature]).
//
// Only this package knows how the languages of services differ.
//
// The program keeps its data for a workspace in the folder ".qhub", which
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

	"github.com/qhubctl/qhubctl/internal/limits"
)

// DefaultEntrypoint is where the function of a Python service is.
const DefaultEntrypoint = "src.program:run"

const stateDir = ".qhub"

// A Workspace is a folder that holds a service. It is immutable.
type Workspace struct {
	// Dir is absolute.
	Dir string
	// Language that the service is written in.
	Language Language
	// Entrypoint is module:function of a service in Python, "main" of others.
	Entrypoint string
	// Name, Version and Description are the project's own words; the name of
	// the folder stands for a missing name.
	Name, Version, Description string
	// UpstreamSDK: the workspace wants the upstream SDK instead of ours.
	UpstreamSDK bool
	// Cold: each execution starts a fresh interpreter, never a fork of one
	// that has imported the service.
	Cold bool
	// Limits are those that the workspace sets for each execution.
	Limits limits.Limits
	// Network is what executions may reach of the network, by the workspace's
	// own choice: "full", "loopback" or "none", or empty.
	Network string
	// References says that secrets in .env may be references to other stores.
	References bool
	// Settings are further files that say how the service is run, such as one of
	// variables. A server watches them.
	Settings []string

	project   project
	binary    string   // of a service that is built already
	variables []string // NAME or NAME=value
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
			SDK        string   `toml:"sdk"`
			Entrypoint string   `toml:"entrypoint"`
			Start      string   `toml:"start"`
			Network    string   `toml:"network"`
			Limits     any      // a table
			Env        any      // a list
			Watch      []string `toml:"watch"`
			References bool     `toml:"references"`
		} `toml:"qhubctl"`
	}
}

// An Error is a problem of a workspace, with the way out.
type Error struct {
	Message string
	// Detail is the output of another program, or empty.
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

// Details returns the output of another program.
func (e *Error) Details() string { return e.Detail }

// Open reads the workspace in the folder dir. The name of a program file stands
// for a service that is built already, in the current folder.
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
		return openBinary(dir, absolute, info)
	}
	w := &Workspace{Dir: absolute, Language: Python, Entrypoint: DefaultEntrypoint, Name: filepath.Base(absolute)}
	if err := w.readProject(); err != nil {
		return nil, err
	}
	confined, err := w.readConfinement()
	if err != nil {
		return nil, err
	}
	w.Limits, w.Network, w.variables = confined.limits, confined.network, confined.variables
	w.References = confined.references
	if w.entryFile() == "" && w.looksLikeGo() {
		return w.asGo(dir)
	}
	err = w.checkEntrypoint(dir)
	return w, err
}

// WithEntrypoint is the same workspace with another function to run.
func (w *Workspace) WithEntrypoint(entrypoint string) (*Workspace, error) {
	other := *w
	other.Language, other.Entrypoint = Python, entrypoint
	if w.Language != Python && other.entryFile() == "" {
		return nil, &Error{
			Message: "an entrypoint is a function of a service in Python, and this one is not",
			Advice:  "leave out --entrypoint: a service in Go is the main package of its folder",
		}
	}
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
		return &Error{Message: "cannot read " + w.path("pyproject.toml"), Advice: "correct the file, or delete it: a service needs none", Err: err}
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
		w.UpstreamSDK = true
	default:
		return &Error{
			Message: fmt.Sprintf("%s: [tool.qhubctl] sdk is %q", w.path("pyproject.toml"), p.Tool.Qhubctl.SDK),
			Advice:  `it may be "embedded" (the default) or "published"`,
		}
	}
	switch p.Tool.Qhubctl.Start {
	case "", "warm":
	case "cold":
		w.Cold = true
	default:
		return &Error{
			Message: fmt.Sprintf("%s: [tool.qhubctl] start is %q", w.path("pyproject.toml"), p.Tool.Qhubctl.Start),
			Advice:  `it may be "warm" (the default) or "cold"`,
		}
	}
	return nil
}

// checkEntrypoint looks for the file of the entry module, so that a wrong
// folder is reported as such before anything is installed.
func (w *Workspace) checkEntrypoint(given string) error {
	module, function, ok := strings.Cut(w.Entrypoint, ":")
	if !ok || module == "" || function == "" {
		return &Error{
			Message: fmt.Sprintf("the entrypoint %q is not of the form module:function", w.Entrypoint),
			Advice:  "the default is " + DefaultEntrypoint,
		}
	}
	if w.entryFile() != "" {
		return nil
	}
	file := filepath.Join(strings.Split(module, ".")...) + ".py"
	e := &Error{
		Message: fmt.Sprintf("%s holds no service: there is no %s, and no main package in Go", given, file),
		Advice:  "make a service with `qhubctl init`, or name the folder that holds one",
	}
	if inner := w.innerService("*", file); inner != "" {
		e.Advice = "did you mean the folder " + filepath.Join(given, inner) + "?"
	}
	return e
}

// entryFile is the file of the entry module; empty if there is none.
func (w *Workspace) entryFile() string {
	module, _, _ := strings.Cut(w.Entrypoint, ":")
	file := filepath.Join(strings.Split(module, ".")...)
	for _, candidate := range []string{w.path(file + ".py"), w.path(file, "__init__.py")} {
		if _, err := os.Stat(candidate); err == nil {
			return candidate
		}
	}
	return ""
}

// innerService is the only folder below that has such a file.
func (w *Workspace) innerService(dir, file string) string {
	found, err := filepath.Glob(w.path(dir, file))
	if err != nil || len(found) != 1 {
		return ""
	}
	relative, err := filepath.Rel(w.Dir, strings.TrimSuffix(found[0], file))
	if err != nil {
		return ""
	}
	return relative
}

func (w *Workspace) path(elements ...string) string {
	return filepath.Join(slices.Concat([]string{w.Dir}, elements)...)
}

// StateDir is the folder of files that can be computed again.
func (w *Workspace) StateDir() string { return w.path(stateDir) }

// state is a path below the state folder, which it makes.
func (w *Workspace) state(elements ...string) (string, error) {
	dir := w.StateDir()
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

// InputDir is where input files lie when no input is given.
func (w *Workspace) InputDir() string { return w.path("input") }

// EnvFile is the workspace's .env, which may not exist.
func (w *Workspace) EnvFile() string { return w.path(".env") }
