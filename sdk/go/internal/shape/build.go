package shape

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
)

// Describer is implemented by types that know their JSON Schema better than
// reflection does.
type Describer interface{ JSONSchema() json.RawMessage }

// A Builder makes shapes, and collects the named ones for $defs.
type Builder struct {
	// Refuse may forbid a type, with the reason.
	Refuse func(reflect.Type) error
	// Output: the shapes are of results, which are only encoded.
	Output bool

	known map[reflect.Type]*Shape
	names map[string]reflect.Type
	named []*Shape
}

var (
	jsonReader   = reflect.TypeFor[json.Unmarshaler]()
	jsonWriter   = reflect.TypeFor[json.Marshaler]()
	textReader   = reflect.TypeFor[encoding.TextUnmarshaler]()
	textWriter   = reflect.TypeFor[encoding.TextMarshaler]()
	describer    = reflect.TypeFor[Describer]()
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	numberType   = reflect.TypeFor[json.Number]()
	rawType      = reflect.TypeFor[json.RawMessage]()
)

// Type makes the shape of a type. An error names the place in it, below at.
func (b *Builder) Type(t reflect.Type, at string) (*Shape, error) {
	if s, ok := b.known[t]; ok {
		return s, b.recur(s, at)
	}
	if b.Refuse != nil {
		if err := b.Refuse(t); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
	}
	if b.known == nil {
		b.known = map[reflect.Type]*Shape{}
	}
	s := &Shape{typ: t}
	b.known[t] = s // before the parts are made: they may refer to it
	s.building = true
	err := b.fill(s, at)
	s.building = false
	if err != nil {
		return nil, err
	}
	return s, nil
}

// recur turns a type that refers to itself into one that the schema refers to.
func (b *Builder) recur(s *Shape, at string) error {
	switch {
	case !s.building || s.name != "" || s.typ.Name() == "":
		return nil
	case s.kind == pointerKind:
		return fmt.Errorf("%s: the type %s is a pointer to itself, which no JSON can be", at, s.typ)
	}
	b.define(s)
	return nil
}

func (b *Builder) fill(s *Shape, at string) error {
	t := s.typ
	kind, ok := b.kindOf(t)
	if !ok {
		return fmt.Errorf("%s: the type %s cannot be JSON", at, t)
	}
	s.kind = kind
	if err := b.refuseFields(t, kind); err != nil {
		return fmt.Errorf("%s%w", at, err)
	}
	if kind == structKind {
		s.description = Description(t)
	}
	if err := b.describe(s, at); err != nil {
		return err
	}
	if t.Name() != "" && (kind == structKind || s.hook != nil) {
		b.define(s)
	}
	var err error
	switch kind {
	case pointerKind, mapKind:
		if kind == mapKind && !isKey(t.Key()) {
			return fmt.Errorf("%s: the keys of a map must be strings or integers, or read themselves from text; %s does not", at, t.Key())
		}
		s.elem, err = b.Type(t.Elem(), at)
	case sliceKind, arrayKind:
		s.elem, err = b.Type(t.Elem(), at+"[]")
	case structKind:
		err = b.members(s, at)
	}
	return err
}

// refuseFields looks for forbidden types in a struct with a method that reads JSON, since
// it may have that method only because it embeds one.
func (b *Builder) refuseFields(t reflect.Type, k kind) error {
	if b.Refuse == nil || t.Kind() != reflect.Struct || k != customKind && k != textKind {
		return nil
	}
	for i := range t.NumField() {
		field := t.Field(i)
		elem := field.Type
		if elem.Kind() == reflect.Pointer {
			elem = elem.Elem()
		}
		if err := b.Refuse(elem); err != nil {
			return fmt.Errorf(".%s: %w", field.Name, err)
		}
	}
	return nil
}

// kindOf decides in the order of encoding/json: the methods of a type come before its
// kind.
func (b *Builder) kindOf(t reflect.Type) (kind, bool) {
	switch t {
	case timeType:
		return timeKind, true
	case durationType:
		return durationKind, true
	case numberType:
		return numberKind, true
	case rawType:
		return rawKind, true
	}
	asJSON, asText := jsonReader, textReader
	if b.Output {
		asJSON, asText = jsonWriter, textWriter
	}
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface {
		if reflect.PointerTo(t).Implements(asJSON) {
			return customKind, true
		}
		if reflect.PointerTo(t).Implements(asText) {
			return textKind, true
		}
	}
	switch t.Kind() {
	case reflect.Interface:
		return anyKind, t.NumMethod() == 0 || b.Output
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return bytesKind, true
		}
	}
	kind, ok := plainKinds[t.Kind()]
	return kind, ok
}

var plainKinds = map[reflect.Kind]kind{
	reflect.Bool: boolKind, reflect.String: stringKind,
	reflect.Int: intKind, reflect.Int8: intKind, reflect.Int16: intKind, reflect.Int32: intKind, reflect.Int64: intKind,
	reflect.Uint: uintKind, reflect.Uint8: uintKind, reflect.Uint16: uintKind, reflect.Uint32: uintKind, reflect.Uint64: uintKind, reflect.Uintptr: uintKind,
	reflect.Float32: floatKind, reflect.Float64: floatKind,
	reflect.Pointer: pointerKind, reflect.Slice: sliceKind, reflect.Array: arrayKind, reflect.Map: mapKind, reflect.Struct: structKind,
}

func isKey(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(textReader) || t.Implements(textWriter) {
		return true
	}
	k := plainKinds[t.Kind()]
	return k == stringKind || k == intKind || k == uintKind
}

// describe calls the type for its schema. For a type that reads JSON itself it uses any
// schema unchanged; for others only the limits that this package enforces.
func (b *Builder) describe(s *Shape, at string) error {
	if !isDescriber(s.typ) {
		return nil
	}
	schema := reflect.New(s.typ).Interface().(Describer).JSONSchema() //nolint:forcetypeassert // isDescriber
	var members map[string]json.RawMessage
	if err := json.Unmarshal(schema, &members); err != nil {
		return fmt.Errorf("%s: the schema that %s gives of itself is not a JSON object", at, s.typeName())
	}
	s.hook = schema
	if s.kind == customKind {
		return nil
	}
	err := s.enforce(members)
	switch {
	case err == nil:
	case b.Output: // nothing is decoded
		s.kind, s.rules = customKind, rules{}
	default:
		return fmt.Errorf("%s: the schema that %s gives of itself: %w", at, s.typeName(), err)
	}
	return nil
}

// enforce turns the schema of a type into limits of its values.
func (s *Shape) enforce(schema map[string]json.RawMessage) error {
	for _, limit := range limiting {
		value, ok := schema[limit.name]
		if !ok {
			continue
		}
		if err := s.rules.set(limit.name, value, s.kind); err != nil {
			return err
		}
	}
	for name, value := range schema {
		_, known := s.rules.get(name)
		switch {
		case known:
		case name == "description" && json.Unmarshal(value, &s.description) == nil:
		case name == "type" || name == "title" || name == "examples" || name == "$comment" || name == "deprecated":
		default:
			return fmt.Errorf("decoding would not enforce %q; give the type a method UnmarshalJSON that does", name)
		}
	}
	return nil
}

// isDescriber is false for a struct that has the method only because it embeds
// a type that does.
func isDescriber(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface || !reflect.PointerTo(t).Implements(describer) {
		return false
	}
	if t.Kind() != reflect.Struct {
		return true
	}
	for i := range t.NumField() {
		if field := t.Field(i); field.Anonymous && (field.Type.Implements(describer) || reflect.PointerTo(field.Type).Implements(describer)) {
			return false
		}
	}
	return true
}

func (b *Builder) members(s *Shape, at string) error {
	members, err := Members(s.typ, b.isLeaf)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	s.byName = make(map[string]int, len(members))
	for i, m := range members {
		f, err := b.Member(m, join(at, m.Name))
		if err != nil {
			return err
		}
		s.byName[m.Name] = i
		s.fields = append(s.fields, f)
	}
	return nil
}

// isLeaf reports whether an embedded type is a single value, and not a set of fields.
func (b *Builder) isLeaf(t reflect.Type) bool {
	if b.Refuse != nil && b.Refuse(t) != nil {
		return true
	}
	kind, _ := b.kindOf(t)
	return kind != structKind
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}
