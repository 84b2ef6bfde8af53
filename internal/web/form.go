package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/signature"
)

// maxDepth is how deep the form shows models; deeper values are JSON.
const maxDepth = 3

// view is the data of the templates.
type view struct {
	// Base is the path below which the API answers.
	Base string
	// Alone says that the reference is the only page.
	Alone bool
	// Console says that the server has a console.
	Console                    bool
	ID                         string
	Name, Version, Description string
	// Advices are about failed executions.
	Advices                    []Advice
	Inputs, Secrets, DataPools []field
}

// field is one place to type something, or a group of them.
type field struct {
	// Path is the place of the value in the body: a JSON path as in errors. Key is the
	// last step.
	Path, Key string
	Title     string // if it says more than Key
	Help      string
	// Widget is text, number, checkbox, choice, json, group, password or pool.
	Widget   string
	Required bool
	// Value is the initial text of the field, Default the value of an empty one.
	Value, Default   string
	Options          []option
	Integer          bool
	Minimum, Maximum string
	MaxLength        string
	InputType        string
	Fields           []field // of a group
	// Optional: the server has a value, so the request need not bring one.
	Optional bool
	Env      string // of a secret
}

// ID is unique in the page and fit for an attribute.
func (f field) ID() string { return "f-" + f.Path }

// Rows is the height of a field for JSON.
func (f field) Rows() int { return min(12, max(3, strings.Count(f.Value, "\n")+1)) }

// option is a possible value, as JSON, and its text.
type option struct {
	Value, Text string
	Selected    bool
}

func newView(s Service) view {
	v := view{Console: s.Console, ID: s.ID, Advices: advices, Name: s.Name, Version: s.Version, Description: s.Description}
	if v.Description == "" {
		v.Description = s.Signature.Description
	}
	defs := definitions{}
	if len(s.Signature.Defs) > 0 {
		_ = json.Unmarshal(s.Signature.Defs, &defs) // without them, fields are JSON
	}
	for _, p := range s.Request.Parameters {
		own, _ := s.Signature.Lookup(p.Name)
		optional := own.Required && !p.Required
		f := field{Path: p.Name, Key: p.Name, Help: p.Description, Required: p.Required, Optional: optional, Env: p.Env}
		switch p.Kind {
		case signature.Secret:
			f.Widget, f.Path = "password", signature.SecretsKey+"."+p.Name
			v.Secrets = append(v.Secrets, f)
		case signature.DataPool:
			f.Widget = "pool"
			v.DataPools = append(v.DataPools, f)
		default:
			v.Inputs = append(v.Inputs, defs.field(p.Schema, f, 1))
		}
	}
	return v
}

// field makes a field of a schema.
func (d definitions) field(raw json.RawMessage, f field, depth int) field {
	s := d.resolve(raw)
	f.Help = cmp.Or(f.Help, s.Description)
	if depth > 1 && !strings.EqualFold(strings.ReplaceAll(s.Title, " ", "_"), f.Key) {
		f.Title = s.Title
	}
	f.Default = compact(s.Default)
	if f.Default == "null" {
		f.Default = ""
	}
	switch kind := s.kind(); {
	case len(s.Enum) > 0:
		fillChoice(&f, s.Enum)
	case s.Const != nil:
		fillChoice(&f, []json.RawMessage{s.Const})
	case len(s.AnyOf) > 0 || len(s.OneOf) > 0 || len(s.AllOf) > 0:
		fillJSON(&f, s)
	case kind == "boolean" && f.Required:
		f.Widget = "checkbox"
	case kind == "boolean":
		fillChoice(&f, []json.RawMessage{[]byte("true"), []byte("false")})
	case kind == "integer" || kind == "number":
		f.Widget, f.Integer = "number", kind == "integer"
		f.Minimum, f.Maximum = s.Minimum.String(), s.Maximum.String()
	case kind == "string":
		fillText(&f, s)
	case kind == "object" && len(s.Properties) > 0 && depth <= maxDepth:
		d.group(s, &f, depth)
	default:
		fillJSON(&f, s)
	}
	return f
}

func fillText(f *field, s schema) {
	f.Widget, f.InputType, f.MaxLength = "text", "text", s.MaxLength.String()
	switch s.Format {
	case "date", "email", "time":
		f.InputType = s.Format
	case "uri":
		f.InputType = "url"
	}
	var plain string
	if json.Unmarshal([]byte(f.Default), &plain) == nil {
		f.Default = plain
	}
}

func fillChoice(f *field, values []json.RawMessage) {
	f.Widget = "choice"
	for _, raw := range values {
		value := compact(raw)
		text := value
		var plain string
		if json.Unmarshal(raw, &plain) == nil && value != "null" {
			text = plain
		}
		f.Options = append(f.Options, option{Value: value, Text: text})
	}
	var plain string
	if json.Unmarshal([]byte(f.Default), &plain) == nil {
		f.Default = plain
	}
}

// fillJSON makes a JSON field for a value without a better one.
func fillJSON(f *field, s schema) {
	f.Widget = "json"
	if f.Required && len(s.Examples) > 0 {
		var out bytes.Buffer
		if json.Indent(&out, s.Examples[0], "", "  ") == nil {
			f.Value = out.String()
		}
	}
}

func (d definitions) group(s schema, f *field, depth int) {
	f.Widget = "group"
	for _, p := range s.Properties {
		child := field{Path: f.Path + "." + p.name, Key: p.name, Required: slices.Contains(s.Required, p.name)}
		f.Fields = append(f.Fields, d.field(p.schema, child, depth+1))
	}
}

func compact(raw json.RawMessage) string {
	var out bytes.Buffer
	if len(raw) == 0 || json.Compact(&out, raw) != nil {
		return ""
	}
	return out.String()
}
