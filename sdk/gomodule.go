package sdk

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/qhubctl/qhubctl/sdk/go/service"
)

//go:embed all:go
var golang embed.FS

const (
	// GoModulePath is the module that the Go SDK belongs to, and the prefix of
	// the import paths of its packages.
	GoModulePath = "github.com/qhubctl/qhubctl"
	// GoServicePackage is the package that a service in Go is built upon.
	GoServicePackage = GoModulePath + "/sdk/go/service"
	// GoVersion is the version of the Go SDK.
	GoVersion = service.Version
	// GoOldest is the oldest language version that the Go SDK compiles with.
	GoOldest = "1.26"
)

const goReadme = `The Go SDK of qhubctl, version %s, placed here by qhubctl init so that the
service can be built where no module proxy knows the SDK. The line "replace" in
the go.mod of the service points here; without that line go takes the published
module of the same name. Licence: Apache-2.0.
`

// GoModule is the Go SDK as a separate module: the text of each file by its name, with
// slashes. It needs only the standard library. Tests are left out, because they need
// more.
func GoModule() (map[string][]byte, error) {
	files := map[string][]byte{
		"go.mod":    fmt.Appendf(nil, "module %s\n\ngo %s\n", GoModulePath, GoOldest),
		"README.md": fmt.Appendf(nil, goReadme, GoVersion),
	}
	err := fs.WalkDir(golang, "go", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		content, err := golang.ReadFile(name)
		files["sdk/"+name] = content
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the embedded Go SDK: %w", err)
	}
	return files, nil
}
