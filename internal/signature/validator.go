package signature

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A Validator checks values against the schemas of a signature. It is safe for
// concurrent use.
type Validator struct {
	signature *Signature
	inputs    map[string]input
}

// An input holds the check of a parameter's values.
type input struct {
	schema *jsonschema.Schema // nil: the service decides
	exact  bool               // see Parameter.exact
	// dynamic: see isDynamic.
	dynamic bool
}

// documentURL names the description among the schemas; nothing is fetched.
const documentURL = "urn:qhubctl:signature"

// Compile makes the validator of a signature. It fails with [ErrDocument] if a check of the
// description is invalid.
func (s *Signature) Compile() (*Validator, error) {
	parameters := map[string]json.RawMessage{}
	v := &Validator{signature: s, inputs: map[string]input{}}
	byService := true
	for _, p := range s.Parameters {
		if p.Kind != Input {
			continue
		}
		v.inputs[p.Name] = input{exact: p.exact()}
		if check := p.check(); string(check) != `{}` {
			parameters[p.Name] = check
			byService = byService && !p.exact()
		}
	}
	document := map[string]any{"parameters": parameters}
	if len(s.Defs) > 0 && !byService {
		document["$defs"] = s.Defs
	}
	if len(s.Checks) > 0 {
		document["$checks"] = s.Checks
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	compiler, err := newCompiler(text)
	if err != nil {
		return nil, err
	}
	for name := range parameters {
		schema, err := compiler.Compile(documentURL + "#/parameters/" + pointerEscape(name))
		if err != nil {
			return nil, fmt.Errorf("%w: the schema of %q: %w", ErrDocument, name, err)
		}
		v.inputs[name] = input{schema: schema, exact: v.inputs[name].exact, dynamic: isDynamic(schema)}
	}
	return v, nil
}

// Signature returns the signature of the validator.
func (v *Validator) Signature() *Signature { return v.signature }

// WithOptional is the validator of [Signature.WithOptional], without compiling the schemas
// again.
func (v *Validator) WithOptional(given func(Parameter) bool) *Validator {
	return &Validator{signature: v.signature.WithOptional(given), inputs: v.inputs}
}

// Input checks one JSON text against the schema of the input name.
func (v *Validator) Input(name string, value []byte) Errors {
	in, ok := v.inputs[name]
	if !ok {
		return Errors{{Path: name, Message: "there is no such input"}}
	}
	return in.validate(value, path{}.key(name))
}

func (in input) validate(value []byte, at path) Errors {
	instance, err := decode(value, in.exact)
	if err != nil {
		return Errors{{Path: at.String(), Message: err.Error()}}
	}
	if in.schema == nil {
		return nil
	}
	err = in.schema.Validate(instance)
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return explain(invalid, instance, at)
	default:
		return Errors{{Path: at.String(), Message: "cannot be checked"}}
	}
}

func newCompiler(document []byte) (*jsonschema.Compiler, error) {
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(noLoader{})
	compiler.UseRegexpEngine(compilePattern)
	compiler.AssertFormat()
	compiler.AssertVocabs()
	compiler.RegisterVocabulary(checkVocabulary())
	registerFormats(compiler)
	if err := compiler.AddResource(documentURL, parsed); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	return compiler, nil
}

// noLoader keeps a description from making the program read files or call
// servers.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("the schema refers to %s, outside the description", url)
}

func pointerEscape(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}

var dataPoolSchema = sync.OnceValue(func() *jsonschema.Schema {
	compiler, err := newCompiler(DataPoolSchema)
	if err != nil {
		panic(err) //nolint:forbidigo // the schema is a constant
	}
	return compiler.MustCompile(documentURL)
})

// DataPoolSchema is the JSON Schema of a reference to a data pool.
var DataPoolSchema = []byte(`{
  "type": "object",
  "description": "A reference to a data pool.",
  "properties": {
    "id": {"type": "string", "format": "uuid", "description": "The data pool."},
    "ref": {"type": "string", "enum": ["DATAPOOL", "datapool"]},
    "grant": {"type": "string", "description": "A token that grants access to another owner's data pool."}
  },
  "required": ["id", "ref"],
  "additionalProperties": false
}`)
