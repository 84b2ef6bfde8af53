package signature_test

import (
	"strings"
	"testing"
)

// TestChecks: a value that a model may read passes; a value that no version of pydantic
// reads is refused, in the words of the schema.
func TestChecks(t *testing.T) {
	t.Parallel()
	for check, c := range map[string]struct {
		accepted, refused []string
		message           string
	}{
		`{"lax":"integer","minimum":1,"maximum":9}`: {
			[]string{`1`, `5.0`, `"5"`, `" 5 "`, `"1_0"`, `"0"`, `true`, `0.99999999999999999999`}, []string{`0`, `10`, `1.5`, `"x"`, `null`, `[]`}, "must be",
		},
		`{"lax":["integer","null"]}`: {[]string{`null`, `1e400`}, []string{`"x"`, `{}`}, "must be an integer or null"},
		`{"lax":"number"}`:           {[]string{`1`, `"nan"`, `"-Infinity"`, `".5"`, `1e400`}, []string{`"x"`, `null`}, "must be a number"},
		`{"lax":"boolean"}`:          {[]string{`0`, `1.0`, `"Yes"`, `"off"`}, []string{`2`, `0.5`, `"maybe"`, `null`}, "must be a boolean"},
		`{"lax":"decimal"}`:          {[]string{`1.10`, `"1.10"`, `"١"`}, []string{`"x"`, `true`}, "must be a number"},
		`{"lax":"date"}`:             {[]string{`0`, `"2024-02-29"`, `"1704067200"`}, []string{`"2023-02-29"`, `"soon"`}, "must be a date"},
		`{"lax":"date-time"}`:        {[]string{`1.5`, `"2024-01-02 03:04"`}, []string{`"soon"`}, "must be a date-time"},
		`{"lax":"time"}`:             {[]string{`3600`, `"12:30"`}, []string{`"noon"`}, "must be a time"},
		`{"lax":"duration"}`:         {[]string{`5`, `"P1D"`, `"1 day, 00:00:10"`}, []string{`"long"`}, "must be a duration"},
		`{"lax":"uuid"}`:             {[]string{`"123e4567e89b12d3a456426614174000"`}, []string{`5`, `"x"`}, "must be"},
		`{"type":"object","requiredAny":[["a","b"]]}`: {
			[]string{`{"a":1}`, `{"b":1}`}, []string{`{}`, `{"c":1}`}, "v.a: is required",
		},
		// Of other versions.
		`{"lax":"quaternion"}`:          {[]string{`1`, `[]`}, nil, ""},
		`{"lax":["quaternion","null"]}`: {[]string{`1`, `[]`}, nil, ""},
		`{"unknown":{"a":1}}`:           {[]string{`1`, `[]`}, nil, ""},
		`"model"`:                       {[]string{`1`, `[]`}, nil, ""},
		`5`:                             {[]string{`1`}, nil, ""},
	} {
		v, err := parse(t, `{"name":"v","kind":"input","required":true,"schema":{"type":"string"},"check":`+check+`}`, "").Compile()
		if err != nil {
			t.Errorf("Compile(%s) = %v, want nil", check, err)
			continue
		}
		for _, value := range c.accepted {
			if _, err := v.Request([]byte(`{"v":` + value + `}`)); err != nil {
				t.Errorf("%s of %s: %v, want no error", check, value, err)
			}
		}
		for _, value := range c.refused {
			if _, err := v.Request([]byte(`{"v":` + value + `}`)); err == nil || !strings.Contains(err.Error(), c.message) {
				t.Errorf("%s of %s: %v, want %q", check, value, err, c.message)
			}
		}
	}
}
