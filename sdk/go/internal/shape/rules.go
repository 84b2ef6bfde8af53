package shape

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// rules are the limits of a value: the keywords of JSON Schema that struct tags, or the
// schema of a type, may set. All are JSON text, as in the schema.
type rules struct {
	keywords []keyword
	pattern  func() *regexp.Regexp // compiled when first used
}

type keyword struct {
	name  string
	value json.RawMessage
}

// The keywords that struct tags may set, with the kinds that they limit.
var (
	numeric  = []kind{intKind, uintKind, floatKind, numberKind}
	textual  = []kind{stringKind, textKind}
	limiting = []struct {
		name  string
		kinds []kind
	}{
		{"minimum", numeric},
		{"maximum", numeric},
		{"exclusiveMinimum", numeric},
		{"exclusiveMaximum", numeric},
		{"minLength", textual},
		{"maxLength", textual},
		{"pattern", textual},
		{"format", textual},
		{"enum", slices.Concat(numeric, textual)},
		{"minItems", []kind{sliceKind}},
		{"maxItems", []kind{sliceKind}},
		{"minProperties", []kind{mapKind}},
		{"maxProperties", []kind{mapKind}},
	}
)

func (r *rules) get(name string) (json.RawMessage, bool) {
	i := slices.IndexFunc(r.keywords, func(k keyword) bool { return k.name == name })
	if i < 0 {
		return nil, false
	}
	return r.keywords[i].value, true
}

// set sets a limit on values of kind k. It replaces an earlier one.
func (r *rules) set(name string, value json.RawMessage, k kind) error {
	i := slices.IndexFunc(limiting, func(l struct {
		name  string
		kinds []kind
	}) bool {
		return l.name == name
	})
	if !slices.Contains(limiting[i].kinds, k) {
		return fmt.Errorf("%s does not limit a value of this type; for the elements of a list or map, define a type for them and give it a method JSONSchema", name)
	}
	if err := checkKeyword(name, value); err != nil {
		return err
	}
	r.keywords = slices.DeleteFunc(slices.Clone(r.keywords), func(k keyword) bool { return k.name == name })
	r.keywords = append(r.keywords, keyword{name, value})
	if name == "pattern" {
		var source string
		_ = json.Unmarshal(value, &source) // checked above
		r.pattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(source) })
	}
	return nil
}

func checkKeyword(name string, value json.RawMessage) error {
	switch name {
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
		var number json.Number
		if json.Unmarshal(value, &number) != nil || value[0] == '"' || !inRange(string(value)) {
			return fmt.Errorf("%s is not a number", name)
		}
	case "pattern":
		var source string
		if json.Unmarshal(value, &source) != nil {
			return fmt.Errorf("%s is not a string", name)
		}
		if _, err := regexp.Compile(source); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	case "format":
		var format string
		if json.Unmarshal(value, &format) != nil {
			return fmt.Errorf("%s is not a string", name)
		}
		if slices.Contains(unsupportedFormats, format) {
			return fmt.Errorf("the format %s is not one that this package can check; use a pattern", format)
		}
	case "enum":
		var values []json.RawMessage
		if json.Unmarshal(value, &values) != nil || len(values) == 0 {
			return fmt.Errorf("%s is not a list of values", name)
		}
	default:
		if n, err := strconv.Atoi(string(value)); err != nil || n < 0 {
			return fmt.Errorf("%s is not a count", name)
		}
	}
	return nil
}

// count is the limit name, or otherwise without one.
func (r *rules) count(name string, otherwise int) int {
	value, ok := r.get(name)
	if !ok {
		return otherwise
	}
	n, _ := strconv.Atoi(string(value)) // checked by checkKeyword
	return n
}

// number returns the problem of a number, or "".
func (r *rules) number(text string) string {
	if len(r.keywords) == 0 {
		return ""
	}
	d := parseDecimal(text)
	for _, limit := range []struct {
		name   string
		ok     func(int) bool
		phrase string
	}{
		{"minimum", func(c int) bool { return c >= 0 }, "must be at least %s"},
		{"maximum", func(c int) bool { return c <= 0 }, "must be at most %s"},
		{"exclusiveMinimum", func(c int) bool { return c > 0 }, "must be greater than %s"},
		{"exclusiveMaximum", func(c int) bool { return c < 0 }, "must be less than %s"},
	} {
		if value, ok := r.get(limit.name); ok && !limit.ok(d.compare(parseDecimal(string(value)))) {
			return fmt.Sprintf(limit.phrase, value)
		}
	}
	return r.member(func(value json.RawMessage) bool {
		return value[0] != '"' && d.compare(parseDecimal(string(value))) == 0
	})
}

// text returns the problem of a string, or "".
func (r *rules) text(s string) string {
	if len(r.keywords) == 0 {
		return ""
	}
	length := utf8.RuneCountInString(s)
	if n := r.count("minLength", 0); length < n {
		return fmt.Sprintf("must have at least %d characters", n)
	}
	if n := r.count("maxLength", length); length > n {
		return fmt.Sprintf("must have at most %d characters", n)
	}
	if value, ok := r.get("pattern"); ok && !r.pattern().MatchString(s) {
		return "must match the pattern " + string(value)
	}
	if value, ok := r.get("format"); ok {
		format, _ := strconv.Unquote(string(value))
		if check, known := formats[format]; known && !check(s) {
			return "must be of the format " + format
		}
	}
	return r.member(func(value json.RawMessage) bool {
		var allowed string
		return value[0] == '"' && json.Unmarshal(value, &allowed) == nil && allowed == s
	})
}

// member returns the problem of a value that is none of an enum, or "".
func (r *rules) member(is func(json.RawMessage) bool) string {
	enum, ok := r.get("enum")
	if !ok {
		return ""
	}
	var values []json.RawMessage
	_ = json.Unmarshal(enum, &values) // checked by checkKeyword
	if slices.ContainsFunc(values, is) {
		return ""
	}
	listed := make([]string, len(values))
	for i, value := range values {
		listed[i] = string(value)
	}
	return "must be one of " + strings.Join(listed, ", ")
}

// size returns the problem of a number of elements, or "".
func (r *rules) size(n int, least, most, what string) string {
	if limit := r.count(least, 0); n < limit {
		return fmt.Sprintf("must have at least %d %s", limit, what)
	}
	if limit := r.count(most, n); n > limit {
		return fmt.Sprintf("must have at most %d %s", limit, what)
	}
	return ""
}
