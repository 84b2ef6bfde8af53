package shape

import (
	"encoding"
	"reflect"
	"regexp"
	"strconv"
	"sync"
)

func (d *decoder) array(s *Shape, dst reflect.Value, at *place) {
	n := 0
	if s.kind == sliceKind {
		dst.Set(reflect.MakeSlice(s.typ, 0, 0))
	}
	spare := reflect.New(s.typ.Elem()).Elem()
	for d.enter(); d.more(); n++ {
		inner := &place{parent: at, index: n}
		if s.kind == sliceKind {
			dst.Grow(1)
			dst.SetLen(n + 1)
		}
		if n < dst.Len() {
			d.value(s.elem, dst.Index(n), inner)
			continue
		}
		d.value(s.elem, spare, inner) // beyond the end of an array
	}
	switch {
	case s.kind == arrayKind && n != dst.Len():
		d.fail(at, "must have %d elements", dst.Len())
	case s.kind == sliceKind:
		if message := s.rules.size(n, "minItems", "maxItems", "elements"); message != "" {
			d.fail(at, "%s", message)
		}
	}
}

func (d *decoder) mapping(s *Shape, dst reflect.Value, at *place) {
	dst.Set(reflect.MakeMap(s.typ))
	seen := map[string]bool{}
	for d.enter(); d.more(); {
		name := d.string()
		inner := &place{parent: at, key: name, isKey: true}
		value := reflect.New(s.typ.Elem()).Elem()
		before := len(d.errs)
		d.value(s.elem, value, inner)
		key, message := mapKey(name, s.typ.Key())
		switch {
		case seen[name]:
			d.fail(inner, "is there twice")
		case message != "":
			d.fail(inner, "%s", message)
		case dst.MapIndex(key).IsValid():
			d.fail(inner, "means a key that is there already")
		case len(d.errs) == before:
			dst.SetMapIndex(key, value)
		}
		seen[name] = true
	}
	if message := s.rules.size(len(seen), "minProperties", "maxProperties", "members"); message != "" {
		d.fail(at, "%s", message)
	}
}

// The patterns of integers as keys, with one form for each value.
const (
	intKeyPattern  = `^(0|-?[1-9][0-9]*)$`
	uintKeyPattern = `^(0|[1-9][0-9]*)$`
)

var (
	intKey  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(intKeyPattern) })
	uintKey = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(uintKeyPattern) })
)

// keyPattern limits the names of members that are keys of type t; "" if any name is
// valid.
func keyPattern(t reflect.Type) string {
	switch k := plainKinds[t.Kind()]; {
	case reflect.PointerTo(t).Implements(textReader):
		return ""
	case k == intKind:
		return intKeyPattern
	case k == uintKind:
		return uintKeyPattern
	default:
		return ""
	}
}

// mapKey makes a key of type t; message describes the problem of the name. A key's method
// for text comes before its kind, as for values.
func mapKey(name string, t reflect.Type) (key reflect.Value, message string) {
	key = reflect.New(t).Elem()
	if reader, ok := key.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if reader.UnmarshalText([]byte(name)) != nil {
			return key, "is not a valid " + t.Name()
		}
		if !key.Comparable() {
			return key, "cannot be a key"
		}
		return key, ""
	}
	const notInteger = "the key must be an integer within its range"
	switch plainKinds[t.Kind()] {
	case intKind:
		n, err := strconv.ParseInt(name, 10, t.Bits())
		if err != nil || !intKey().MatchString(name) {
			return key, notInteger
		}
		key.SetInt(n)
	case uintKind:
		n, err := strconv.ParseUint(name, 10, t.Bits())
		if err != nil || !uintKey().MatchString(name) {
			return key, notInteger
		}
		key.SetUint(n)
	default:
		key.SetString(name)
	}
	return key, ""
}

func (d *decoder) object(s *Shape, dst reflect.Value, at *place) {
	given := make([]bool, len(s.fields))
	unknown := map[string]bool{}
	for d.enter(); d.more(); {
		name := d.string()
		inner := &place{parent: at, key: name, isKey: true}
		i, known := s.byName[name]
		if !known {
			if unknown[name] {
				d.fail(inner, "is there twice")
			} else {
				d.fail(inner, "there is no such field")
			}
			unknown[name] = true
			d.skip(inner)
			continue
		}
		if given[i] {
			d.fail(inner, "is there twice")
			d.skip(inner)
			continue
		}
		given[i] = true
		f := s.fields[i]
		d.value(f.Shape, f.in(dst), inner)
	}
	for i, f := range s.fields {
		switch {
		case given[i]:
		case f.Optional:
			f.Default(dst)
		default:
			d.fail(&place{parent: at, key: f.Name, isKey: true}, "is required")
		}
	}
}
