package service

import (
	"errors"
	"fmt"
	"reflect"
	"unicode"

	"github.com/qhubctl/qhubctl/sdk/go/datapool"
	"github.com/qhubctl/qhubctl/sdk/go/internal/shape"
	"github.com/qhubctl/qhubctl/sdk/go/secret"
)

type kind string

const (
	inputKind  kind = "input"
	secretKind kind = "secret"
	poolKind   kind = "datapool"
)

var (
	secretType = reflect.TypeFor[secret.Value]()
	poolType   = reflect.TypeFor[datapool.Pool]()
)

// signature is the description that follows from the types of run.
type signature struct {
	description string
	parameters  []parameter
	input       shape.Builder
	output      shape.Builder
	result      *shape.Shape // nil if run returns no result
}

type parameter struct {
	name        string
	kind        kind
	description string
	index       []int
	nullable    bool         // a pointer to a secret or pool
	env         string       // of a secret
	field       *shape.Field // of an input
}

func (p parameter) required() bool {
	if p.kind == inputKind {
		return !p.field.MayBeMissing()
	}
	return !p.nullable
}

// signatureError is the reason why a service cannot be described. kind is annotation or
// collision, as in descriptions.
type signatureError struct{ kind, parameter, message string }

func (e *signatureError) Error() string { return e.message }

// signatureOf reads the types of run; the error is a [*signatureError].
func signatureOf(in, out reflect.Type) (*signature, error) {
	s := &signature{input: shape.Builder{Refuse: refuseInside}, output: shape.Builder{Output: true}}
	if in.Kind() != reflect.Struct || in == secretType || in == poolType {
		return nil, &signatureError{kind: "annotation", message: fmt.Sprintf("the input of run must be a struct with a field for each parameter, not %s", in)}
	}
	s.description = shape.Description(in)
	members, err := shape.Members(in, isParameter)
	if err != nil {
		return nil, &signatureError{kind: "annotation", message: "the input of run: " + err.Error()}
	}
	for _, m := range members {
		p, err := s.parameter(m)
		if err != nil {
			return nil, &signatureError{"annotation", m.Name, err.Error()}
		}
		s.parameters = append(s.parameters, p)
	}
	if err := s.collisions(); err != nil {
		return nil, err
	}
	if hasNothing(out) {
		return s, nil
	}
	if s.result, err = s.output.Type(out, "the result"); err != nil {
		return nil, &signatureError{kind: "annotation", message: err.Error()}
	}
	return s, nil
}

// isParameter reports whether an embedded struct of this type is one parameter, not several.
func isParameter(t reflect.Type) bool { return t == secretType || t == poolType }

func refuseInside(t reflect.Type) error {
	switch t {
	case secretType:
		return errors.New("a secret cannot be a part of an input, which travels in the ordinary request: make it a field of the input of run")
	case poolType:
		return errors.New("a data pool cannot be a part of an input: make it a field of the input of run")
	default:
		return nil
	}
}

func (s *signature) parameter(m shape.Member) (parameter, error) {
	if !isParameterName(m.Name) {
		return parameter{}, fmt.Errorf("%q cannot be the name of a parameter: use letters, digits, - and _ in the json tag", m.Name)
	}
	p := parameter{name: m.Name, kind: inputKind, description: m.Field.Tag.Get("description"), index: m.Index}
	t := m.Field.Type
	if t.Kind() == reflect.Pointer && isParameter(t.Elem()) {
		t, p.nullable = t.Elem(), true
	}
	switch t {
	case secretType:
		p.kind, p.env = secretKind, secret.EnvName(m.Name)
	case poolType:
		p.kind = poolKind
	default:
		var err error
		if p.field, err = s.input.Member(m, m.Name); err != nil {
			return p, err
		}
	}
	return p, nil
}

// isParameterName reports whether a name works as a key of a request, the stem of a file
// and a folder.
func isParameterName(name string) bool {
	for i, r := range name {
		switch {
		case r == '_', unicode.IsLetter(r):
		case i > 0 && (r == '-' || unicode.IsNumber(r) || unicode.IsMark(r)):
		default:
			return false
		}
	}
	return name != ""
}

// collisions finds two secrets that would come from one variable.
func (s *signature) collisions() error {
	names := map[string]string{}
	for _, p := range s.parameters {
		if p.kind != secretKind {
			continue
		}
		if other, taken := names[p.env]; taken {
			return &signatureError{"collision", p.name, fmt.Sprintf("the secrets %q and %q would both come from %s; rename one of the parameters", other, p.name, p.env)}
		}
		names[p.env] = p.name
	}
	return nil
}

// at is the field of the parameter in the input of run.
func (p parameter) at(in reflect.Value) reflect.Value {
	return shape.Reach(in, p.index)
}
