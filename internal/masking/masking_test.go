package masking_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/masking"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

func value(name, text string, declared bool) masking.Value {
	return masking.Value{Named: plaintext.Named{Name: name, Value: plaintext.FromString(text)}, Declared: declared}
}

func TestSinks(t *testing.T) {
	t.Parallel()
	m := masking.New([]masking.Value{value("token", "declared-value", true), value("SECRET_OTHER", "some-other-value", false)})
	const text = "declared-value, some-other-value"
	if got := m.Log.String(text); got != "[redacted], [redacted]" {
		t.Errorf("Log.String = %q, want both masked", got)
	}
	if got := m.Result(map[string]json.RawMessage{"text": json.RawMessage(`"input"`)}).String(text); got != "[redacted], some-other-value" {
		t.Errorf("Result().String = %q, want the declared one masked", got)
	}
	m.Clear()
	if got := m.Result(nil).String("x"); got == "x" {
		t.Error("Clear left a masker of results that works")
	}
	if m := masking.New([]masking.Value{value("token", "declared-value", true)}); m.Result(nil) != m.Log {
		t.Error("New(declared only) made two maskers of the same values")
	}
}

func TestJSONKeepsTypes(t *testing.T) {
	t.Parallel()
	m := masking.New([]masking.Value{
		value("debug", "true", true), value("none", "null", true), value("pin", "5432", true), value("token", "tok-4711-long", true),
	}).Result(nil)
	for doc, want := range map[string]struct {
		masked  string
		numbers int
	}{
		`{"a": true, "b":[false,null , true], "c": {"true":null}}`: {`{"a": true, "b":[false,null , true], "c": {"true":null}}`, 0},
		`true`:                              {`true`, 0},
		` 5432 `:                            {` "[redacted]" `, 1},
		`[1, 5432, true, 15432]`:            {`[1, "[redacted]", true, 15432]`, 1},
		`{"a":"tok-4711-long","b":{}}`:      {`{"a":"[redacted]","b":{}}`, 0},
		`{"a":"it is true","a":true}`:       {`{"a":"it is true","a":true}`, 0},
		`{"x":1e400,"y":[[[]]]}`:            {`{"x":1e400,"y":[[[]]]}`, 0},
		`"true"`:                            {`"true"`, 0},
		`{"5432":{"a":[5432]},"b":-5432.0}`: {`{"[redacted]":{"a":["[redacted]"]},"b":"-[redacted].0"}`, 2},
	} {
		got, numbers, err := masking.JSON(m, []byte(doc))
		if err != nil || string(got) != want.masked || numbers != want.numbers || !json.Valid(got) {
			t.Errorf("JSON(%s) = %s, %d, %v, want %s, %d", doc, got, numbers, err, want.masked, want.numbers)
		}
	}
	if _, _, err := masking.JSON(m, []byte(`{`)); err == nil {
		t.Error("JSON({) = nil error, want one")
	}
}

// A secret that is a document itself is masked as the smallest value around it.
func TestJSONThatHoldsADocument(t *testing.T) {
	t.Parallel()
	m := masking.New([]masking.Value{value("key", `{"user":true,"id":77}`, true), value("debug", "true", true)}).Result(nil)
	got, numbers, err := masking.JSON(m, []byte(`[true,{"user":true,"id":77},true]`))
	if err != nil || numbers != 0 || strings.Contains(string(got), "77") || !strings.HasPrefix(string(got), "[true,") || !json.Valid(got) {
		t.Errorf("JSON(document in a list) = %s, %d, %v", got, numbers, err)
	}
}

func TestWarning(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":              "x is empty",
		"abc":           "x is shorter than 4 characters and is not masked",
		"True":          "x is a word of JSON: only logs",
		"debug":         "x is shorter than 8 characters: ",
		"20240115":      "x is a short number: ",
		"production":    "x is a common word: ",
		"tok-4711-long": "",
	} {
		if got := masking.Warning("x", []byte(text)); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("Warning(%q) = %q, want %q", text, got, want)
		}
	}
}
