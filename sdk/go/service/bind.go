package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/qhubctl/qhubctl/sdk/go/datapool"
	"github.com/qhubctl/qhubctl/sdk/go/internal/masking"
	"github.com/qhubctl/qhubctl/sdk/go/internal/shape"
	"github.com/qhubctl/qhubctl/sdk/go/secret"
)

// bind fills the input of run; the error is a [*Problem]. The secrets come first, so that
// the masker knows them, and so that they leave the environment even if another
// parameter fails.
func (s *signature) bind(in reflect.Value, env environment, masker *masking.Masker) error {
	b := binder{in: in, env: env, masker: masker}
	b.secrets(s.parameters)
	b.files()
	for _, p := range s.parameters {
		switch p.kind {
		case poolKind:
			b.pool(p)
		case inputKind:
			b.input(p)
		case secretKind:
			// Taken from the environment above, before the files.
		}
	}
	if len(b.errs) > 0 {
		return invalidInput(b.errs)
	}
	return nil
}

type binder struct {
	in     reflect.Value
	env    environment
	masker *masking.Masker
	inputs map[string][]string // file names by parameter
	dir    string
	errs   shape.Errors
}

func (b *binder) fail(p parameter, format string, args ...any) {
	b.errs = append(b.errs, shape.Error{Path: p.name, Message: fmt.Sprintf(format, args...)})
}

// set puts a value, or a pointer to it, in the field of a parameter.
func (b *binder) set(p parameter, value any) {
	v := reflect.ValueOf(value)
	if p.nullable {
		pointer := reflect.New(v.Type())
		pointer.Elem().Set(v)
		v = pointer
	}
	p.at(b.in).Set(v)
}

func (b *binder) secrets(parameters []parameter) {
	var names []string
	for _, p := range parameters {
		if p.kind == secretKind {
			names = append(names, p.env)
		}
	}
	taken := b.env.take(names)
	for _, p := range parameters {
		if p.kind == secretKind {
			plain, ok := taken[p.env]
			b.secret(p, plain, ok)
		}
	}
}

func (b *binder) secret(p parameter, plain string, ok bool) {
	if !ok {
		if !p.nullable {
			b.fail(p, "is a secret that the service requires; set the environment variable %s", p.env)
		}
		return
	}
	b.masker.Add(plain)
	if err := secret.Check(plain); err != nil {
		b.fail(p, "the secret is refused: the environment variable %s %v", p.env, err)
		return
	}
	b.set(p, secret.New(plain))
}

func (b *binder) pool(p parameter) {
	dir := b.env.get("DATAPOOL_DIRECTORY", "/var/runtime/datapool")
	pool, err := datapool.Open(filepath.Join(dir, p.name))
	switch {
	case err == nil:
		b.set(p, pool)
	case errors.Is(err, fs.ErrNotExist) && p.nullable:
	case errors.Is(err, fs.ErrNotExist):
		b.fail(p, "is a data pool that the service requires; provide a folder %s in DATAPOOL_DIRECTORY", p.name)
	default:
		b.fail(p, "the data pool cannot be opened")
	}
}

// files finds the input files: the name up to the first dot is the parameter. A missing
// folder has none.
func (b *binder) files() {
	b.dir = b.env.get("INPUT_DIRECTORY", "/var/runtime/input")
	b.inputs = map[string][]string{}
	entries, err := os.ReadDir(b.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.errs = append(b.errs, shape.Error{Message: "the folder of the input cannot be read"})
	}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		stem, _, _ := strings.Cut(entry.Name(), ".")
		b.inputs[stem] = append(b.inputs[stem], entry.Name())
	}
}

func (b *binder) input(p parameter) {
	names := b.inputs[p.name]
	switch {
	case len(names) > 1:
		b.fail(p, "has more than one input file: %s; leave one", strings.Join(names, ", "))
		return
	case len(names) == 0 && !p.required():
		p.field.Default(b.in)
		return
	case len(names) == 0:
		b.fail(p, "is required")
		return
	}
	text, err := os.ReadFile(filepath.Join(b.dir, names[0]))
	if err != nil {
		b.fail(p, "the input file %s cannot be read", names[0])
		return
	}
	b.errs = append(b.errs, p.decode(filepath.Ext(names[0]), text, b.in)...)
}

// decode reads an input file. The platform writes a JSON string as a .txt file with the
// plain text, and anything else as .json. Files that people write may have other names,
// or text that was meant as JSON. So a .json file is JSON, a .txt file is a string first,
// and any other file JSON first.
func (p parameter) decode(extension string, text []byte, in reflect.Value) shape.Errors {
	s := p.field.Shape
	asJSON := func() shape.Errors { return p.field.Decode(bytes.TrimPrefix(text, []byte("\ufeff")), in) }
	asText := func() shape.Errors {
		quoted, _ := json.Marshal(string(text)) // a string always encodes
		return p.field.Decode(quoted, in)
	}
	switch {
	case strings.EqualFold(extension, ".json"):
		return asJSON()
	case s.TakesText():
		return asText()
	case s.IsBool():
		if value, err := strconv.ParseBool(strings.TrimSpace(string(text))); err == nil {
			text = strconv.AppendBool(nil, value)
		}
	}
	first, second := asJSON, asText
	if strings.EqualFold(extension, ".txt") && s.ReadsText() {
		first, second = asText, asJSON
	}
	errs := first()
	if len(errs) == 0 {
		return nil
	}
	p.at(in).SetZero()
	otherwise := second()
	if len(otherwise) == 0 {
		return nil
	}
	// Valid JSON was meant as JSON.
	if json.Valid(text) == (strings.EqualFold(extension, ".txt") && s.ReadsText()) {
		return otherwise
	}
	return errs
}
