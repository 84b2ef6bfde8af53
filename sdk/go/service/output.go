package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"

	"github.com/qhubctl/qhubctl/sdk/go/internal/shape"
)

const (
	outputJSON = "output.json"
	outputText = "output.txt"
)

type filesKey struct{}

// Output is the place for result files, beside the result that the service returns. ctx is
// the context of run, or derives from it.
func Output(ctx context.Context) *Files {
	if files, ok := ctx.Value(filesKey{}).(*Files); ok {
		return files
	}
	return &Files{}
}

// Files are the result files of one execution, which its caller downloads by
// name. Several goroutines may use it.
type Files struct {
	path string
	once sync.Once
	root *os.Root
	err  error
}

// Create makes a result file, or empties the one of that name. The caller
// closes it. The name is that of a file, without folders.
func (f *Files) Create(name string) (*os.File, error) {
	if f.path == "" {
		return nil, errors.New("there is no output here: service.Output needs the context that run was called with")
	}
	if err := checkFileName(name); err != nil {
		return nil, err
	}
	return f.create(name)
}

// WriteFile writes a result file.
func (f *Files) WriteFile(name string, data []byte) error {
	file, err := f.Create(name)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

func checkFileName(name string) error {
	switch {
	case name == outputJSON || name == outputText:
		return fmt.Errorf("the file %s holds the result of the service: return the result, or choose another name", name)
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") || !filepath.IsLocal(name):
		return fmt.Errorf("%q cannot be the name of a result file: it must be a plain file name", name)
	default:
		return nil
	}
}

// create opens the folder when the first file is made.
func (f *Files) create(name string) (*os.File, error) {
	f.once.Do(func() {
		if f.err = os.MkdirAll(f.path, 0o755); f.err == nil { //nolint:gosec // holds no secret; the user's umask decides
			f.root, f.err = os.OpenRoot(f.path)
		}
	})
	if f.err != nil {
		return nil, fmt.Errorf("open the output folder: %w", f.err)
	}
	return f.root.Create(name)
}

func (f *Files) write(name string, text []byte) error {
	file, err := f.create(name)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// writeResult writes the result of run.
func (f *Files) writeResult(out any) error {
	if isNothing(out) {
		return nil
	}
	compact, err := shape.Encode(out)
	if err != nil {
		return &Problem{Title: "Result cannot be encoded", Detail: err.Error()}
	}
	if compact[0] != '{' && compact[0] != '[' {
		return f.write(outputText, compact)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, compact, "", "  "); err != nil {
		return &Problem{Title: "Result cannot be encoded", Detail: err.Error()}
	}
	return f.write(outputJSON, text.Bytes())
}

// hasNothing reports whether a type is struct{}, or has no fields either.
func hasNothing(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() == 0 && t.NumMethod() == 0
}

// isNothing reports whether a result is nil, or a struct without fields.
func isNothing(out any) bool {
	v := reflect.ValueOf(out)
	switch v.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer:
		return v.IsNil()
	default:
		return hasNothing(v.Type())
	}
}
