package shape

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// maxEncodeDepth is far beyond any result that is not a cycle.
const maxEncodeDepth = 1000

// Encode writes a result as JSON, by the rules of encoding/json with these exceptions. NaN
// and the infinities are null, as JSON has none of them. A nil slice is [] and a nil map
// {}, so that a caller finds the type of the schema. A time.Duration is text as Decode
// reads it. The methods of a type count even if the value cannot be addressed. HTML is not
// escaped.
func Encode(v any) ([]byte, error) {
	e := encoder{members: map[reflect.Type][]Member{}}
	e.value(reflect.ValueOf(v), 0)
	return e.out.Bytes(), e.err
}

// encoder collects text until the first error.
type encoder struct {
	out     bytes.Buffer
	err     error
	members map[reflect.Type][]Member
}

func (e *encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *encoder) null() { e.out.WriteString("null") }

func (e *encoder) string(s string) {
	encoder := json.NewEncoder(&e.out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		e.fail(err)
		return
	}
	e.out.Truncate(e.out.Len() - 1) // the line end
}

func (e *encoder) value(v reflect.Value, depth int) {
	switch {
	case e.err != nil:
		return
	case depth > maxEncodeDepth:
		e.fail(errors.New("the result is nested too deeply, or refers to itself"))
		return
	case !v.IsValid():
		e.null()
		return
	}
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			e.null()
			return
		}
		e.value(v.Elem(), depth+1)
		return
	}
	if e.own(v) {
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		e.out.WriteString(strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.out.WriteString(strconv.FormatInt(v.Int(), 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		e.out.WriteString(strconv.FormatUint(v.Uint(), 10))
	case reflect.Float32, reflect.Float64:
		e.float(v)
	case reflect.String:
		e.string(v.String())
	case reflect.Slice, reflect.Array:
		e.array(v, depth)
	case reflect.Map:
		e.mapping(v, depth)
	case reflect.Struct:
		e.object(v, depth)
	default:
		e.fail(fmt.Errorf("a result cannot hold a %s", v.Type()))
	}
}

// own calls the method by which a type writes itself; false if it has none.
func (e *encoder) own(v reflect.Value) bool {
	switch t := v.Type(); {
	case t == durationType:
		e.string(formatDuration(time.Duration(v.Int())))
		return true
	case t == numberType:
		e.number(v.String())
		return true
	case !reflect.PointerTo(t).Implements(jsonWriter) && !reflect.PointerTo(t).Implements(textWriter):
		return false
	}
	switch writer := addressable(v).Addr().Interface().(type) {
	case json.Marshaler:
		text, err := writer.MarshalJSON()
		if err == nil {
			err = json.Compact(&e.out, text)
		}
		if err != nil {
			e.fail(fmt.Errorf("the JSON of %s: %w", v.Type(), err))
		}
	case encoding.TextMarshaler:
		text, err := writer.MarshalText()
		if err != nil {
			e.fail(fmt.Errorf("the text of %s: %w", v.Type(), err))
		}
		e.string(string(text))
	}
	return true
}

func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	copied := reflect.New(v.Type()).Elem()
	copied.Set(v)
	return copied
}

func (e *encoder) number(text string) {
	if text == "" {
		text = "0"
	}
	if !json.Valid([]byte(text)) || tokenName(text[0]) != "number" {
		e.fail(errors.New("a json.Number of the result is not a number"))
		return
	}
	e.out.WriteString(text)
}

func (e *encoder) float(v reflect.Value) {
	f := v.Float()
	if math.IsNaN(f) || math.IsInf(f, 0) {
		e.null()
		return
	}
	text, err := json.Marshal(v.Convert(floatType(v)).Interface())
	if err != nil {
		e.fail(err)
	}
	e.out.Write(text)
}

func floatType(v reflect.Value) reflect.Type {
	if v.Kind() == reflect.Float32 {
		return reflect.TypeFor[float32]()
	}
	return reflect.TypeFor[float64]()
}

func (e *encoder) array(v reflect.Value, depth int) {
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
		e.string(base64.StdEncoding.EncodeToString(v.Bytes()))
		return
	}
	e.out.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			e.out.WriteByte(',')
		}
		e.value(v.Index(i), depth+1)
	}
	e.out.WriteByte(']')
}

func (e *encoder) mapping(v reflect.Value, depth int) {
	type entry struct {
		name  string
		value reflect.Value
	}
	var entries []entry
	for each := v.MapRange(); each.Next(); {
		name, err := keyName(each.Key())
		if err != nil {
			e.fail(err)
			return
		}
		entries = append(entries, entry{name, each.Value()})
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.name, b.name) })
	e.out.WriteByte('{')
	for i, entry := range entries {
		if i > 0 {
			e.out.WriteByte(',')
		}
		e.string(entry.name)
		e.out.WriteByte(':')
		e.value(entry.value, depth+1)
	}
	e.out.WriteByte('}')
}

func keyName(key reflect.Value) (string, error) {
	if key.Kind() == reflect.Interface {
		key = key.Elem()
	}
	if key.Kind() == reflect.String && !key.Type().Implements(textWriter) {
		return key.String(), nil
	}
	if key.IsValid() {
		if writer, ok := addressable(key).Addr().Interface().(encoding.TextMarshaler); ok {
			if key.Kind() == reflect.Pointer && key.IsNil() {
				return "", nil
			}
			text, err := writer.MarshalText()
			return string(text), err
		}
		switch plainKinds[key.Kind()] {
		case intKind:
			return strconv.FormatInt(key.Int(), 10), nil
		case uintKind:
			return strconv.FormatUint(key.Uint(), 10), nil
		}
	}
	return "", errors.New("a map of the result has keys that are neither strings nor integers")
}

func (e *encoder) object(v reflect.Value, depth int) {
	members, ok := e.members[v.Type()]
	if !ok {
		var err error
		if members, err = Members(v.Type(), writesItself); err != nil {
			e.fail(err)
			return
		}
		e.members[v.Type()] = members
	}
	e.out.WriteByte('{')
	first := true
	for _, m := range members {
		field, ok := reach(v, m.Index)
		if !ok || m.OmitEmpty && isEmpty(field) || m.OmitZero && isZero(field) {
			continue
		}
		if !first {
			e.out.WriteByte(',')
		}
		first = false
		e.string(m.Name)
		e.out.WriteByte(':')
		start := e.out.Len()
		e.value(field, depth+1)
		e.quote(m, start)
	}
	e.out.WriteByte('}')
}

// quote puts a scalar written since start into a string, as the json option
// "string" asks for.
func (e *encoder) quote(m Member, start int) {
	if !m.Quoted || e.err != nil {
		return
	}
	if text := string(e.out.Bytes()[start:]); text != "null" && text[0] != '{' && text[0] != '[' {
		e.out.Truncate(start)
		e.string(text)
	}
}

func writesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(jsonWriter) || p.Implements(textWriter)
}

// reach follows an index; false at a nil embedded pointer.
func reach(v reflect.Value, index []int) (reflect.Value, bool) {
	for i, x := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v, true
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	default:
		return v.IsZero()
	}
}

func isZero(v reflect.Value) bool {
	if zeroer, ok := v.Interface().(interface{ IsZero() bool }); ok && (v.Kind() != reflect.Pointer || !v.IsNil()) {
		return zeroer.IsZero()
	}
	return v.IsZero()
}
