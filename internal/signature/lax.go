package signature

import (
	"encoding/json"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// checkVocabulary adds two keywords to JSON Schema, which docs/signature.md describes: lax,
// the kinds of a scalar that may be written in several ways, and requiredAny, lists of
// names of which an object has at least one each.
func checkVocabulary() *jsonschema.Vocabulary {
	return &jsonschema.Vocabulary{URL: "urn:qhubctl:check", Compile: compileCheck}
}

func compileCheck(_ *jsonschema.CompilerContext, keywords map[string]any) (jsonschema.SchemaExt, error) {
	var c checkKeywords
	for _, name := range texts(keywords["lax"]) {
		read, known := laxKinds[name]
		if !known { // of another version: the service decides
			c.kinds = nil
			break
		}
		c.kinds = append(c.kinds, read)
	}
	groups, _ := keywords["requiredAny"].([]any)
	for _, group := range groups {
		if names := texts(group); len(names) > 0 {
			c.groups = append(c.groups, names)
		}
	}
	if len(c.kinds)+len(c.groups) == 0 {
		return nil, nil //nolint:nilnil // this means a schema without them
	}
	return &c, nil
}

// texts are the strings of a string or a list.
func texts(value any) []string {
	if text, is := value.(string); is {
		return []string{text}
	}
	var all []string
	list, _ := value.([]any)
	for _, item := range list {
		if text, is := item.(string); is {
			all = append(all, text)
		}
	}
	return all
}

type checkKeywords struct {
	kinds  []laxKind
	groups [][]string
}

// A laxKind decides which JSON values may be read as a kind of scalar.
type laxKind struct {
	// name is a type of JSON Schema, or a format.
	name     string
	isFormat bool
	accepts  func(value any) bool
}

// Validate implements [jsonschema.SchemaExt].
func (c *checkKeywords) Validate(ctx *jsonschema.ValidatorContext, value any) {
	if object, is := value.(map[string]any); is {
		for _, group := range c.groups {
			if !slices.ContainsFunc(group, func(name string) bool { _, has := object[name]; return has }) {
				ctx.AddError(&kind.Required{Missing: group[:1]})
			}
		}
	}
	if len(c.kinds) == 0 || slices.ContainsFunc(c.kinds, func(k laxKind) bool { return k.accepts(value) }) {
		return
	}
	if _, isText := value.(string); isText && c.kinds[0].isFormat {
		ctx.AddError(&kind.Format{Want: c.kinds[0].name})
		return
	}
	ctx.AddError(&kind.Type{Want: c.wanted()})
}

// wanted are the types in which the kinds are written.
func (c *checkKeywords) wanted() (types []string) {
	for _, k := range c.kinds {
		if k.isFormat {
			types = append(types, "string")
		} else {
			types = append(types, k.name)
		}
	}
	return types
}

// laxKinds are the values that pydantic may read as each kind. If its versions differ, the
// value passes: the service refuses it if it must.
var laxKinds = map[string]laxKind{
	"null":      {"null", false, func(v any) bool { return v == nil }},
	"integer":   {"integer", false, laxInteger},
	"number":    {"number", false, laxNumber},
	"boolean":   {"boolean", false, laxBoolean},
	"decimal":   {"number", false, numberOr(func(s string) bool { return hasDigit(s) || isNotFinite(s) })},
	"date":      {"date", true, numberOr(laxDate)},
	"date-time": {"date-time", true, numberOr(laxDate)},
	"time":      {"time", true, numberOr(func(s string) bool { return timeFormat.MatchString(s) || isNumeral(s) })},
	"duration":  {"duration", true, numberOr(hasDigit)},
	"uuid":      {"uuid", true, laxUUID},
}

func laxInteger(value any) bool {
	switch value := value.(type) {
	case bool:
		return true
	case string:
		return isNumeral(value)
	case json.Number:
		if !strings.ContainsAny(string(value), ".eE") {
			return true
		}
		r, ok := new(big.Rat).SetString(string(value))
		return ok && r.IsInt()
	default:
		return false
	}
}

func laxNumber(value any) bool {
	switch value := value.(type) {
	case bool, json.Number:
		return true
	case string:
		return isNumeral(value) || isNotFinite(value)
	default:
		return false
	}
}

func laxBoolean(value any) bool {
	switch value := value.(type) {
	case bool:
		return true
	case string:
		word := strings.ToLower(strings.TrimSpace(value))
		return slices.Contains([]string{"0", "off", "f", "false", "n", "no", "1", "on", "t", "true", "y", "yes"}, word)
	case json.Number:
		f, err := strconv.ParseFloat(string(value), 64)
		return err == nil && (f == 0 || f == 1)
	default:
		return false
	}
}

func laxUUID(value any) bool {
	text, is := value.(string)
	return is && uuidFormat.MatchString(text)
}

// numberOr accepts any number, and the strings that text accepts.
func numberOr(text func(string) bool) func(any) bool {
	return func(value any) bool {
		switch value := value.(type) {
		case json.Number:
			return true
		case string:
			return text(value)
		default:
			return false
		}
	}
}

func laxDate(s string) bool {
	return dateTimeFormat.MatchString(s) && isDate(s[:len("2006-01-02")]) || isNumeral(s)
}

var numeral = regexp.MustCompile(`^[+-]?(\d[\d_]*(\.[\d_]*)?|\.\d[\d_]*)([eE][+-]?[\d_]+)?$`)

func isNumeral(s string) bool { return numeral.MatchString(strings.TrimSpace(s)) }

func isNotFinite(s string) bool {
	word := strings.ToLower(strings.TrimLeft(strings.TrimSpace(s), "+-"))
	return slices.Contains([]string{"nan", "snan", "inf", "infinity"}, word)
}

func hasDigit(s string) bool { return strings.ContainsFunc(s, unicode.IsDigit) }
