package signature

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxExponent bounds numbers: 1e999999999 is eleven bytes of a body, and
// gigabytes as the exact number that a schema's minimum is compared with.
const maxExponent = 4096

// A Validator checks values against the schemas of a signature. It is safe for
// concurrent use.
type Validator struct {
	signature *Signature
	inputs    map[string]*jsonschema.Schema
}

// documentURL names the description among the schemas; nothing is fetched.
const documentURL = "urn:qhubctl:signature"

// Compile makes the validator of a signature. It fails with [ErrDocument]
// where a schema of the description is not one.
func (s *Signature) Compile() (*Validator, error) {
	parameters := map[string]json.RawMessage{}
	for _, p := range s.Parameters {
		if p.Kind == Input {
			parameters[p.Name] = p.Schema
		}
	}
	document := map[string]any{"parameters": parameters}
	if len(s.Defs) > 0 {
		document["$defs"] = s.Defs
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	compiler, err := newCompiler(text)
	if err != nil {
		return nil, err
	}
	v := &Validator{signature: s, inputs: map[string]*jsonschema.Schema{}}
	for name := range parameters {
		schema, err := compiler.Compile(documentURL + "#/parameters/" + pointerEscape(name))
		if err != nil {
			return nil, fmt.Errorf("%w: the schema of %q: %w", ErrDocument, name, err)
		}
		v.inputs[name] = schema
	}
	return v, nil
}

// Signature is what the validator was made of.
func (v *Validator) Signature() *Signature { return v.signature }

// WithOptional is the validator of [Signature.WithOptional], without another look at
// the schemas.
func (v *Validator) WithOptional(given func(Parameter) bool) *Validator {
	return &Validator{signature: v.signature.WithOptional(given), inputs: v.inputs}
}

// Input checks one JSON text against the schema of the input name.
func (v *Validator) Input(name string, value []byte) Errors {
	schema, ok := v.inputs[name]
	if !ok {
		return Errors{{Path: name, Message: "there is no such input"}}
	}
	return validate(schema, value, path{}.key(name))
}

func validate(schema *jsonschema.Schema, value []byte, at path) Errors {
	instance, err := decode(value)
	if err != nil {
		return Errors{{Path: at.String(), Message: err.Error()}}
	}
	err = schema.Validate(instance)
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

var (
	errNotJSON = errors.New("is not JSON")
	errNumber  = errors.New("holds a number that is out of range")
)

// decode reads a JSON text with its numbers exact, and refuses those too large
// to be handled exactly.
func decode(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, errNotJSON
	}
	if !numbersInRange(value) {
		return nil, errNumber
	}
	return value, nil
}

func numbersInRange(value any) bool {
	switch value := value.(type) {
	case json.Number:
		return numberInRange(string(value))
	case []any:
		for _, element := range value {
			if !numbersInRange(element) {
				return false
			}
		}
	case map[string]any:
		for _, element := range value {
			if !numbersInRange(element) {
				return false
			}
		}
	}
	return true
}

func numberInRange(number string) bool {
	mantissa, exponent := number, ""
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		mantissa, exponent = number[:i], number[i+1:]
	}
	if len(mantissa) > maxExponent {
		return false
	}
	if exponent == "" {
		return true
	}
	e, err := strconv.Atoi(exponent)
	return err == nil && math.Abs(float64(e)) <= maxExponent
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
