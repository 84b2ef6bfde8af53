package workspace

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/environ"
)

// candidates are the names of interpreters, the user's choice first.
var candidates = []string{"python3", "python", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"}

// FindPython finds an interpreter that is new enough to make environments
// with, and its version.
func FindPython(ctx context.Context) (path, version string, err error) {
	path, found, err := pythonWish{}.find(ctx)
	return path, "Python " + found, err
}

// FindPython finds an interpreter that this workspace, in Python, can run with.
func (w *Workspace) FindPython(ctx context.Context) (string, error) {
	project, err := readDocument(w.path("pyproject.toml"))
	if err != nil {
		return "", err
	}
	wish, err := w.pythonWish(project)
	if err != nil {
		return "", err
	}
	path, _, err := wish.find(ctx)
	return path, err
}

// find finds an interpreter that the workspace can run with, and its version.
func (wish pythonWish) find(ctx context.Context) (path, version string, err error) {
	if wish.unknown != "" {
		return "", "", &Error{
			Message: fmt.Sprintf(".python-version asks for %q, which is not a version of Python", wish.unknown),
			Advice:  "write a version such as 3.12, or install uv (pip install uv), which knows other names",
		}
	}
	names := candidates
	if wish.pinned != nil || wish.specifiers != "" {
		names = append(names[:len(names):len(names)], wish.installed()...)
	}
	found := ""
	var versions []string
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		const probe = "import sys; print(sys.version.split()[0])"
		out, err := environ.Command(ctx, path, "-I", "-c", probe).Output()
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
		version := strings.TrimSpace(string(out))
		if err == nil && wish.fits(asVersion(version)) {
			return path, version, nil
		}
		if found == "" {
			found = path
		}
		if version != "" && !slices.Contains(versions, version) {
			versions = append(versions, version)
		}
	}
	return "", "", wish.notFound(found, versions)
}

func (wish pythonWish) notFound(found string, versions []string) error {
	e := &Error{Message: "there is no Python on this machine", Advice: "install Python 3.10 or newer, or uv, which brings one"}
	switch {
	case wish.pinned != nil || wish.specifiers != "":
		e.Message = "there is no Python on this machine that this workspace can run with: " + wish.why()
		if len(versions) > 0 {
			e.Message += ", and there are " + strings.Join(versions, ", ")
		}
		e.Advice = "install that Python, or uv (pip install uv), which brings one"
	case found != "":
		e.Message = found + " is older than Python 3.10, or does not start"
	}
	return e
}
