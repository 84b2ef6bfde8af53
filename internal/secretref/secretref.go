// Package secretref finds the secrets of a service on a developer's machine.
// It takes each from the first of these places that has it:
//
//  1. the place that the developer names for the secret (--secret, see [ParseRef]),
//  2. the environment of this process,
//  3. the file given as --env-file,
//  4. the file .env of the workspace.
//
// A value never comes from a command line, which every user of the machine can
// read.
package secretref

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/qhubctl/qhubctl/internal/dotenv"
	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/reference"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// A Ref says where the value of one secret is.
type Ref struct {
	// Name of the parameter.
	Name string
	kind refKind
	// where is a file, a variable or a reference.
	where string
}

type refKind int

const (
	fromPrompt refKind = iota
	fromFile
	fromInput
	fromVariable
	fromReference
)

// Syntax are the forms that [ParseRef] reads, for help texts.
const Syntax = `NAME          asks for it on the terminal
NAME=@FILE    the content of a file
NAME=-        standard input
NAME=env:VAR  the environment variable VAR`

// ReferenceSyntax is a further form, for commands that run a service on this machine.
const ReferenceSyntax = `NAME=ref+…    a reference to another store, such as ref+vault://kv/db#/password`

// literalError refuses a value without repeating it.
type literalError struct{ name string }

func (e literalError) Error() string {
	return fmt.Sprintf("--secret %s=… holds the value itself, which every user of this machine could read", e.name)
}

func (e literalError) Hint() string {
	return "give it in one of these ways:\n" + strings.ReplaceAll(Syntax, "NAME", e.name)
}

// ParseRef reads the argument of --secret. Its errors do not repeat it.
func ParseRef(argument string) (Ref, error) {
	name, value, given := strings.Cut(argument, "=")
	if name == "" {
		return Ref{}, errors.New("--secret needs the name of a secret parameter first: NAME=@FILE")
	}
	switch {
	case !given:
		return Ref{Name: name, kind: fromPrompt}, nil
	case value == "-":
		return Ref{Name: name, kind: fromInput}, nil
	case strings.HasPrefix(value, "@") && len(value) > 1:
		return Ref{Name: name, kind: fromFile, where: value[1:]}, nil
	case strings.HasPrefix(value, "env:") && len(value) > 4:
		return Ref{Name: name, kind: fromVariable, where: value[4:]}, nil
	case reference.Is([]byte(value)):
		if _, err := reference.Parse(value); err != nil {
			return Ref{}, err
		}
		return Ref{Name: name, kind: fromReference, where: value}, nil
	default:
		return Ref{}, literalError{name}
	}
}

// IsReference reports whether the source is a reference.
func (s Ref) IsReference() bool { return s.kind == fromReference }

// Refuse refuses a reference, for commands that resolve none.
func (s Ref) Refuse() error { return literalError{s.Name} }

// ReadsInput reports whether the source is standard input.
func (s Ref) ReadsInput() bool { return s.kind == fromInput }

// Value reads the secret, and refuses a value that is not valid (see
// [plaintext.Check]). One line end after it is dropped, as editors and echo put
// one there, and of a file a byte order mark. prompt asks on the terminal.
func (s Ref) Value(input io.Reader, prompt func(name string) (plaintext.Bytes, error)) (plaintext.Bytes, error) {
	value, err := s.read(input, prompt)
	if err != nil {
		return plaintext.Bytes{}, err
	}
	if err := plaintext.Check(value.Reveal()); err != nil {
		value.Clear()
		return plaintext.Bytes{}, &RefusedError{s.Name, s.from(), err}
	}
	return value, nil
}

// from says where the value is, for errors.
func (s Ref) from() string {
	switch s.kind {
	case fromPrompt:
		return "the terminal"
	case fromInput:
		return "standard input"
	case fromVariable:
		return "the environment variable " + s.where
	case fromReference:
		return "the reference " + s.where
	default:
		return "the file " + s.where
	}
}

func (s Ref) read(input io.Reader, prompt func(name string) (plaintext.Bytes, error)) (plaintext.Bytes, error) {
	switch s.kind {
	case fromPrompt:
		return prompt(s.Name)
	case fromInput:
		value, err := read(input, "--secret "+s.Name+"=-")
		return plaintext.New(trimLineEnd(value)), err
	case fromReference:
		return plaintext.FromString(s.where), nil
	case fromVariable:
		value, ok := environ.LookupSecret(s.where)
		if !ok {
			return plaintext.Bytes{}, fmt.Errorf("--secret %s: the environment variable %s is not set", s.Name, s.where)
		}
		return plaintext.FromString(value), nil
	default:
		file, err := os.Open(s.where)
		if err != nil {
			return plaintext.Bytes{}, fmt.Errorf("--secret %s: %w", s.Name, err)
		}
		defer func() { _ = file.Close() }()
		value, err := read(file, "--secret "+s.Name)
		return plaintext.New(plaintext.TrimBOM(trimLineEnd(value))), err
	}
}

// framing is the length of a byte order mark and a line end around a value.
const framing = 5

// read reads one byte more than allowed, so that the caller sees a value that is too long.
func read(r io.Reader, what string) ([]byte, error) {
	// One buffer of the full size: growing would leave copies behind.
	buffer := make([]byte, plaintext.MaxSize+framing+1)
	n, err := io.ReadFull(r, buffer)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		clear(buffer)
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return buffer[:n], nil
}

func trimLineEnd(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
		if n := len(b); n > 0 && b[n-1] == '\r' {
			b = b[:n-1]
		}
	}
	return b
}

// Files are the variables of the environment files of a run.
type Files struct {
	files []envFile
}

type envFile struct {
	path      string
	variables []dotenv.Variable
	odd       []*dotenv.Error
	// references says which variables are references. Nil: none.
	references []bool
}

// Odd are the lines of the files that are left out. They repeat nothing of them.
func (f *Files) Odd() []*dotenv.Error {
	var all []*dotenv.Error
	for _, file := range f.files {
		all = append(all, file.odd...)
	}
	return all
}

// ReadFiles reads the file given by the user, if any, and the workspace's own,
// which may be missing.
func ReadFiles(given, own string) (*Files, error) {
	f := &Files{}
	if given != "" {
		if err := f.add(given); err != nil {
			return nil, err
		}
	}
	if err := f.add(own); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return f, nil
}

func (f *Files) add(path string) error {
	variables, odd, err := dotenv.ReadFile(path)
	if err != nil {
		return err
	}
	f.files = append(f.files, envFile{path: path, variables: variables, odd: odd})
	return nil
}

// lookup finds a variable and the file it stands in.
func (f *Files) lookup(name string) (Found, bool) {
	for _, file := range f.files {
		for i := len(file.variables) - 1; i >= 0; i-- {
			if file.variables[i].Name == name {
				return Found{file.variables[i].Value, file.path, file.isReference(i)}, true
			}
		}
	}
	return Found{}, false
}

// Plain are the variables of the files for the service's environment: those
// that are no secrets, and the execution token, which services read there.
func (f *Files) Plain() map[string]string {
	plain := map[string]string{}
	for i := len(f.files) - 1; i >= 0; i-- {
		for _, v := range f.files[i].variables {
			if !environ.IsSecret(v.Name) || v.Name == signature.ExecutionToken {
				plain[v.Name] = string(v.Value.Reveal())
			}
		}
	}
	return plain
}

// Found is a secret, and where it came from in words fit to print.
type Found struct {
	Value plaintext.Bytes
	From  string
	// Reference says that the value is a reference, which [Found.Resolve] replaces.
	Reference bool
}

// environment is where the variables of this process are.
const environment = "the environment"

// Check refuses a value that cannot be a secret. The error names the parameter
// and the place.
func (f Found) Check(parameter string) error {
	if err := plaintext.Check(f.Value.Reveal()); err != nil {
		return &RefusedError{parameter, f.From, err}
	}
	return nil
}

// A RefusedError is a value that cannot be a secret.
type RefusedError struct {
	Parameter, From string
	Reason          error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the secret %s from %s %v", e.Parameter, e.From, e.Reason)
}

func (e *RefusedError) Unwrap() error { return e.Reason }

// A Finder looks in all the places.
type Finder struct {
	given map[string]Found
	files *Files
}

// NewFinder takes what the user gave by name, and the files.
func NewFinder(given map[string]Found, files *Files) *Finder { return &Finder{given, files} }

// Find looks for the secret of a parameter.
func (f *Finder) Find(p signature.Parameter) (Found, bool) {
	if found, ok := f.given[p.Name]; ok {
		return found, true
	}
	if value, ok := os.LookupEnv(p.Env); ok {
		return Found{Value: plaintext.FromString(value), From: environment}, true
	}
	return f.files.lookup(p.Env)
}

// Has reports whether Find finds a secret, without reading its value.
func (f *Finder) Has(p signature.Parameter) bool {
	if _, ok := f.given[p.Name]; ok {
		return true
	}
	if _, ok := os.LookupEnv(p.Env); ok {
		return true
	}
	_, ok := f.files.lookup(p.Env)
	return ok
}

// AllValues returns every value that is a secret by the name of its variable or
// was given as one, whether or not the service declares it. A masker needs them
// before the signature is known. Values that are too long are left out, because
// no service can receive them.
func (f *Finder) AllValues() []plaintext.Named {
	var all []plaintext.Named
	f.Each(func(name, _ string, value plaintext.Bytes) {
		if value.Len() <= plaintext.MaxSize {
			own := !signature.IsSecretVariable(name) // such as QHUBCTL_TOKEN
			all = append(all, plaintext.Named{Name: name, Value: value, Own: own})
		}
	})
	return all
}

// Each visits the values with the names of their variables and their places. A
// variable may come more than once. References are no values.
func (f *Finder) Each(visit func(name, from string, value plaintext.Bytes)) {
	for parameter, found := range f.given {
		if found.Reference {
			continue
		}
		visit(signature.EnvName(parameter), found.From, found.Value)
	}
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); environ.IsSecret(name) {
			visit(name, environment, plaintext.FromString(value))
		}
	}
	for _, file := range f.files.files {
		for i, v := range file.variables {
			if environ.IsSecret(v.Name) && !file.isReference(i) {
				visit(v.Name, file.path, v.Value)
			}
		}
	}
}

// MissingError lists secrets that no place has.
type MissingError struct{ Parameters []signature.Parameter }

func (e *MissingError) Error() string {
	var b strings.Builder
	b.WriteString("the service needs a secret that nothing gives:")
	if len(e.Parameters) > 1 {
		b.Reset()
		b.WriteString("the service needs secrets that nothing gives:")
	}
	for _, p := range e.Parameters {
		fmt.Fprintf(&b, "\n%s (environment variable %s)", p.Name, p.Env)
	}
	return b.String()
}

// Hint lists the ways to give the first of them.
func (e *MissingError) Hint() string {
	p := e.Parameters[0]
	syntax := [][2]string{
		{"export " + p.Env + "=…", "for this shell"},
		{p.Env + "=…", "in the file .env, which git must ignore"},
		{"--secret " + p.Name, "asks for it"},
		{"--secret " + p.Name + "=@FILE", "reads a file (=- reads standard input, =env:VAR a variable)"},
	}
	width := 0
	for _, way := range syntax {
		width = max(width, utf8.RuneCountInString(way[0]))
	}
	var b strings.Builder
	b.WriteString("give it in one of these ways:")
	for _, way := range syntax {
		fmt.Fprintf(&b, "\n%-*s  %s", width, way[0], way[1])
	}
	return b.String()
}
