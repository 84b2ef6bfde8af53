package workspace

import (
	"context"
	"os/exec"
	"strings"

	"github.com/qhubctl/qhubctl/internal/environ"
)

// candidates for an interpreter, the user's own choice first.
var candidates = []string{"python3", "python", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"}

// FindPython finds an interpreter that is new enough to make environments
// with, and its version.
func FindPython(ctx context.Context) (path, version string, err error) {
	const probe = "import sys; print(sys.version.split()[0]); sys.exit(0 if sys.version_info >= (3, 10) else 3)"
	found := ""
	for _, name := range candidates {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if version, err := environ.Command(ctx, path, "-I", "-c", probe).Output(); err == nil {
			return path, "Python " + strings.TrimSpace(string(version)), nil
		}
		if ctx.Err() != nil {
			return "", "", ctx.Err()
		}
		found = path
	}
	e := &Error{Message: "there is no Python on this machine", Advice: "install Python 3.10 or newer, or uv, which brings one"}
	if found != "" {
		e.Message = found + " is older than Python 3.10, or does not start"
	}
	return "", "", e
}
