// Package masking chooses the values to mask in each sink of an execution, and
// masks its results. Package redact searches texts for the values.
//
// Logs are for the operator, the source of the values: in them every value is
// masked that may be a secret by the name of its variable. Results, result
// files and problem documents are for the caller. In them only the secrets are
// masked that the service declares. To mask the others there would confirm a
// caller's guess by a gap, and change results that have nothing to do with
// them. Nor is a secret that is true, false, null or none. A weak secret is
// masked as a word only.
package masking

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/redact"
)

// A Value is one that some sink is masked for.
type Value struct {
	plaintext.Named
	// Declared: the service takes it, so that results are masked for it too.
	Declared bool
}

// Maskers are the maskers of one execution. They hold copies of the values.
type Maskers struct {
	// Log masks what operators read: logs and messages of the server.
	Log *redact.Masker
	// result masks what callers get. It may be Log.
	result *redact.Masker
}

// Secret is a value as the masker takes it. A weak one, which ordinary text holds by
// chance, is masked only where it stands as a separate word.
func Secret(v plaintext.Named) redact.Secret {
	value := v.Value.Reveal()
	return redact.Secret{Name: v.Name, Value: value, Word: len(value) >= redact.MinLength && plaintext.Weak(value) != ""}
}

// New makes the maskers of an execution.
func New(values []Value) *Maskers {
	all := make([]redact.Secret, 0, len(values))
	var declared []redact.Secret
	for _, v := range values {
		secret := Secret(v.Named)
		all = append(all, secret)
		if v.Declared && !isLiteral(v.Value.Reveal()) {
			declared = append(declared, secret)
		}
	}
	m := &Maskers{Log: redact.New(all)}
	m.result = m.Log
	if len(declared) < len(all) {
		m.result = redact.New(declared)
	}
	return m
}

// isLiteral reports whether a value is a truth value or none. It says nothing
// that could be kept secret, and masking it would change the types of results.
func isLiteral(value []byte) bool {
	switch strings.ToLower(string(bytes.TrimSpace(value))) {
	case "true", "false", "null", "none":
		return true
	default:
		return false
	}
}

// excepter is a masker that leaves a match alone where it and the text around
// it come from these inputs of the caller.
type excepter interface {
	Except(inputs ...[]byte) *redact.Masker
}

// Result is the masker of results for the caller that sent these inputs, each
// as JSON. Ask once per execution, so that all readers get the same.
func (m *Maskers) Result(inputs map[string]json.RawMessage) *redact.Masker {
	return except(m.result, inputs)
}

func except(masker any, inputs map[string]json.RawMessage) *redact.Masker {
	if masker, ok := masker.(excepter); ok && len(inputs) > 0 {
		return masker.Except(texts(inputs)...)
	}
	plain, _ := masker.(*redact.Masker)
	return plain
}

// texts are what a caller sent: of a JSON string its text, of all else the JSON.
func texts(inputs map[string]json.RawMessage) [][]byte {
	texts := make([][]byte, 0, len(inputs))
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		text := []byte(inputs[name])
		if unquoted, err := jsontext.AppendUnquote(nil, text); err == nil {
			text = unquoted
		}
		texts = append(texts, text)
	}
	return texts
}

// Clear wipes all. Nothing is masked any more.
func (m *Maskers) Clear() {
	m.Log.Clear()
	if m.result != m.Log {
		m.result.Clear()
	}
}

// Warning says why a secret is weak, to be shown when it comes into use; empty
// if it is none. who names the secret.
func Warning(who string, value []byte) string {
	weak := plaintext.Weak(value)
	switch {
	case weak == "":
		return ""
	case len(value) == 0:
		return who + " " + weak
	case isLiteral(value):
		return who + " is a word of JSON: only logs are masked for it"
	case len(value) < redact.MinLength:
		return fmt.Sprintf("%s is shorter than %d characters and is not masked", who, redact.MinLength)
	default:
		return fmt.Sprintf("%s %s: it is masked only where it stands as a separate word", who, weak)
	}
}
