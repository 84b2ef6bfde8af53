package shape

import (
	"encoding/json"
	"strconv"
	"strings"
)

// An Error is one problem of a text. It never holds a value of the text.
type Error struct {
	// Path is the place of the problem, such as data.points[2].x.
	Path    string `json:"path"`
	Message string `json:"message"`
}

func (e Error) Error() string {
	if e.Path == "" {
		return e.Message
	}
	return e.Path + ": " + e.Message
}

// Errors lists all problems of a text, in the order of the text.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

func (e Errors) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// place is a step in a JSON text, linked to the one before it: a path is written out only
// for an error.
type place struct {
	parent *place
	key    string
	index  int // of an array, if key is ""
	isKey  bool
}

func (p *place) String() string {
	if p == nil {
		return ""
	}
	before := p.parent.String()
	switch {
	case !p.isKey:
		return before + "[" + strconv.Itoa(p.index) + "]"
	case !isPlain(p.key):
		quoted, _ := json.Marshal(p.key) // a string always encodes
		return before + "[" + string(quoted) + "]"
	case before == "":
		return p.key
	default:
		return before + "." + p.key
	}
}

func isPlain(key string) bool {
	for i, r := range key {
		letter := r == '_' || r == '$' || r == '-' && i > 0 || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return key != ""
}
