package signature

import (
	"bytes"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"
)

// A treeReader decodes parts of a text that is known to be valid JSON, as
// [decode] does.
type treeReader struct {
	text []byte
	read func(json.Number) (json.Number, bool)
	// failed says that a number was out of range.
	failed bool
}

func newTreeReader(text []byte, exact bool) *treeReader {
	if exact {
		return &treeReader{text: text, read: exactNumber}
	}
	return &treeReader{text: text, read: binaryNumber}
}

// value decodes the value at a place, and returns its end.
func (r *treeReader) value(at int) (value any, end int) {
	switch r.text[at] {
	case '{':
		return r.object(at)
	case '[':
		return r.list(at)
	case '"':
		return r.str(at)
	case 't':
		return true, at + len("true")
	case 'f':
		return false, at + len("false")
	case 'n':
		return nil, at + len("null")
	default:
		end = scalarEnd(r.text, at)
		number, ok := r.read(json.Number(r.text[at:end]))
		r.failed = r.failed || !ok
		return number, end
	}
}

func (r *treeReader) object(at int) (object map[string]any, end int) {
	object = map[string]any{}
	for at = skipSpace(r.text, at+1); r.text[at] != '}'; {
		var name string
		name, at = r.str(at)
		at = skipSpace(r.text, skipSpace(r.text, at)+1) // the colon
		object[name], at = r.value(at)
		at = r.next(at)
	}
	return object, at + 1
}

func (r *treeReader) list(at int) (list []any, end int) {
	list = []any{}
	for at = skipSpace(r.text, at+1); r.text[at] != ']'; {
		var value any
		value, at = r.value(at)
		list = append(list, value)
		at = r.next(at)
	}
	return list, at + 1
}

// next is the place behind the comma after an element, or of the closing
// bracket.
func (r *treeReader) next(at int) int {
	if at = skipSpace(r.text, at); r.text[at] == ',' {
		at = skipSpace(r.text, at+1)
	}
	return at
}

func (r *treeReader) str(at int) (text string, end int) {
	end = stringEnd(r.text, at)
	literal := r.text[at:end]
	if bytes.IndexByte(literal, '\\') < 0 {
		return string(literal[1 : len(literal)-1]), end
	}
	unquoted, _ := jsontext.AppendUnquote(nil, literal) // the text is valid
	return string(unquoted), end
}

// numbersFit reports whether all numbers of a valid text are in range, without
// decoding it.
func numbersFit(text []byte, exact bool) bool {
	r := newTreeReader(nil, exact)
	for at := 0; at < len(text); {
		switch c := text[at]; {
		case c == '"':
			at = stringEnd(text, at)
		case c == '-' || c >= '0' && c <= '9':
			end := scalarEnd(text, at)
			if number := text[at:end]; end-at > maxExponent || exact && bytes.ContainsAny(number, "eE") {
				if _, ok := r.read(json.Number(number)); !ok {
					return false
				}
			}
			at = end
		default:
			at++
		}
	}
	return true
}
