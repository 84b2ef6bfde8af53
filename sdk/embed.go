// Package sdk carries the SDKs inside the program, so that it can create and prepare a
// workspace although no package index has our SDKs.
package sdk

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// "all:" because go:embed otherwise leaves out files that begin with "_", and so every
// __init__.py.
//
//go:embed all:python/src python/pyproject.toml python/README.md
var python embed.FS

// pythonFiles are the files of the Python SDK below python/src, in lexical order, with
// their content, and without the caches of interpreters.
func pythonFiles() (map[string][]byte, error) {
	const root = "python/src"
	files := map[string][]byte{}
	err := fs.WalkDir(python, root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == "__pycache__" || strings.HasSuffix(entry.Name(), ".egg-info") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) == ".pyc" {
			return nil
		}
		content, err := python.ReadFile(name)
		files[strings.TrimPrefix(name, root+"/")] = content
		return err
	})
	return files, err
}

// Describer is the module that describes Python services, as one file. It also works
// beside the upstream SDK, which has none, because it includes the modules that it is
// made of.
func Describer() ([]byte, error) {
	const dir = "python/src/qhub/commons/"
	var text bytes.Buffer
	for _, name := range []string{"annotations", "checks", "schemas"} {
		module, err := python.ReadFile(dir + name + ".py")
		if err != nil {
			return nil, err
		}
		literal, err := json.Marshal(string(module)) // a literal in Python too
		if err != nil {
			return nil, err
		}
		full := "qhub.commons." + name
		fmt.Fprintf(&text, "import sys, types; _m = sys.modules[%q] = types.ModuleType(%q); exec(%s, _m.__dict__)\n", full, full, literal)
	}
	main, err := python.ReadFile(dir + "describe.py")
	return append(text.Bytes(), main...), err
}
