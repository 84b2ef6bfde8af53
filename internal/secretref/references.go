package secretref

import (
	"context"
	"errors"
	"fmt"

	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/reference"
)

// A Fetch fetches the value of a reference. Its error names the reference, and holds
// nothing of a value.
type Fetch func(ctx context.Context, text string) (plaintext.Bytes, error)

// UseReferences has secrets in the files that begin with "ref+" count as references, see
// package reference, until [Files.Resolve] replaces them. Those of the form
// ref+literal://TEXT are the text.
func (f *Files) UseReferences() {
	for i := range f.files {
		file := &f.files[i]
		file.references = make([]bool, len(file.variables))
		for j, v := range file.variables {
			if environ.IsSecret(v.Name) {
				found := Found{Value: v.Value}.UseReference()
				file.variables[j].Value, file.references[j] = found.Value, found.Reference
			}
		}
	}
}

// UseReference has a value that begins with "ref+" count as a reference.
func (f Found) UseReference() Found {
	if text, ok := reference.Literal(f.Value.Reveal()); ok {
		f.Value = plaintext.FromString(string(text))
	} else {
		f.Reference = f.Reference || reference.Is(f.Value.Reveal())
	}
	return f
}

// Resolve fetches the value of a reference. Other values stay.
func (f Found) Resolve(ctx context.Context, name string, fetch Fetch) (Found, error) {
	if !f.Reference {
		return f, nil
	}
	value, err := fetch(ctx, string(f.Value.Reveal()))
	if err != nil {
		return f, &ReferenceError{name, f.From, err}
	}
	return Found{Value: value, From: f.From}, nil
}

// A ReferenceError says that a secret could not be fetched.
type ReferenceError struct {
	Name, From string
	Err        error
}

func (e *ReferenceError) Error() string {
	return fmt.Sprintf("the secret %s from %s: %v", e.Name, e.From, e.Err)
}

func (e *ReferenceError) Unwrap() error { return e.Err }

// Hint is that of the reason.
func (e *ReferenceError) Hint() string {
	if hinted, ok := errors.AsType[interface {
		error
		Hint() string
	}](e.Err); ok {
		return hinted.Hint()
	}
	return ""
}

// Resolve replaces all references by their values, which it fetches at the same time.
func (f *Files) Resolve(ctx context.Context, fetch Fetch) error {
	type place struct{ file, variable int }
	founds, places := map[string]Found{}, map[string]place{}
	for i, file := range f.files {
		for j := range file.variables {
			if file.isReference(j) {
				id := fmt.Sprintf("%s:%d", file.variables[j].Name, i)
				founds[id], places[id] = Found{file.variables[j].Value, file.path, true}, place{i, j}
			}
		}
	}
	resolved, err := ResolveAll(ctx, founds, func(id string) string { return f.files[places[id].file].variables[places[id].variable].Name }, fetch)
	for id, found := range resolved {
		at := places[id]
		f.files[at.file].variables[at.variable].Value, f.files[at.file].references[at.variable] = found.Value, found.Reference
	}
	return err
}

func (f *envFile) isReference(variable int) bool {
	return f.references != nil && f.references[variable]
}
