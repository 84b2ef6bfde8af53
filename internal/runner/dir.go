// Package runner defines the interface [Runner], and the parts that all ways of
// running an execution share: its folder, its environment, and its result.
package runner

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// A Dir is the scratch space of one execution. Nothing in it outlives the
// execution except the files that the caller takes out of Output.
type Dir struct{ root string }

// NewDir makes the space below parent; an empty parent is the system's
// temporary folder.
func NewDir(parent string) (Dir, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	root := newRoot(parent)
	if err := os.Mkdir(root, 0o700); err != nil {
		return Dir{}, fmt.Errorf("cannot make a folder for the execution: %w", err)
	}
	f := Dir{root}
	for _, dir := range f.parts() {
		if err := os.Mkdir(dir, 0o700); err != nil {
			_ = f.Remove()
			return Dir{}, fmt.Errorf("cannot make a folder for the execution: %w", err)
		}
	}
	return f, nil
}

// newRoot returns a name that cannot be guessed without listing the parent.
func newRoot(parent string) string {
	return filepath.Join(parent, "qhubctl-run-"+rand.Text()[:16])
}

func (f Dir) parts() []string {
	return []string{f.Input(), f.Output(), f.DataPools(), f.Temp(), f.Home()}
}

// Root is the folder that holds all of it.
func (f Dir) Root() string { return f.root }

// DirAt is the folder of an execution whose process sees it at root.
func DirAt(root string) Dir { return Dir{root} }

// Input holds a file for each input parameter.
func (f Dir) Input() string { return filepath.Join(f.root, "input") }

// Output is where the service writes its result.
func (f Dir) Output() string { return filepath.Join(f.root, "output") }

// DataPools holds a folder, or a link to one, for each data pool.
func (f Dir) DataPools() string { return filepath.Join(f.root, "datapool") }

// Temp is the TMPDIR of the execution.
func (f Dir) Temp() string { return filepath.Join(f.root, "tmp") }

// Home is a separate home for the execution, empty at its start.
func (f Dir) Home() string { return filepath.Join(f.root, "home") }

// Remove deletes all of it, even folders that the service has made read-only.
func (f Dir) Remove() error { return RemoveAll(f.root) }

// WriteInputs writes the inputs as the SDKs read them. A JSON string becomes a
// text file with the plain text, so that any text stays a string; any other
// value becomes a JSON file.
func (f Dir) WriteInputs(inputs map[string]json.RawMessage) error {
	return f.writeInputs(inputs, nil)
}

// writeInputs writes into the kept files of an earlier execution if the names fit,
// and removes the others.
func (f Dir) writeInputs(inputs map[string]json.RawMessage, kept []string) error {
	for name, value := range inputs {
		file, content := name+".json", []byte(value)
		if trimmed := bytes.TrimLeft(value, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '"' {
			var text string
			if err := json.Unmarshal(value, &text); err != nil {
				return fmt.Errorf("the input %s: %w", name, err)
			}
			file, content = name+".txt", []byte(text)
		}
		write := create
		if at := slices.Index(kept, file); at >= 0 {
			write, kept = overwrite, slices.Delete(kept, at, at+1)
		}
		if err := write(filepath.Join(f.Input(), file), content); err != nil {
			return fmt.Errorf("cannot write the input %s: %w", name, err)
		}
	}
	for _, file := range kept {
		if err := os.Remove(filepath.Join(f.Input(), file)); err != nil {
			return fmt.Errorf("cannot remove an input: %w", err)
		}
	}
	return nil
}

func create(path string, content []byte) error { return os.WriteFile(path, content, 0o600) }

// LinkDataPool makes the folder target the data pool of a parameter.
func (f Dir) LinkDataPool(parameter, target string) error {
	absolute, err := filepath.Abs(target)
	if err != nil {
		return fmt.Errorf("the data pool %s: %w", parameter, err)
	}
	if err := os.Symlink(absolute, filepath.Join(f.DataPools(), parameter)); err != nil {
		return fmt.Errorf("cannot provide the data pool %s: %w", parameter, err)
	}
	return nil
}
