package shape

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A Member is a struct field as encoding/json sees it: under its JSON name,
// with the fields of embedded structs in its place.
type Member struct {
	Name  string
	Field reflect.StructField
	// Index leads to the field, through embedded structs.
	Index []int
	// Optional by omitempty, omitzero, or an embedded pointer that may be nil.
	Optional  bool
	OmitEmpty bool
	OmitZero  bool
	Quoted    bool // the option "string"
	depth     int
	tagged    bool
}

// Members lists the members of a struct type in the order of declaration. It does not look
// into embedded leaf types.
func Members(t reflect.Type, leaf func(reflect.Type) bool) ([]Member, error) {
	w := memberWalk{leaf: leaf, visiting: map[reflect.Type]bool{}}
	if err := w.walk(t, nil, false); err != nil {
		return nil, err
	}
	return w.dominant()
}

type memberWalk struct {
	leaf     func(reflect.Type) bool
	visiting map[reflect.Type]bool
	found    []Member
}

func (w *memberWalk) walk(t reflect.Type, index []int, optional bool) error {
	if w.visiting[t] {
		return nil // members that were found earlier shadow its members
	}
	w.visiting[t] = true
	defer delete(w.visiting, t)
	for i := range t.NumField() {
		field := t.Field(i)
		tag, tagged := field.Tag.Lookup("json")
		if tag == "-" || field.Name == "_" {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		at := append(slices.Clone(index), i)
		elem := field.Type
		if elem.Kind() == reflect.Pointer && elem.Name() == "" {
			elem = elem.Elem()
		}
		if field.Anonymous && name == "" && elem.Kind() == reflect.Struct && !w.leaf(elem) {
			isPointer := elem != field.Type
			if isPointer && !field.IsExported() {
				return fmt.Errorf("the embedded *%s cannot be set, as the type is not exported: embed it without the pointer", elem.Name())
			}
			if err := w.walk(elem, at, optional || isPointer); err != nil {
				return err
			}
			continue
		}
		if !field.IsExported() {
			continue
		}
		m := Member{Name: name, Field: field, Index: at, depth: len(at), tagged: tagged && name != ""}
		if name == "" {
			m.Name = field.Name
		}
		m.readOptions(options)
		m.Optional = optional || m.OmitEmpty || m.OmitZero
		w.found = append(w.found, m)
	}
	return nil
}

// readOptions reads the options after the name in a json tag.
func (m *Member) readOptions(options string) {
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty":
			m.OmitEmpty = true
		case "omitzero":
			m.OmitZero = true
		case "string":
			m.Quoted = true
		}
	}
}

// dominant chooses among members with one name by Go's rules for embedded fields: the
// least nested, and among those the tagged one. If encoding/json would silently drop them
// all, this is an error.
func (w *memberWalk) dominant() ([]Member, error) {
	best := map[string]int{}
	count := map[string]int{}
	for i, m := range w.found {
		j, ok := best[m.Name]
		switch {
		case !ok || precedes(m, w.found[j]):
			best[m.Name], count[m.Name] = i, 1
		case !precedes(w.found[j], m):
			count[m.Name]++
		}
	}
	var members []Member
	for i, m := range w.found {
		if best[m.Name] != i {
			continue
		}
		if count[m.Name] > 1 {
			return nil, fmt.Errorf("two fields are called %q: give one of them another name by its json tag", m.Name)
		}
		members = append(members, m)
	}
	return members, nil
}

func precedes(a, b Member) bool {
	if a.depth != b.depth {
		return a.depth < b.depth
	}
	return a.tagged && !b.tagged
}

// Description of a struct type: the tag of its blank field, if it has one.
func Description(t reflect.Type) string {
	for i := range t.NumField() {
		if field := t.Field(i); field.Name == "_" {
			if text := field.Tag.Get("description"); text != "" {
				return text
			}
		}
	}
	return ""
}
