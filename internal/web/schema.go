package web

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// schema holds the parts of a JSON Schema that a form needs.
type schema struct {
	Ref         string            `json:"$ref"`
	Type        any               `json:"type"`
	Title       string            `json:"title"`
	Description string            `json:"description"`
	Default     json.RawMessage   `json:"default"`
	Enum        []json.RawMessage `json:"enum"`
	Const       json.RawMessage   `json:"const"`
	AnyOf       []json.RawMessage `json:"anyOf"`
	AllOf       []json.RawMessage `json:"allOf"`
	OneOf       []json.RawMessage `json:"oneOf"`
	Format      string            `json:"format"`
	Minimum     json.Number       `json:"minimum"`
	Maximum     json.Number       `json:"maximum"`
	MaxLength   json.Number       `json:"maxLength"`
	Examples    []json.RawMessage `json:"examples"`
	Properties  properties        `json:"properties"`
	Required    []string          `json:"required"`

	nullable bool
}

// properties keep the order in which the service has declared them.
type properties []property

type property struct {
	name   string
	schema json.RawMessage
}

// UnmarshalJSON reads an object in its order.
func (p *properties) UnmarshalJSON(text []byte) error {
	decoder := jsontext.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	for decoder.PeekKind() == '"' {
		name, err := decoder.ReadToken()
		if err != nil {
			return err
		}
		key := name.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return err
		}
		*p = append(*p, property{key, json.RawMessage(value.Clone())})
	}
	return nil
}

// definitions are the schemas that others refer to.
type definitions map[string]json.RawMessage

// resolve reads a schema, follows its references, and looks through "or null" and a lone
// allOf. Keywords beside a reference override those of its target. A schema that it
// cannot read allows anything.
func (d definitions) resolve(raw json.RawMessage) schema {
	var s schema
	for range 10 { // references may go in a circle
		var next schema
		if json.Unmarshal(raw, &next) != nil { // true and false are schemas too
			return s
		}
		s = next.under(s)
		switch {
		case next.Ref != "":
			raw = d[strings.TrimPrefix(next.Ref, "#/$defs/")]
		case len(next.AllOf) == 1 && next.Type == nil:
			raw = next.AllOf[0]
		default:
			only, nullable := orNull(next.AnyOf)
			if only == nil {
				return s
			}
			s.AnyOf, s.nullable = nil, nullable
			raw = only
		}
		s.Ref, s.AllOf = "", nil
	}
	return schema{}
}

// under is s with the title and description of the schema that led to it.
func (s schema) under(above schema) schema {
	if above.Title != "" {
		s.Title = above.Title
	}
	if above.Description != "" {
		s.Description = above.Description
	}
	if above.Default != nil {
		s.Default = above.Default
	}
	s.nullable = s.nullable || above.nullable
	return s
}

// orNull is the alternative to null, if there is exactly one.
func orNull(alternatives []json.RawMessage) (only json.RawMessage, nullable bool) {
	for _, raw := range alternatives {
		var s schema
		if json.Unmarshal(raw, &s) == nil && s.Type == "null" {
			nullable = true
			continue
		}
		if only != nil {
			return nil, false
		}
		only = raw
	}
	return only, nullable
}

// kind is the one type of a schema, apart from null; empty if it has several or none.
func (s schema) kind() string {
	switch t := s.Type.(type) {
	case string:
		return t
	case []any:
		kind := ""
		for _, one := range t {
			name, _ := one.(string)
			if name == "null" {
				continue
			}
			if kind != "" {
				return ""
			}
			kind = name
		}
		return kind
	}
	return ""
}
