package console

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// maxMembers is how many members of a list or object a page shows.
const maxMembers = 200

// value is a JSON value as a tree, with its members in their order and its numbers as they
// are written.
type value struct {
	kind    jsontext.Kind // 0: nothing
	text    string
	members []namedValue
	// cut counts the members that are not shown.
	cut int
}

type namedValue struct {
	name  string
	value value
}

// summary says how many members a value has.
func (v value) summary() string {
	n, what := len(v.members)+v.cut, "elements"
	if v.kind == '{' {
		what = "members"
	}
	if n == 1 {
		what = what[:len(what)-1]
	}
	return fmt.Sprintf("%d %s", n, what)
}

// class is the style of a value without members.
func (v value) class() string {
	switch v.kind {
	case '"':
		return "text"
	case '0':
		return "number"
	default:
		return "word"
	}
}

// parse reads a JSON document, without some members of the outermost object.
func parse(text []byte, without ...string) value {
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	v, err := next(decoder, without)
	if err != nil {
		return value{kind: '"', text: string(text)}
	}
	if v.kind == '{' && len(v.members) == 0 {
		return value{}
	}
	return v
}

func next(decoder *jsontext.Decoder, without []string) (value, error) {
	token, err := decoder.ReadToken()
	if err != nil {
		return value{}, err
	}
	v := value{kind: token.Kind(), text: token.String()}
	if v.kind != '{' && v.kind != '[' {
		return v, nil
	}
	end := jsontext.Kind('}')
	if v.kind == '[' {
		end = ']'
	}
	v.text = ""
	for decoder.PeekKind() != end {
		name := strconv.Itoa(len(v.members) + v.cut)
		if v.kind == '{' {
			key, err := decoder.ReadToken()
			if err != nil {
				return v, err
			}
			name = key.String()
		}
		if slices.Contains(without, name) && v.kind == '{' || len(v.members) >= maxMembers {
			if err := decoder.SkipValue(); err != nil {
				return v, err
			}
			if len(v.members) >= maxMembers {
				v.cut++
			}
			continue
		}
		member, err := next(decoder, nil)
		if err != nil {
			return v, err
		}
		v.members = append(v.members, namedValue{name, member})
	}
	_, err = decoder.ReadToken()
	return v, err
}
