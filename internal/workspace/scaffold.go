package workspace

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/qhubctl/qhubctl/sdk"
)

//go:embed all:scaffold
var scaffolds embed.FS

// sdkDir is the folder of a service in Go that holds the SDK.
const sdkDir = "qhubctl-sdk"

// Scaffold writes a new service into dir, which may exist. It never overwrites
// a file: if one is in the way, nothing is written. It returns the names of
// the files it has written, where the folder of the SDK counts as one.
func Scaffold(dir string, language Language) ([]string, error) {
	files, err := scaffoldFiles(dir, language)
	if err != nil {
		return nil, err
	}
	var inTheWay, names []string
	for _, f := range files {
		if !strings.HasPrefix(f.name, sdkDir+string(filepath.Separator)) {
			names = append(names, f.name)
		} else if all := sdkDir + string(filepath.Separator); !slices.Contains(names, all) {
			names = append(names, all)
		}
		if _, err := os.Lstat(filepath.Join(dir, f.name)); !errors.Is(err, fs.ErrNotExist) {
			inTheWay = append(inTheWay, f.name)
		}
	}
	if len(inTheWay) > 0 {
		return nil, &Error{
			Message: fmt.Sprintf("%s already has %s; nothing was written", dir, strings.Join(inTheWay, ", ")),
			Advice:  "choose another folder, or move these files away",
		}
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		err := os.MkdirAll(filepath.Dir(path), 0o755) //nolint:gosec // holds no secret; the user's umask decides
		if err == nil {
			err = writeNew(path, f.content)
		}
		if err != nil {
			return nil, &Error{Message: "cannot write the new service", Err: err}
		}
	}
	return names, nil
}

// writeNew fails if the file exists by now.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // holds no secret; the user's umask decides
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

type scaffoldFile struct {
	name    string
	content []byte
}

func scaffoldFiles(dir string, language Language) ([]scaffoldFile, error) {
	if !slices.Contains(Languages, language) {
		return nil, &Error{Message: fmt.Sprintf("there is no scaffold for the language %q", language), Advice: fmt.Sprintf("known languages: %s, %s", Python, Go)}
	}
	values := map[string]string{"Name": projectName(dir), "SDK": sdkDir, "SDKModule": sdk.GoModulePath, "Go": sdk.GoOldest}
	files, err := sdkFiles(language, values)
	if err != nil {
		return nil, err
	}
	root := "scaffold/" + string(language)
	err = fs.WalkDir(scaffolds, root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fillIn(path, values)
		name := strings.ReplaceAll(strings.TrimPrefix(path, root+"/"), "dot_", ".")
		files = append(files, scaffoldFile{filepath.FromSlash(strings.TrimSuffix(name, ".tmpl")), content})
		return err
	})
	return files, err
}

// sdkFiles are the files by which a service finds its SDK, since no package index
// has it.
func sdkFiles(language Language, values map[string]string) ([]scaffoldFile, error) {
	if language == Python {
		wheel, err := sdk.PythonWheel()
		values["Wheel"] = wheel.Name
		return []scaffoldFile{{filepath.Join("vendor", wheel.Name), wheel.Content}}, err
	}
	module, err := sdk.GoModule()
	var files []scaffoldFile
	for _, name := range slices.Sorted(maps.Keys(module)) {
		files = append(files, scaffoldFile{filepath.Join(sdkDir, filepath.FromSlash(name)), module[name]})
	}
	return files, err
}

func fillIn(path string, values map[string]string) ([]byte, error) {
	text, err := scaffolds.ReadFile(path)
	if err != nil {
		return nil, err
	}
	parsed, err := template.New(path).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = parsed.Execute(&b, values)
	return b.Bytes(), err
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9]+`)

// projectName turns the name of a folder into a valid package name.
func projectName(dir string) string {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		absolute = dir
	}
	name := strings.Trim(notInName.ReplaceAllString(filepath.Base(absolute), "-"), "-")
	if name == "" {
		return "service"
	}
	return strings.ToLower(name)
}
