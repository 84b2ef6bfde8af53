package workspace

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

// A document is a TOML file, or one of its tables. A member of another type than
// the caller expects counts as missing: other tools complain about it.
type document map[string]any

// readDocument reads a file that may be missing.
func readDocument(path string) (document, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var d document
	if err == nil {
		err = toml.Unmarshal(text, &d)
	}
	if err != nil {
		return nil, &Error{Message: "cannot read " + path, Advice: "correct the file", Err: err}
	}
	return d, nil
}

// table is the table at a path of names, or nil.
func (d document) table(names ...string) document {
	for _, name := range names {
		inner, _ := d[name].(map[string]any)
		d = inner
	}
	return d
}

func (d document) text(name string) string {
	text, _ := d[name].(string)
	return text
}

func (d document) bool(name string) bool {
	yes, _ := d[name].(bool)
	return yes
}

func (d document) texts(name string) []string {
	list, _ := d[name].([]any)
	var texts []string
	for _, element := range list {
		if text, ok := element.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// tables are the elements of an array of tables.
func (d document) tables(name string) []document {
	var all []document
	switch list := d[name].(type) {
	case []map[string]any:
		for _, element := range list {
			all = append(all, element)
		}
	case []any:
		for _, element := range list {
			if table, ok := element.(map[string]any); ok {
				all = append(all, table)
			}
		}
	}
	return all
}

func (d document) has(name string) bool { _, ok := d[name]; return ok }

var nameSeparators = regexp.MustCompile(`[-_.]+`)

// packageName is the name of a Python package as indexes compare it.
func packageName(name string) string {
	return strings.ToLower(nameSeparators.ReplaceAllString(strings.TrimSpace(name), "-"))
}

var requirementName = regexp.MustCompile(`^\s*([A-Za-z0-9][A-Za-z0-9._-]*)`)

// requiredName is the name of the package that a requirement is about; empty if
// it does not begin with one.
func requiredName(requirement string) string {
	found := requirementName.FindStringSubmatch(requirement)
	if found == nil {
		return ""
	}
	return packageName(found[1])
}

// resolvedIn is a path that a file in dir gives.
func resolvedIn(dir, path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return filepath.Clean(path)
}
