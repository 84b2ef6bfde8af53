package workspace

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/environ"
)

const variablesAdvice = `such as env = ["OMP_NUM_THREADS", "MODE=fast"]: a name, with the value that qhubctl has, or NAME=value`

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// setByUs are variables to which qhubctl and the contract give a meaning.
var setByUs = []string{
	"HOME", "TMPDIR", "WORKSPACE", "ENTRYPOINT", "INPUT_DIRECTORY", "OUTPUT_DIRECTORY", "DATAPOOL_DIRECTORY",
	"PYTHONUNBUFFERED", "VIRTUAL_ENV",
}

// readVariables reads the setting env; where says in which file it stands.
func readVariables(where string, given any) ([]string, error) {
	list, ok := given.([]any)
	if given != nil && !ok {
		return nil, &Error{Message: where + " env is no list", Advice: variablesAdvice}
	}
	var entries []string
	for _, item := range list {
		entry, _ := item.(string)
		name, _, _ := strings.Cut(entry, "=")
		// No message repeats an entry: its value may be a secret.
		refused := func(format string, about ...any) error {
			return &Error{Message: where + " env: " + fmt.Sprintf(format, about...), Advice: variablesAdvice}
		}
		switch {
		case !variableName.MatchString(name):
			return nil, refused("entry %d has no name of a variable", len(entries)+1)
		case environ.IsSecret(name) || strings.HasPrefix(name, "QHUBCTL_"):
			return nil, &Error{
				Message: fmt.Sprintf("%s env: %s is the name of a secret, which is not passed on so", where, name),
				Advice:  "declare a parameter of type SecretValue, and give it a value with --secret",
			}
		case slices.Contains(setByUs, name) || strings.HasPrefix(name, "KQH_"):
			return nil, refused("%s is set by qhubctl", name)
		case strings.ContainsRune(entry, 0):
			return nil, refused("%s has a value with a NUL", name)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// Variables are those that the workspace wants its service to have, with their
// values: from its settings, or from the environment of this program.
func (w *Workspace) Variables() map[string]string {
	values := make(map[string]string, len(w.variables))
	for _, entry := range w.variables {
		name, value, given := strings.Cut(entry, "=")
		if !given {
			if value, given = os.LookupEnv(name); !given || environ.IsSecret(name) {
				continue
			}
		}
		values[name] = value
	}
	return values
}

// SetVariables are those of Variables that the workspace sets itself. A server that
// runs services of others gives them no variable of the server.
func (w *Workspace) SetVariables() map[string]string {
	values := make(map[string]string, len(w.variables))
	for _, entry := range w.variables {
		if name, value, given := strings.Cut(entry, "="); given {
			values[name] = value
		}
	}
	return values
}
