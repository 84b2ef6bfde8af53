package forkserver

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/qhubctl/qhubctl/internal/runner"
)

// An importDir holds the home and the temporary folder of a zygote that has no
// private root folder. The zero value is none. Executions have other folders.
type importDir string

func newImportDir() (importDir, error) {
	dir, err := os.MkdirTemp("", "qhubctl-import-")
	if err != nil {
		return "", fmt.Errorf("cannot make a folder for the import: %w", err)
	}
	d := importDir(dir)
	for _, part := range d.parts() {
		if err := os.Mkdir(part, 0o700); err != nil {
			_ = d.remove()
			return "", fmt.Errorf("cannot make a folder for the import: %w", err)
		}
	}
	return d, nil
}

func (d importDir) home() string { return filepath.Join(string(d), "home") }
func (d importDir) temp() string { return filepath.Join(string(d), "tmp") }

func (d importDir) parts() []string {
	if d == "" {
		return nil
	}
	return []string{d.home(), d.temp()}
}

// place points the variables of a process at d.
func (d importDir) place(env runner.Environment) { env["HOME"], env["TMPDIR"] = d.home(), d.temp() }

func (d importDir) remove() error {
	if d == "" {
		return nil
	}
	return runner.RemoveAll(string(d))
}

// scratch lists the folders in which the import may leave files. Each fork gets copies
// of the files at the same paths. Private says that these folders are empty and
// private in forks when they restore the files. Otherwise a fork makes such folders,
// if the kernel allows it; if not, the service starts cold.
func (z *zygote) scratch() (folders []string, private bool) {
	if z.separation != nil {
		return z.separation.Plan().Scratch(), true
	}
	return z.importDir.parts(), false
}
