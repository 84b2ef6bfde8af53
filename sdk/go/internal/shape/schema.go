package shape

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// An Object is a JSON object whose members keep their order.
type Object []ObjectMember

// An ObjectMember is one member of an Object.
type ObjectMember struct {
	Name  string
	Value any
}

// With adds a member.
func (o Object) With(name string, value any) Object {
	return append(o, ObjectMember{name, value})
}

// MarshalJSON writes the members in order.
func (o Object) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for i, m := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := encoder.Encode(m.Name); err != nil {
			return nil, err
		}
		out.WriteByte(':')
		if err := encoder.Encode(m.Value); err != nil {
			return nil, fmt.Errorf("member %q: %w", m.Name, err)
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// define gives a named type its name in $defs.
func (b *Builder) define(s *Shape) {
	name := defName(s.typ.Name())
	if b.names == nil {
		b.names = map[string]reflect.Type{}
	}
	if other, taken := b.names[name]; taken && other != s.typ {
		path := s.typ.PkgPath()
		name = defName(path[strings.LastIndexByte(path, '/')+1:] + "." + s.typ.Name())
	}
	base := name
	for n := 2; b.names[name] != nil && b.names[name] != s.typ; n++ {
		name = fmt.Sprintf("%s%d", base, n)
	}
	b.names[name] = s.typ
	s.name = name
	b.named = append(b.named, s)
}

// defName keeps the characters that are valid in a name of $defs. It drops the packages in
// the arguments of a generic type: Box[main.Point] is Box_Point.
func defName(name string) string {
	var b strings.Builder
	outer, arguments, generic := strings.Cut(name, "[")
	b.WriteString(outer)
	if generic {
		for argument := range strings.SplitSeq(strings.TrimSuffix(arguments, "]"), ",") {
			b.WriteByte('_')
			argument, _, _ = strings.Cut(argument, "·") // a suffix marks types that are local to a function
			b.WriteString(argument[max(strings.LastIndexByte(argument, '/'), strings.LastIndexByte(argument, '.'))+1:])
		}
	}
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, b.String())
}

// Defs are the schemas of the named types of inputs and results. A type with a different
// schema in the result is called NameResult there; schemas made before Defs do not know
// this.
func Defs(read, written *Builder) Object {
	var defs Object
	texts := map[string]string{}
	for _, s := range read.named {
		definition := s.definition()
		defs, texts[s.name] = defs.With(s.name, definition), textOf(definition)
	}
	// Renaming one type changes those that refer to it.
	for changed := true; changed; {
		changed = false
		for _, s := range written.named {
			for text, taken := texts[s.name]; taken && text != textOf(s.definition()) || written.shares(s); text, taken = texts[s.name] {
				s.name += "Result"
				changed = true
			}
		}
	}
	for _, s := range written.named {
		if _, there := texts[s.name]; !there {
			defs = defs.With(s.name, s.definition())
			texts[s.name] = ""
		}
	}
	return defs
}

// shares reports whether another type has the name of s.
func (b *Builder) shares(s *Shape) bool {
	return slices.ContainsFunc(b.named, func(other *Shape) bool { return other != s && other.name == s.name })
}

func textOf(o Object) string {
	text, err := o.MarshalJSON()
	if err != nil {
		return err.Error() // cannot happen: describe has refused a schema that is not JSON
	}
	return string(text)
}

// Schema is the JSON Schema of the shape: for a named type a reference to it.
func (s *Shape) Schema() Object {
	if s.name == "" {
		return s.definition()
	}
	schema := Object{}.With("$ref", "#/$defs/"+s.name)
	for _, k := range s.rules.keywords {
		schema = schema.With(k.name, k.value)
	}
	return schema
}

func (s *Shape) definition() Object {
	var schema Object
	if s.description != "" {
		schema = schema.With("description", s.description)
	}
	if s.hook != nil && s.kind == customKind {
		return hookSchema(s.hook)
	}
	switch s.kind {
	case boolKind:
		schema = schema.With("type", "boolean")
	case intKind, uintKind:
		schema = s.boundInteger(schema.With("type", "integer"))
	case floatKind, numberKind:
		schema = schema.With("type", "number")
	case stringKind, textKind:
		schema = schema.With("type", "string")
	case bytesKind:
		schema = schema.With("type", "string").With("contentEncoding", "base64")
	case timeKind:
		schema = schema.With("type", "string").With("format", "date-time")
	case durationKind:
		schema = schema.With("type", "string").With("format", "duration")
	case pointerKind:
		return schema.With("anyOf", []Object{s.elem.Schema(), Object{}.With("type", "null")})
	case sliceKind:
		schema = schema.With("type", "array").With("items", s.elem.Schema())
	case arrayKind:
		n := s.typ.Len()
		schema = schema.With("type", "array").With("items", s.elem.Schema()).With("minItems", n).With("maxItems", n)
	case mapKind:
		schema = s.mapSchema(schema)
	case structKind:
		schema = s.structSchema(schema)
	}
	for _, k := range s.rules.keywords {
		schema = schema.With(k.name, k.value)
	}
	return schema
}

func hookSchema(hook json.RawMessage) Object {
	var schema Object
	decoder := json.NewDecoder(bytes.NewReader(hook))
	_, _ = decoder.Token() // the brace: describe has read it all once
	for decoder.More() {
		name, _ := decoder.Token()
		var value json.RawMessage
		_ = decoder.Decode(&value)
		schema = schema.With(fmt.Sprint(name), value)
	}
	return schema
}

// boundInteger adds the limits of integer types that are smaller than usual JSON
// numbers.
func (s *Shape) boundInteger(schema Object) Object {
	bits := s.typ.Bits()
	_, hasMinimum := s.rules.get("minimum")
	_, hasMaximum := s.rules.get("maximum")
	least, most := json.Number("0"), json.Number("")
	switch {
	case s.kind == uintKind && bits < 64:
		most = json.Number(strconv.FormatUint(1<<bits-1, 10))
	case s.kind == intKind && bits < 64:
		least = json.Number(strconv.FormatInt(-1<<(bits-1), 10))
		most = json.Number(strconv.FormatInt(1<<(bits-1)-1, 10))
	case s.kind == intKind:
		least = ""
	}
	if least != "" && !hasMinimum {
		schema = schema.With("minimum", least)
	}
	if most != "" && !hasMaximum {
		schema = schema.With("maximum", most)
	}
	return schema
}

func (s *Shape) mapSchema(schema Object) Object {
	schema = schema.With("type", "object")
	if s.elem.kind == anyKind {
		schema = schema.With("additionalProperties", true)
	} else {
		schema = schema.With("additionalProperties", s.elem.Schema())
	}
	if pattern := keyPattern(s.typ.Key()); pattern != "" {
		schema = schema.With("propertyNames", Object{}.With("pattern", pattern))
	}
	return schema
}

func (s *Shape) structSchema(schema Object) Object {
	schema = schema.With("type", "object")
	properties, required := Object{}, []string{}
	for _, f := range s.fields {
		properties = properties.With(f.Name, f.Schema())
		if !f.Optional {
			required = append(required, f.Name)
		}
	}
	schema = schema.With("properties", properties)
	if len(required) > 0 {
		schema = schema.With("required", required)
	}
	return schema.With("additionalProperties", false)
}

// Schema is the schema of the field's values, with the annotations of its tags.
func (f *Field) Schema() Object {
	schema := f.Shape.Schema()
	if f.Description != "" {
		schema = replace(schema, "description", f.Description)
	}
	switch {
	case f.fallback != nil:
		schema = schema.With("default", f.fallback)
	case f.Shape.kind == pointerKind:
		schema = schema.With("default", nil)
	}
	if f.examples != nil {
		schema = schema.With("examples", f.examples)
	}
	return schema
}

// replace sets a member, in its place if it exists.
func replace(o Object, name string, value any) Object {
	for i, m := range o {
		if m.Name == name {
			o[i].Value = value
			return o
		}
	}
	return o.With(name, value)
}
