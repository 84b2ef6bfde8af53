package workspace

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/BurntSushi/toml"

	"github.com/qhubctl/qhubctl/internal/limits"
)

// limitsFile holds the limits of a service in any language, in a table
// [limits], and its network. A service in Python may have them in its
// pyproject.toml as well, under [tool.qhubctl]. Of settings that are in both,
// those of limitsFile count.
const limitsFile = "qhubctl.toml"

// A confinement holds the settings of a workspace for its executions: their limits,
// their network and their variables.
type confinement struct {
	limits    limits.Limits
	network   string
	variables []string
	// references says that secrets in .env may be references.
	references bool
}

// readConfinement reads the settings of the workspace, in its pyproject.toml and in
// a file for services in any language.
func (w *Workspace) readConfinement() (c confinement, err error) {
	given := w.project.Tool.Qhubctl
	if err := setLimits(&c.limits, w.path("pyproject.toml")+": [tool.qhubctl.limits]", given.Limits); err != nil {
		return c, err
	}
	where := w.path("pyproject.toml") + ": [tool.qhubctl]"
	if c.network, err = asNetwork(where, given.Network); err != nil {
		return c, err
	}
	if c.variables, err = readVariables(where, given.Env); err != nil {
		return c, err
	}
	c.references = given.References
	text, err := os.ReadFile(w.path(limitsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	var file map[string]any
	if err == nil {
		err = toml.Unmarshal(text, &file)
	}
	if err != nil {
		return c, &Error{Message: "cannot read " + w.path(limitsFile), Advice: "correct the file; a service needs none", Err: err}
	}
	for _, name := range slices.Sorted(maps.Keys(file)) {
		if err := w.readSetting(&c, name, file[name]); err != nil {
			return c, err
		}
	}
	return c, nil
}

// readSetting reads one setting of the file for services in any language.
func (w *Workspace) readSetting(c *confinement, name string, value any) (err error) {
	switch name {
	case "limits":
		return setLimits(&c.limits, w.path(limitsFile)+": [limits]", value)
	case "network":
		c.network, err = asNetwork(w.path(limitsFile)+":", value)
	case "env":
		c.variables, err = readVariables(w.path(limitsFile)+":", value)
	case "references":
		var ok bool
		if c.references, ok = value.(bool); !ok {
			err = &Error{Message: w.path(limitsFile) + ": references must be true or false"}
		}
	default:
		err = &Error{
			Message: fmt.Sprintf("%s: %q means nothing here", w.path(limitsFile), name),
			Advice:  "the file holds network, env, references, a table [limits], and nothing else",
		}
	}
	return err
}

// asNetwork reads the name of a network; where says in which file it stands.
func asNetwork(where string, given any) (string, error) {
	name, ok := given.(string)
	if name == "" && ok {
		return "", nil
	}
	if err := CheckNetwork(name); err != nil {
		return "", &Error{Message: fmt.Sprintf("%s network is %#v: %v", where, given, err), Advice: `such as network = "none"`}
	}
	return name, nil
}

const limitsAdvice = `such as memory = "512MiB", cpu = 1.5, cpu-time = "30s", processes = 64, time = "5m", output = "100MiB", log = "1MiB", open-files = 256, temp = "1GiB", gpu = 1`

// setLimits sets the limits of a table; where names the table.
func setLimits(l *limits.Limits, where string, given any) error {
	table, ok := given.(map[string]any)
	if given != nil && !ok {
		return &Error{Message: where + " is no table", Advice: limitsAdvice}
	}
	for _, name := range slices.Sorted(maps.Keys(table)) { // so that the first error is always the same
		if err := SetLimit(l, name, table[name]); err != nil {
			return &Error{
				Message: fmt.Sprintf("%s %s is %#v: %v", where, name, table[name], err),
				Advice:  limitsAdvice,
			}
		}
	}
	return nil
}

// confinedOtherwise reports whether the workspace, read again, has other settings
// than before.
func (w *Workspace) confinedOtherwise(before *Workspace) bool {
	c, err := w.readConfinement()
	return err != nil || c.limits != before.Limits || c.network != before.Network || !slices.Equal(c.variables, before.variables)
}
