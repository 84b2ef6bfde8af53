package signature

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// A FieldError is one problem of a body. It never holds a value of the body.
type FieldError struct {
	// Path is a JSON path, such as data.points[2].x; empty for the body.
	Path    string `json:"path"`
	Message string `json:"message"`
}

func (e FieldError) Error() string {
	if e.Path == "" {
		return e.Message
	}
	return e.Path + ": " + e.Message
}

// Errors lists all problems of a body, ordered by path.
type Errors []FieldError

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, field := range e {
		lines[i] = field.Error()
	}
	return strings.Join(lines, "\n")
}

func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b FieldError) int { return cmp.Compare(a.Path, b.Path) })
	return slices.Compact(e)
}

// path is a place in a JSON document: strings are keys, ints are indices.
type path []any

func (p path) key(name string) path { return append(slices.Clip(p), name) }

// String writes the path as JavaScript would: a.b[2]["odd key"].
func (p path) String() string {
	var b strings.Builder
	for _, step := range p {
		switch step := step.(type) {
		case int:
			b.WriteString("[" + strconv.Itoa(step) + "]")
		case string:
			switch {
			case !isPlainKey(step):
				quoted, _ := json.Marshal(step) // a string always encodes
				b.WriteString("[" + string(quoted) + "]")
			case b.Len() > 0:
				b.WriteString("." + step)
			default:
				b.WriteString(step)
			}
		}
	}
	return b.String()
}

func isPlainKey(s string) bool {
	if s == "" {
		return false
	}
	for i, r := range s {
		letter := r == '_' || r == '$' || r == '-' && i > 0 || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return true
}
