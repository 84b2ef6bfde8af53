package signature

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// exampleDepth bounds examples of schemas that refer to themselves.
const exampleDepth = 6

// Example makes a value for an input: its default, the first of its examples, or the
// simplest of its type. A user is expected to change it; the service probably accepts it,
// but need not.
func Example(p Parameter, s *Signature) json.RawMessage {
	defs := map[string]json.RawMessage{}
	if len(s.Defs) > 0 && json.Unmarshal(s.Defs, &defs) != nil {
		defs = nil
	}
	text, err := json.Marshal(exampler(defs).of(p.Schema, exampleDepth))
	if err != nil {
		return json.RawMessage("null")
	}
	return text
}

// exampler has the definitions of a signature.
type exampler map[string]json.RawMessage

type exampleSchema struct {
	Ref        string                     `json:"$ref"`
	Type       any                        `json:"type"`
	Default    json.RawMessage            `json:"default"`
	Examples   []json.RawMessage          `json:"examples"`
	Enum       []json.RawMessage          `json:"enum"`
	Const      json.RawMessage            `json:"const"`
	AnyOf      []json.RawMessage          `json:"anyOf"`
	OneOf      []json.RawMessage          `json:"oneOf"`
	AllOf      []json.RawMessage          `json:"allOf"`
	Format     string                     `json:"format"`
	Minimum    json.RawMessage            `json:"minimum"`
	Properties map[string]json.RawMessage `json:"properties"`
	Required   []string                   `json:"required"`
	Items      json.RawMessage            `json:"items"`
	MinItems   int                        `json:"minItems"`
}

func (d exampler) of(raw json.RawMessage, depth int) any {
	var s exampleSchema
	if depth == 0 || json.Unmarshal(raw, &s) != nil {
		return nil
	}
	for _, known := range slices.Concat([]json.RawMessage{s.Default, s.Const}, s.Examples, s.Enum) {
		if known != nil {
			return known
		}
	}
	if s.Ref != "" {
		return d.of(d[strings.TrimPrefix(s.Ref, "#/$defs/")], depth-1)
	}
	if alternatives := slices.Concat(s.AllOf, s.AnyOf, s.OneOf); len(alternatives) > 0 && s.Type == nil {
		return d.of(alternatives[0], depth-1)
	}
	return d.ofType(s, depth)
}

func (d exampler) ofType(s exampleSchema, depth int) any {
	kind := s.Type
	if several, ok := kind.([]any); ok && len(several) > 0 {
		kind = several[0]
	}
	switch kind {
	case "string":
		return exampleText(s.Format)
	case "integer", "number":
		if s.Minimum != nil {
			return s.Minimum
		}
		return 1
	case "boolean":
		return true
	case "array":
		list := make([]any, max(1, s.MinItems))
		for i := range list {
			list[i] = d.of(s.Items, depth-1)
		}
		if s.Items == nil && s.MinItems == 0 {
			return []any{}
		}
		return list
	case "object":
		object := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			if slices.Contains(s.Required, name) {
				object[name] = d.of(s.Properties[name], depth-1)
			}
		}
		return object
	default:
		return nil
	}
}

func exampleText(format string) string {
	switch format {
	case "date":
		return "2026-01-31"
	case "date-time":
		return "2026-01-31T12:00:00Z"
	case "time":
		return "12:00:00"
	case "uuid":
		return "123e4567-e89b-12d3-a456-426614174000"
	case "email":
		return "someone@example.com"
	case "uri":
		return "https://example.com"
	default:
		return "text"
	}
}
