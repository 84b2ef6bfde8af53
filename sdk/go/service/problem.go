package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/token"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/sdk/go/internal/masking"
	"github.com/qhubctl/qhubctl/sdk/go/internal/shape"
)

// A Problem is an error that becomes the problem document of RFC 9457 for the caller of the
// service. Return a pointer to one from run; you may wrap it in another error.
//
// Other errors are reported with status 500, the name of their type as title
// ("Error" if it has no exported one) and their text as detail.
type Problem struct { //nolint:errname // the name that RFC 9457 gives it
	// Title is the same for every problem of this kind.
	Title string
	// Detail is about this occurrence; the title, if empty.
	Detail string
	// Status is an HTTP status from 400 to 599; 500, if zero.
	Status int
	// Extensions are further members of the document: any JSON. The names
	// type, title, detail, status and instance are taken.
	Extensions map[string]any

	uri string // of the problem type; empty means about:blank
}

// Error returns the title and the detail.
func (p *Problem) Error() string {
	if p.Detail == "" || p.Detail == p.Title {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

var reserved = []string{"type", "title", "detail", "status", "instance"}

// check returns the first invalid part of a problem that run has made.
func (p *Problem) check() error {
	for _, name := range slices.Sorted(maps.Keys(p.Extensions)) {
		if slices.Contains(reserved, name) {
			return fmt.Errorf("the extension %q of a problem has a reserved name (%s); choose another", name, strings.Join(reserved, ", "))
		}
	}
	if p.Status != 0 && (p.Status < 400 || p.Status > 599) {
		return fmt.Errorf("the status %d of a problem is not one of an error, 400 to 599", p.Status)
	}
	return nil
}

// problemOf turns an error into a problem.
func problemOf(err error) *Problem {
	p, ok := errors.AsType[*Problem](err)
	if !ok || p == nil {
		// Sprint survives an error that is a nil pointer.
		p = &Problem{Title: titleOf(err), Detail: fmt.Sprint(err)}
	} else if err := p.check(); err != nil {
		p = &Problem{Title: titleOf(err), Detail: err.Error()}
	}
	if p.Title == "" {
		named := *p
		named.Title = "Error"
		p = &named
	}
	return p
}

// titleOf is the name of the first exported type in the chain of an error; those of
// packages errors and fmt do not count.
func titleOf(err error) string {
	if _, ok := errors.AsType[*panicError](err); ok {
		return "panic"
	}
	for ; err != nil; err = errors.Unwrap(err) {
		t := reflect.TypeOf(err)
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if name, _, _ := strings.Cut(t.Name(), "["); token.IsExported(name) {
			return name
		}
	}
	return "Error"
}

func invalidInput(errs shape.Errors) *Problem {
	return &Problem{
		Title:      "Invalid input",
		Detail:     strings.ReplaceAll(errs.Error(), "\n", "; "),
		Status:     400,
		Extensions: map[string]any{"errors": errs},
	}
}

// document encodes the problem with the secrets masked, and returns the text and the
// masked problem.
func (p *Problem) document(masker *masking.Masker) ([]byte, *Problem) {
	masked := &Problem{Title: masker.Text(p.Title), Detail: masker.Text(p.Detail), Status: p.Status, uri: p.uri}
	if masked.Detail == "" {
		masked.Detail = masked.Title
	}
	if masked.Status == 0 {
		masked.Status = 500
	}
	if masked.uri == "" {
		masked.uri = "about:blank"
	}
	document := shape.Object{}.With("type", masked.uri).With("status", masked.Status).With("title", masked.Title).With("detail", masked.Detail)
	extensions, err := plainJSON(p.Extensions)
	if err != nil {
		extensions = map[string]any{"extensionsError": err.Error()}
	}
	masked.Extensions, _ = masker.JSON(extensions).(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(masked.Extensions)) {
		document = document.With(name, masked.Extensions[name])
	}
	text, _ := document.MarshalJSON() // plain JSON values always encode
	var out bytes.Buffer
	_ = json.Indent(&out, text, "", "  ")
	return out.Bytes(), masked
}

// plainJSON turns the extensions into plain JSON values, so that they can be masked.
func plainJSON(extensions map[string]any) (map[string]any, error) {
	text, err := shape.Encode(extensions)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var plain map[string]any
	err = decoder.Decode(&plain)
	return plain, err
}
