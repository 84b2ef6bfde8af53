package shape

import (
	"encoding"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
)

// maxErrors bounds the errors about one text.
const maxErrors = 100

// Decode fills dst, a settable value of the shape's type, from a JSON text
// that stands at the path at. If there are errors, dst may hold a part.
func (s *Shape) Decode(text []byte, dst reflect.Value, at string) Errors {
	root := &place{key: at, isKey: true}
	if message := checkText(text); message != "" {
		return Errors{{Path: at, Message: message}}
	}
	d := decoder{scanner: scanner{text: text}}
	d.value(s, dst, root)
	return d.errs
}

// Default fills a field that the text lacks: from its default, or from {} if that is a
// value. v is the struct with the field.
func (f *Field) Default(v reflect.Value) {
	switch {
	case f.fallback != nil:
		_ = f.Shape.Decode(f.fallback, f.in(v), f.Name) // checked when f was made
	case f.Shape.allOptional() && len(f.index) == 1:
		for _, inner := range f.Shape.fields {
			inner.Default(f.in(v))
		}
	}
}

// Decode fills the field of the struct v.
func (f *Field) Decode(text []byte, v reflect.Value) Errors {
	return f.Shape.Decode(text, f.in(v), f.Name)
}

// MayBeMissing reports that the service works without the field: it is optional, or {} is
// a value of it.
func (f *Field) MayBeMissing() bool { return f.Optional || f.Shape.allOptional() }

func (f *Field) in(v reflect.Value) reflect.Value { return Reach(v, f.index) }

// Reach is the field of the struct v at an index; it creates embedded pointers on the
// way.
func Reach(v reflect.Value, index []int) reflect.Value {
	for i, x := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v
}

type decoder struct {
	scanner
	errs Errors
}

func (d *decoder) fail(at *place, format string, args ...any) {
	switch len(d.errs) {
	case maxErrors:
	case maxErrors - 1:
		d.errs = append(d.errs, Error{Message: "there are more errors"})
	default:
		d.errs = append(d.errs, Error{at.String(), fmt.Sprintf(format, args...)})
	}
}

// token names for errors, by the first byte.
func tokenName(c byte) string {
	switch c {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	default:
		return "number"
	}
}

// expect skips a value of another kind than wanted, and adds an error.
func (d *decoder) expect(want string, ok bool, at *place) bool {
	if ok {
		return true
	}
	got := tokenName(d.peek())
	d.skip(at)
	d.fail(at, "expected %s, got %s", want, got)
	return false
}

func (d *decoder) value(s *Shape, dst reflect.Value, at *place) {
	c := d.peek()
	switch s.kind {
	case anyKind, rawKind, customKind:
		d.free(s, dst, at)
	case boolKind:
		if d.expect("boolean", c == 't' || c == 'f', at) {
			dst.SetBool(d.word() == "true")
		}
	case intKind, uintKind:
		d.integer(s, dst, at)
	case floatKind, numberKind:
		d.float(s, dst, at)
	case stringKind, textKind, bytesKind, timeKind, durationKind:
		if d.expect("string", c == '"', at) {
			if message := s.setText(d.string(), dst); message != "" {
				d.fail(at, "%s", message)
			}
		}
	case pointerKind:
		if c == 'n' {
			d.word()
			dst.SetZero()
			return
		}
		target := reflect.New(s.typ.Elem())
		d.value(s.elem, target.Elem(), at)
		dst.Set(target)
	case sliceKind, arrayKind:
		if d.expect("array", c == '[', at) {
			d.array(s, dst, at)
		}
	case mapKind:
		if d.expect("object", c == '{', at) {
			d.mapping(s, dst, at)
		}
	case structKind:
		if d.expect("object", c == '{', at) {
			d.object(s, dst, at)
		}
	}
}

// setText sets the value from the text. It returns the problem of the text, or "".
func (s *Shape) setText(text string, dst reflect.Value) string {
	switch s.kind {
	case stringKind:
		if message := s.rules.text(text); message != "" {
			return message
		}
		dst.SetString(text)
	case textKind:
		if message := s.rules.text(text); message != "" {
			return message
		}
		// The error of the type may repeat the value, so it is dropped.
		if reader, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); !ok || reader.UnmarshalText([]byte(text)) != nil {
			return "is not a valid " + s.typeName()
		}
	case bytesKind:
		content, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || base64.StdEncoding.EncodeToString(content) != text {
			return "must be base64"
		}
		dst.SetBytes(content)
	case timeKind:
		t, err := parseTime(text)
		if err != nil {
			return "must be a date and time, such as 2026-01-31T08:30:00Z"
		}
		dst.Set(reflect.ValueOf(t))
	case durationKind:
		duration, err := parseDuration(text)
		if err != nil {
			return "must be a duration, such as PT1M30S or 1m30s"
		}
		dst.SetInt(int64(duration))
	}
	return ""
}

func (d *decoder) integer(s *Shape, dst reflect.Value, at *place) {
	c := d.peek()
	if !d.expect("integer", c == '-' || '0' <= c && c <= '9', at) {
		return
	}
	text := d.number()
	if !inRange(text) {
		d.fail(at, "is a number out of range")
		return
	}
	digits, whole := parseDecimal(text).integer()
	if !whole {
		d.fail(at, "expected integer, got a fraction")
		return
	}
	if message := s.rules.number(text); message != "" {
		d.fail(at, "%s", message)
		return
	}
	bits := s.typ.Bits()
	if s.kind == intKind {
		n, err := strconv.ParseInt(digits, 10, bits)
		if err != nil {
			d.fail(at, "must be between %d and %d", -1<<(bits-1), 1<<(bits-1)-1)
			return
		}
		dst.SetInt(n)
		return
	}
	n, err := strconv.ParseUint(digits, 10, bits)
	if err != nil {
		d.fail(at, "must be between 0 and %d", ^uint64(0)>>(64-bits))
		return
	}
	dst.SetUint(n)
}

func (d *decoder) float(s *Shape, dst reflect.Value, at *place) {
	c := d.peek()
	if !d.expect("number", c == '-' || '0' <= c && c <= '9', at) {
		return
	}
	text := d.number()
	if !inRange(text) {
		d.fail(at, "is a number out of range")
		return
	}
	if message := s.rules.number(text); message != "" {
		d.fail(at, "%s", message)
		return
	}
	if s.kind == numberKind {
		dst.SetString(text)
		return
	}
	f, err := strconv.ParseFloat(text, s.typ.Bits())
	if err != nil {
		d.fail(at, "is a number out of range")
		return
	}
	dst.SetFloat(f)
}

// free reads any JSON: the text is checked for repeated keys, then left to
// encoding/json or to the type.
func (d *decoder) free(s *Shape, dst reflect.Value, at *place) {
	d.peek()
	start, before := d.pos, len(d.errs)
	d.skip(at)
	if len(d.errs) > before {
		return
	}
	raw := d.text[start:d.pos]
	switch s.kind {
	case rawKind:
		dst.SetBytes(append([]byte(nil), raw...))
	case anyKind:
		value, err := freeValue(raw)
		if err != nil {
			d.fail(at, "holds a number out of range")
			return
		}
		if value == nil {
			dst.SetZero()
			return
		}
		dst.Set(reflect.ValueOf(value))
	case customKind:
		// The error of the type may repeat the value, so it is dropped.
		if reader, ok := dst.Addr().Interface().(json.Unmarshaler); !ok || reader.UnmarshalJSON(append([]byte(nil), raw...)) != nil {
			d.fail(at, "is not a valid %s", s.typeName())
		}
	}
}

// skip reads a value only to check it.
func (d *decoder) skip(at *place) {
	switch c := d.peek(); c {
	case '{':
		seen := map[string]bool{}
		for d.enter(); d.more(); {
			key := d.string()
			inner := &place{parent: at, key: key, isKey: true}
			if seen[key] {
				d.fail(inner, "is there twice")
			}
			seen[key] = true
			d.skip(inner)
		}
	case '[':
		d.enter()
		for i := 0; d.more(); i++ {
			d.skip(&place{parent: at, index: i})
		}
	case '"':
		d.string()
	case 't', 'f', 'n':
		d.word()
	default:
		if !inRange(d.number()) {
			d.fail(at, "is a number out of range")
		}
	}
}
