package workspace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A pythonWish holds the settings of a workspace for its Python.
type pythonWish struct {
	// pinned is the version of .python-version, or nil. specifiers are those of
	// pyproject.toml, and constraint names their place.
	pinned     pythonVersion
	specifiers string
	constraint string
	// unknown is the text of a .python-version that is not a version.
	unknown string
	// explicit: uv does not read the specifiers itself.
	explicit bool
}

// oldestPython is the oldest version that the SDK runs with.
var oldestPython = pythonVersion{3, 10}

const newestMinor = 40

var pinnedPython = regexp.MustCompile(`^(?:(?:python|cpython)[-@]?)?(\d+(?:\.\d+){0,2})(?:$|[-+].*$)`)

func (w *Workspace) pythonWish(project document) (pythonWish, error) {
	var wish pythonWish
	text, err := os.ReadFile(w.path(".python-version"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wish, &Error{Message: "cannot read " + w.path(".python-version"), Err: err}
	}
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if found := pinnedPython.FindStringSubmatch(line); found != nil {
			wish.pinned = asVersion(found[1])
		} else {
			wish.unknown = line
		}
		break
	}
	if wish.specifiers = project.table("project").text("requires-python"); wish.specifiers != "" {
		wish.constraint = "requires-python is " + wish.specifiers
	} else if python := project.table("tool", "poetry", "dependencies").text("python"); python != "" {
		if wish.specifiers, err = poetryVersion(python); err != nil {
			return wish, poetryError("python", err)
		}
		wish.constraint, wish.explicit = "[tool.poetry.dependencies] python is "+python, true
	}
	return wish, wish.check()
}

// check finds wishes that no Python can fulfil.
func (wish pythonWish) check() error {
	const advice = "services need Python 3.10 or newer"
	if wish.pinned != nil && wish.pinned.compare(oldestPython) < 0 && len(wish.pinned) > 1 {
		return &Error{Message: fmt.Sprintf(".python-version asks for Python %s", wish.pinned), Advice: advice}
	}
	if wish.specifiers == "" {
		return nil
	}
	if _, ok := allows(wish.specifiers, oldestPython); !ok {
		return &Error{Message: fmt.Sprintf("pyproject.toml: %s, which is not a version", wish.constraint), Advice: `it is such as ">=3.10" or ">=3.11,<3.14"`}
	}
	if len(wish.pinned) > 1 {
		if !wish.allowsSome(wish.pinned) {
			return &Error{
				Message: fmt.Sprintf(".python-version asks for Python %s, and in pyproject.toml %s", wish.pinned, wish.constraint),
				Advice:  "change one of them",
			}
		}
		return nil
	}
	for minor := oldestPython[1]; minor < newestMinor; minor++ {
		if wish.allowsSome(pythonVersion{3, minor}) {
			return nil
		}
	}
	return &Error{Message: "pyproject.toml: " + wish.constraint, Advice: advice}
}

// allowsSome reports whether the specifiers allow any version that begins with
// these numbers.
func (wish pythonWish) allowsSome(v pythonVersion) bool {
	const newestMicro = 40
	if len(v) > 2 {
		allowed, _ := allows(wish.specifiers, v)
		return allowed
	}
	for micro := range newestMicro {
		if allowed, _ := allows(wish.specifiers, pythonVersion{v[0], v.at(1), micro}); allowed {
			return true
		}
	}
	return false
}

// fits reports whether a Python fulfils the wish.
func (wish pythonWish) fits(v pythonVersion) bool {
	allowed := true
	if wish.specifiers != "" {
		allowed, _ = allows(wish.specifiers, v)
	}
	return allowed && v.compare(oldestPython) >= 0 && v.begins(wish.pinned)
}

// why returns the reason for the choice of a Python.
func (wish pythonWish) why() string {
	switch {
	case wish.pinned != nil:
		return fmt.Sprintf(".python-version asks for %s", wish.pinned)
	case wish.unknown != "":
		return ".python-version asks for " + wish.unknown
	case wish.constraint != "":
		return wish.constraint
	default:
		return "the first one found"
	}
}

// installed are interpreters that version managers keep outside PATH, and that
// fulfil the wish by the names of their folders.
func (wish pythonWish) installed() []string {
	var roots []string
	if root := os.Getenv("PYENV_ROOT"); root != "" {
		roots = append(roots, root)
	}
	home, err := os.UserHomeDir()
	if err == nil {
		roots = append(roots, filepath.Join(home, ".pyenv"))
	}
	var found []string
	for _, root := range roots {
		versions, _ := filepath.Glob(filepath.Join(globEscaped(root), "versions", "3.*", "bin", "python"))
		found = append(found, versions...)
	}
	if err == nil {
		versions, _ := filepath.Glob(filepath.Join(globEscaped(home), ".local", "share", "uv", "python", "cpython-3.*", "bin", "python3"))
		found = append(found, versions...)
	}
	return slices.DeleteFunc(found, func(path string) bool {
		name := strings.TrimPrefix(filepath.Base(filepath.Dir(filepath.Dir(path))), "cpython-")
		return !wish.fits(asVersion(name))
	})
}
