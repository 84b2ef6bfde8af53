package signature

import (
	"errors"
	"regexp"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The formats of the dates follow what pydantic reads rather than RFC 3339:
// the offset may be missing, and a space may stand for the T.
var (
	datePattern    = `\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])`
	timePattern    = `([01]\d|2[0-3]):[0-5]\d(:([0-5]\d|60)([.,]\d+)?)?`
	offsetPattern  = `\s?([Zz]|[+-]\d{2}(:?\d{2})?)?`
	dateTimeFormat = regexp.MustCompile(`^` + datePattern + `([Tt _]` + timePattern + offsetPattern + `)?$`)
	timeFormat     = regexp.MustCompile(`^` + timePattern + offsetPattern + `$`)
	uuidFormat     = regexp.MustCompile(`^(?i)(urn:uuid:)?\{?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\}?$`)
	errNotOfFormat = errors.New("does not match")
)

// registerFormats replaces the formats that SDKs read more leniently than the JSON Schema
// specification. Formats that only the SDKs can judge always pass.
func registerFormats(compiler *jsonschema.Compiler) {
	lenient := map[string]func(string) bool{
		"date-time": func(s string) bool { return dateTimeFormat.MatchString(s) && isDate(s[:10]) },
		"date":      isDate,
		"time":      timeFormat.MatchString,
		"uuid":      uuidFormat.MatchString,
		"duration":  func(s string) bool { return strings.TrimSpace(s) != "" },
		"regex":     func(string) bool { return true },
		"uri":       func(s string) bool { return strings.Contains(s, ":") },
	}
	for name, accept := range lenient {
		compiler.RegisterFormat(&jsonschema.Format{Name: name, Validate: func(v any) error {
			if s, isString := v.(string); isString && !accept(s) {
				return errNotOfFormat
			}
			return nil
		}})
	}
}

// isDate refuses days that the month does not have.
func isDate(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// pattern is a regular expression of a schema. One that Go cannot read (look-around, back
// references) matches everything, since the service checks it again.
type pattern struct {
	source string
	*regexp.Regexp
}

func compilePattern(source string) (jsonschema.Regexp, error) {
	compiled, err := regexp.Compile(source)
	if err != nil {
		return pattern{source: source}, nil //nolint:nilerr // see pattern
	}
	return pattern{source, compiled}, nil
}

func (p pattern) String() string { return p.source }

func (p pattern) MatchString(s string) bool { return p.Regexp == nil || p.Regexp.MatchString(s) }
