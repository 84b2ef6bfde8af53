package shape

import (
	"encoding/json"
	"reflect"
)

type kind int

const (
	anyKind    kind = iota // any JSON at all
	rawKind                // json.RawMessage
	customKind             // the type reads JSON itself
	textKind               // the type reads text itself
	boolKind
	intKind
	uintKind
	floatKind
	numberKind // json.Number
	stringKind
	bytesKind
	timeKind
	durationKind
	pointerKind
	sliceKind
	arrayKind
	mapKind
	structKind
)

// A Shape is the JSON form of one Go type, with the limits of one place where it is
// used.
type Shape struct {
	typ  reflect.Type
	kind kind
	// name is the name in $defs of types that are referred to; else empty.
	name string
	// elem is the element of pointers, slices, arrays and maps.
	elem   *Shape
	fields []*Field
	byName map[string]int
	rules  rules
	// hook is the schema that the type itself returns.
	hook        json.RawMessage
	description string
	building    bool // not all parts are known yet
}

// A Field is a member of an object.
type Field struct {
	Name  string
	Shape *Shape
	// Optional: the member may be left out.
	Optional    bool
	Description string
	index       []int
	// fallback is the JSON text of the default; nil if there is none.
	fallback json.RawMessage
	examples json.RawMessage
}

// typeName is a type's Go name for errors: it never holds a value.
func (s *Shape) typeName() string {
	if name := s.typ.Name(); name != "" {
		return name
	}
	return s.typ.String()
}

// TakesText reports that any plain text is a value.
func (s *Shape) TakesText() bool {
	_, limited := s.rules.get("enum")
	return s.kind == stringKind && !limited
}

// ReadsText reports that a JSON string can be a value.
func (s *Shape) ReadsText() bool {
	switch s.kind {
	case anyKind, rawKind, customKind, textKind, stringKind, bytesKind, timeKind, durationKind:
		return true
	case pointerKind:
		return s.elem.ReadsText()
	default:
		return false
	}
}

// IsBool reports that the values are true and false.
func (s *Shape) IsBool() bool { return s.kind == boolKind || s.kind == pointerKind && s.elem.IsBool() }

// allOptional reports that {} is a value.
func (s *Shape) allOptional() bool {
	if s.kind != structKind || s.hook != nil {
		return false
	}
	for _, f := range s.fields {
		if !f.Optional {
			return false
		}
	}
	return true
}
