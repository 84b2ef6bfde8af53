// Package sdk carries the software development SDKs inside the program, so
// that a workspace can be made and prepared where no package index knows us.
package sdk

import (
	"embed"
	"io/fs"
	"path"
	"strings"
)

// "all:" because go:embed otherwise drops files that begin with "_", and with
// them every __init__.py.
//
//go:embed all:python/src python/pyproject.toml python/README.md
var python embed.FS

// pythonFiles are the files of the Python SDK below python/src, in lexical
// order, with their content; what interpreters leave behind is not among them.
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

// Describer is the module that describes Python services. It also works beside
// the upstream SDK, which has none.
func Describer() ([]byte, error) { return python.ReadFile("python/src/qhub/commons/describe.py") }
