package redact

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestJSON(t *testing.T) {
	for _, test := range []struct{ name, secret, doc, want string }{
		{"string", "hunter2", `{"a": "is hunter2!"}`, `{"a": "is [redacted]!"}`},
		{"layout, order and numbers stay", "hunter2", "{ \"z\":1.50,\n\t\"a\" : [1e400,-0, \"hunter2\"] }\n", "{ \"z\":1.50,\n\t\"a\" : [1e400,-0, \"[redacted]\"] }\n"},
		{"key", "hunter2", `{"hunter2":1,"b":2}`, `{"[redacted]":1,"b":2}`},
		{"keys that collide", "hunter2", `{"hunter2":1,"[redacted]":2,"aGVudGVy":3,"68756e74657232":4}`, `{"[redacted]-2":1,"[redacted]":2,"aGVudGVy":3,"[redacted]-3":4}`},
		{"suffix taken", "hunter2", `{"hunter2":1,"[redacted]":2,"[redacted]-2":3}`, `{"[redacted]-3":1,"[redacted]":2,"[redacted]-2":3}`},
		{"number", "12345678", `{"pin":12345678,"other":1234567}`, `{"pin":"[redacted]","other":1234567}`},
		{"part of a number", "12345678", `[-1123456780]`, `["-1[redacted]0"]`},
		{"literal", "true", `[true,"untrue",false]`, `["[redacted]","un[redacted]",false]`},
		{"escaped string", "a\"b\\c/d", `["a\"b\\c\/d"]`, `["[redacted]"]`},
		{"odd escapes", "hunter2", `["\u0068unter\u0032"]`, `["[redacted]"]`},
		{"other escapes stay", "hunter2", `["\u00e9\/", "\u00e9hunter2<"]`, `["\u00e9\/", "é[redacted]<"]`},
		{"unicode", "pässwörd", `["p\u00e4ssw\u00f6rd","pässwörd"]`, `["[redacted]","[redacted]"]`},
		{"JSON in a string", `p"ss"w`, `["{\"k\":\"p\\\"ss\\\"w\"}"]`, `["{\"k\":\"[redacted]\"}"]`},
		{"JSON secret as a value", `{"n":12,"m":[3]}`, `{"x": {"n":12,"m":[3]}, "y": 1}`, `{"x": "[redacted]", "y": 1}`},
		{"JSON secret by its leaves", `{"u":"robot-7"}`, `{"x":{"u":"robot-7"}}`, `{"x":{"u":"[redacted]"}}`},
		{"literal spelling of an escape", `\u0068unt`, `{"k":"\u0068unt"}`, `{"k":"[redacted]"}`},
		{"literal spelling in a key", `\u0068unt`, `{"\u0068unt":1,"[redacted]":2}`, `{"[redacted]-2":1,"[redacted]":2}`},
		{"nothing to mask", "hunter2", ` [ "hunter" , {} , [] ] `, ` [ "hunter" , {} , [] ] `},
		{"scalar document", "hunter2", `"hunter2"`, `"[redacted]"`},
		{"secret of punctuation", `":"x"}`, `{"a":{"b":"x"}}`, `{"a":"[redacted]"}`},
		{"secret within the mask", "redact", `["redact","y"]`, `["[redacted]","y"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := newMasker([]byte(test.secret)).JSON([]byte(test.doc))
			if err != nil || string(got) != test.want {
				t.Errorf("got %s, %v\nwant %s", got, err, test.want)
			}
			if !json.Valid(got) {
				t.Error("not valid")
			}
		})
	}
}

func TestJSONReturnsTheDocumentItself(t *testing.T) {
	doc := []byte(`{"a":1}`)
	for _, m := range []*Masker{New(nil), newMasker([]byte("hunter2"))} {
		if got, err := m.JSON(doc); err != nil || &got[0] != &doc[0] {
			t.Errorf("a copy, %v", err)
		}
	}
}

func TestJSONRefusesOtherText(t *testing.T) {
	for _, doc := range []string{"", "hunter2", `{"a":hunter2}`, `{"a":1} hunter2`, `["a`} {
		_, err := newMasker([]byte("hunter2")).JSON([]byte(doc))
		if !errors.Is(err, ErrNotJSON) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("error of %q: %v", doc, err)
		}
	}
}

// TestJSONOfManyHits would take minutes if the work were not linear.
func TestJSONOfManyHits(t *testing.T) {
	const members = 20_000
	secret := `{"n":1234,"m":[3]}`
	doc := "[" + strings.Repeat(secret+`,"x",`, members) + `{"a":"b"}]`
	got, err := newMasker([]byte(secret)).JSON([]byte(doc))
	if want := "[" + strings.Repeat(`"[redacted]","x",`, members) + `{"a":"b"}]`; err != nil || string(got) != want {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(want))
	}
}

// What counts as JSON is what encoding/json takes, duplicate names and texts
// that are no UTF-8 included, and no deeper.
func TestValidJSON(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{
		"", " ", "{}", " [1] \n", "[1]x", "[1] [2]", "nul", "01", "1.", "1e5", "-", `"\ud800"`, `"\udc00\ud800"`, "\"\xff\"", "\"\x01\"",
		"\"\x7f\"", `"\x"`, `{"a":1,"a":2}`, `{"a":1,}`, `[1,]`, `{1:2}`, "\ufeff{}", "\u00a0{}", "NaN", "'a'", `"a`, "[", "]",
		strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001),
	} {
		if got := validJSON([]byte(doc)); got != json.Valid([]byte(doc)) {
			t.Errorf("%.40q is valid: %v", doc, got)
		}
	}
}
