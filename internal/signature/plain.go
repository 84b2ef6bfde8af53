package signature

import (
	"bytes"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A shape is a schema with little more than types, names and references. Most values of
// most bodies fit one, and a shape is checked without decoding.
type shape struct {
	schema                              *jsonschema.Schema
	null, boolean, number, integer, str bool
	object, list                        bool
	// additional is the schema of members without a name in it.
	additional *jsonschema.Schema
	closed     bool
}

// shapeOf gives the shape of a schema; nil if it has none.
func shapeOf(s *jsonschema.Schema) *shape {
	if !saysLittle(s) {
		return nil
	}
	sh := shape{schema: s}
	if s.Bool != nil {
		if !*s.Bool {
			return nil
		}
		return &shape{schema: s, null: true, boolean: true, number: true, integer: true, str: true}
	}
	if !sh.types() {
		return nil
	}
	switch additional := s.AdditionalProperties.(type) {
	case bool:
		sh.closed = !additional
	case *jsonschema.Schema:
		sh.additional = additional
	}
	return &sh
}

// saysLittle reports whether a schema has only keywords that a shape reads.
func saysLittle(s *jsonschema.Schema) bool {
	return s.DraftVersion >= 2020 && s.Enum == nil && s.Const == nil && s.Format == nil && s.Not == nil && s.If == nil &&
		s.DynamicRef == nil && s.RecursiveRef == nil && len(s.AllOf)+len(s.AnyOf)+len(s.OneOf) == 0 &&
		saysLittleOfContainers(s) && saysLittleOfScalars(s)
}

func saysLittleOfContainers(s *jsonschema.Schema) bool {
	return len(s.PatternProperties)+len(s.Dependencies)+len(s.DependentRequired)+len(s.DependentSchemas)+len(s.PrefixItems) == 0 &&
		s.MaxProperties == nil && s.MinProperties == nil && s.PropertyNames == nil && s.UnevaluatedProperties == nil &&
		!s.UniqueItems && s.Contains == nil && s.UnevaluatedItems == nil
}

func saysLittleOfScalars(s *jsonschema.Schema) bool {
	return s.MinLength == nil && s.MaxLength == nil && s.Pattern == nil && s.ContentEncoding == nil && s.ContentMediaType == nil &&
		s.Maximum == nil && s.Minimum == nil && s.ExclusiveMaximum == nil && s.ExclusiveMinimum == nil && s.MultipleOf == nil
}

// types reads the types that a schema allows.
func (sh *shape) types() (simple bool) {
	lax := len(sh.schema.Extensions) > 0
	switch typed := sh.schema.Types != nil && !sh.schema.Types.IsEmpty(); {
	case typed && lax:
		return false
	case typed:
		for _, name := range sh.schema.Types.ToStrings() {
			sh.let(name)
		}
		return true
	case !lax:
		sh.null, sh.boolean, sh.number, sh.integer, sh.str, sh.object, sh.list = true, true, true, true, true, true, true
		return true
	}
	for _, extension := range sh.schema.Extensions {
		check, is := extension.(*checkKeywords)
		if !is || len(check.groups) > 0 {
			return false
		}
		for _, kind := range check.kinds { // the value is decoded for other ways to write it
			if !kind.isFormat {
				sh.let(kind.name)
			}
		}
	}
	return len(sh.schema.Extensions) == 1
}

func (sh *shape) let(name string) {
	switch name {
	case "null":
		sh.null = true
	case "boolean":
		sh.boolean = true
	case "number":
		sh.number, sh.integer = true, true
	case "integer":
		sh.integer = true
	case "string":
		sh.str = true
	case "object":
		sh.object = true
	case "array":
		sh.list = true
	}
}

// shape is shapeOf, once for each schema.
func (c *checker) shape(s *jsonschema.Schema) *shape {
	sh, known := c.shapes[s]
	if !known {
		sh = shapeOf(s)
		c.shapes[s] = sh
	}
	return sh
}

// fits reports whether the value at a place certainly fits a schema, and where it ends
// then. After false, the value may still fit.
func (c *checker) fits(s *jsonschema.Schema, at, depth int) (end int, fits bool) {
	sh := c.shape(s)
	if sh == nil || depth > maxReferences {
		return at, false
	}
	if s.Ref != nil {
		if _, fits := c.fits(s.Ref, at, depth+1); !fits {
			return at, false
		}
	}
	switch c.text[at] {
	case '{':
		if !sh.object {
			return at, false
		}
		return c.fitsObject(sh, at, depth)
	case '[':
		if !sh.list {
			return at, false
		}
		return c.fitsList(sh, at, depth)
	case '"':
		return stringEnd(c.text, at), sh.str
	case 't':
		return at + len("true"), sh.boolean
	case 'f':
		return at + len("false"), sh.boolean
	case 'n':
		return at + len("null"), sh.null
	default:
		end = scalarEnd(c.text, at)
		return end, sh.number || sh.integer && !bytes.ContainsAny(c.text[at:end], ".eE")
	}
}

func (c *checker) fitsList(sh *shape, at, depth int) (end int, fits bool) {
	items := 0
	for at = skipSpace(c.text, at+1); c.text[at] != ']'; items++ {
		if sh.schema.Items2020 == nil {
			end, _ = c.end(at)
		} else if end, fits = c.fits(sh.schema.Items2020, at, depth+1); !fits {
			return at, false
		}
		at = c.next(end)
	}
	s := sh.schema
	return at + 1, (s.MinItems == nil || items >= *s.MinItems) && (s.MaxItems == nil || items <= *s.MaxItems)
}

func (c *checker) fitsObject(sh *shape, at, depth int) (end int, fits bool) {
	required := 0
	for at = skipSpace(c.text, at+1); c.text[at] != '}'; {
		end = stringEnd(c.text, at)
		name := c.text[at+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			return at, false
		}
		for _, want := range sh.schema.Required {
			if string(name) == want {
				required++
				break
			}
		}
		at = skipSpace(c.text, skipSpace(c.text, end)+1) // after the colon
		schema, known := sh.schema.Properties[string(name)]
		if !known {
			if sh.closed {
				return at, false
			}
			schema = sh.additional
		}
		if schema == nil {
			end, _ = c.end(at)
		} else if end, fits = c.fits(schema, at, depth+1); !fits {
			return at, false
		}
		at = c.next(end)
	}
	return at + 1, required == len(sh.schema.Required)
}
