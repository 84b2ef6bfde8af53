package signature

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// SchemaVersion is the version of the description document this package reads.
const SchemaVersion = 1

// Kind is the source of the value of a parameter.
type Kind string

const (
	// Input comes from the request body.
	Input Kind = "input"
	// Secret comes from the environment, and nowhere else.
	Secret Kind = "secret"
	// DataPool is a folder of files.
	DataPool Kind = "datapool"
)

// Names in a request body other than parameters.
const (
	SecretsKey = "$secrets"
	TagsKey    = "$tags"
)

// A Signature describes run. It is immutable once [Parse] has returned it.
type Signature struct {
	SchemaVersion int         `json:"schemaVersion"`
	SDK           SDK         `json:"sdk"`
	Entrypoint    string      `json:"entrypoint"`
	Description   string      `json:"description,omitempty"`
	Parameters    []Parameter `json:"parameters"`
	// Result is the JSON Schema of the value that run returns; {} when unknown.
	Result json.RawMessage `json:"result,omitempty"`
	// Defs are the schemas that others refer to as "#/$defs/Name".
	Defs json.RawMessage `json:"$defs,omitempty"`
	// Checks are the checks that others refer to as "#/$checks/Name".
	Checks json.RawMessage `json:"$checks,omitempty"`
	// Warnings list the parts that the description leaves out.
	Warnings []Warning `json:"warnings,omitempty"`
}

// A Warning names a part that a description leaves out, and why.
type Warning struct {
	// Parameter is the affected one; empty if there are several.
	Parameter string `json:"parameter,omitempty"`
	Message   string `json:"message"`
}

func (w Warning) String() string {
	if w.Parameter == "" {
		return w.Message
	}
	return w.Parameter + ": " + w.Message
}

// SDK names the SDK that wrote the description.
type SDK struct {
	Language string `json:"language"`
	Name     string `json:"name"`
	Version  string `json:"version"`
}

// Ours reports whether the service is built with an SDK of this project, which receives
// secrets in a way that never puts them into an environment block.
func (s SDK) Ours() bool { return s.Language != "python" || strings.Contains(s.Version, "+qhubctl") }

// A Parameter is one parameter of run.
type Parameter struct {
	Name        string `json:"name"`
	Kind        Kind   `json:"kind"`
	Description string `json:"description,omitempty"`
	// Required is false if run works without a value: there is a default,
	// the type is optional, or it is a model whose fields all have defaults.
	Required bool `json:"required"`
	// Nullable: a data pool or secret whose type is optional.
	Nullable bool `json:"nullable,omitempty"`
	// Schema is the JSON Schema that an Input declares.
	Schema json.RawMessage `json:"schema,omitempty"`
	// Check decides which values of an Input are refused before the service
	// starts. The string "schema" refuses those that Schema refuses, an object
	// those that it refuses itself. Otherwise the service decides.
	Check json.RawMessage `json:"check,omitempty"`
	// Env is the environment variable of a Secret.
	Env string `json:"env,omitempty"`
}

// A DescribeError is the error of an SDK about a service that it cannot describe.
type DescribeError struct {
	// Kind is import, syntax, missing, annotation, collision or internal.
	Kind      string `json:"kind"`
	Message   string `json:"message"`
	Parameter string `json:"parameter,omitempty"`
	// Traceback is in the words of the service's language; may be empty.
	Traceback string `json:"traceback,omitempty"`
}

func (e *DescribeError) Error() string { return e.Message }

// ErrDocument wraps the errors of [Parse] that are the fault of the SDK, not of the
// service.
var ErrDocument = errors.New("not a service description")

// Parse reads a description document and checks it. A document that carries
// an error gives a [*DescribeError].
func Parse(document []byte) (*Signature, error) {
	var head struct {
		SchemaVersion int            `json:"schemaVersion"`
		Error         *DescribeError `json:"error"`
	}
	if err := json.Unmarshal(document, &head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	if head.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("%w: version %d, where this program reads version %d", ErrDocument, head.SchemaVersion, SchemaVersion)
	}
	if head.Error != nil {
		return nil, head.Error
	}
	var s Signature
	if err := json.Unmarshal(document, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return &s, nil
}

// parameterName matches names that work as a key of a body, the stem of a file and a
// folder: letters, digits, underscore and hyphen.
var parameterName = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}\p{M}_-]*$`)

func (s *Signature) check() error {
	names := map[string]bool{}
	variables := map[string]string{}
	for i := range s.Parameters {
		p := &s.Parameters[i]
		if !parameterName.MatchString(p.Name) {
			return fmt.Errorf("%w: %q cannot be the name of a parameter", ErrDocument, p.Name)
		}
		if names[p.Name] {
			return fmt.Errorf("%w: two parameters are called %q", ErrDocument, p.Name)
		}
		names[p.Name] = true
		switch p.Kind {
		case Input:
			if len(p.Schema) == 0 {
				p.Schema = json.RawMessage(`{}`)
			}
		case Secret:
			p.Env = EnvName(p.Name)
			if other, taken := variables[p.Env]; taken {
				return collision(other, p.Name, p.Env)
			}
			variables[p.Env] = p.Name
		case DataPool:
		default:
			return fmt.Errorf("%w: parameter %q has the unknown kind %q", ErrDocument, p.Name, p.Kind)
		}
	}
	return nil
}

func collision(a, b, env string) error {
	return &DescribeError{
		Kind:      "collision",
		Parameter: b,
		Message:   fmt.Sprintf("the secrets %q and %q would both come from %s; rename one of the parameters", a, b, env),
	}
}

// Of returns the parameters of one kind, in order of declaration.
func (s *Signature) Of(kind Kind) []Parameter {
	return slices.DeleteFunc(slices.Clone(s.Parameters), func(p Parameter) bool { return p.Kind != kind })
}

// Lookup finds a parameter by its name.
func (s *Signature) Lookup(name string) (Parameter, bool) {
	i := slices.IndexFunc(s.Parameters, func(p Parameter) bool { return p.Name == name })
	if i < 0 {
		return Parameter{}, false
	}
	return s.Parameters[i], true
}

// Names returns the names of the parameters of one kind, in order of declaration.
func (s *Signature) Names(kind Kind) []string {
	var names []string
	for _, p := range s.Parameters {
		if p.Kind == kind {
			names = append(names, p.Name)
		}
	}
	return names
}

// TakesVariable reports whether a variable reaches the service: one of its
// secrets, or the execution token.
func (s *Signature) TakesVariable(name string) bool {
	if name == ExecutionToken {
		return true
	}
	for _, p := range s.Parameters {
		if p.Kind == Secret && p.Env == name {
			return true
		}
	}
	return false
}

// WithOptional returns a signature in which a request may leave out the secrets and data
// pools that given reports: they are stored, or lie in a folder.
func (s *Signature) WithOptional(given func(Parameter) bool) *Signature {
	relaxed := *s
	relaxed.Parameters = slices.Clone(s.Parameters)
	for i := range relaxed.Parameters {
		p := &relaxed.Parameters[i]
		if p.Kind != Input && given(*p) {
			p.Required = false
		}
	}
	return &relaxed
}

// AcceptsText reports whether a JSON string may be a value of the input p, so that text
// other than JSON may stand for one.
func (p Parameter) AcceptsText() bool {
	return bytes.Contains(p.Schema, []byte(`"string"`)) || len(p.check()) <= len(`{}`)
}

// check is the schema by which values of the input p are refused.
func (p Parameter) check() json.RawMessage {
	switch check := bytes.TrimSpace(p.Check); {
	case string(check) == `"schema"`:
		return p.Schema
	case len(check) > 0 && check[0] == '{':
		return p.Check
	default:
		return json.RawMessage(`{}`)
	}
}

// exact reports whether the numbers of the input p count digit by digit. A
// model that decides reads a fraction as the nearest binary number.
func (p Parameter) exact() bool { return string(bytes.TrimSpace(p.Check)) == `"schema"` }
