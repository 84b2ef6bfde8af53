package secretset_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/secretset"
	"github.com/qhubctl/qhubctl/internal/signature"
)

func parameter(name string) signature.Parameter {
	return signature.Parameter{Name: name, Kind: signature.Secret, Env: "SECRET_" + strings.ToUpper(name)}
}

func describe(t *testing.T) *signature.Signature {
	t.Helper()
	s, err := signature.Parse([]byte(`{"schemaVersion":1,"sdk":{"language":"go","name":"n","version":"1"},"entrypoint":"e","parameters":[
		{"name":"token","kind":"secret","required":true,"env":"SECRET_TOKEN"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestMaskers masks logs for all values, and results for declared ones.
func TestMaskers(t *testing.T) {
	t.Parallel()
	var s secretset.Set
	if err := s.Add(parameter("token"), plaintext.FromString("of-the-request-1")); err != nil {
		t.Fatal(err)
	}
	s.Mask([]plaintext.Named{
		{Name: "SECRET_TOKEN", Value: plaintext.FromString("declared-here-22")},
		{Name: "SECRET_OTHER", Value: plaintext.FromString("undeclared-4711")},
		{Name: "QHUBCTL_TOKEN", Value: plaintext.FromString("servers-own-9999"), Own: true},
	}, describe(t))
	maskers := s.Maskers()
	const text = "of-the-request-1 declared-here-22 undeclared-4711 servers-own-9999"
	if got, want := maskers.Log.String(text), "[redacted] [redacted] [redacted] [redacted]"; got != want {
		t.Errorf("the log shows %q, want %q", got, want)
	}
	if got, want := maskers.Result(nil).String(text), "[redacted] [redacted] undeclared-4711 [redacted]"; got != want {
		t.Errorf("a result shows %q, want %q", got, want)
	}
}

// TestBounds refuses values that cannot be secrets, and too many of them.
func TestBounds(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"not UTF-8": "a\xff", "NUL": "a\x00b", "too large": strings.Repeat("x", plaintext.MaxSize+1)} {
		var s secretset.Set
		if err := s.Add(parameter("token"), plaintext.FromString(value)); err == nil {
			t.Errorf("Add(%s) = no error, want one", name)
		}
	}
	var large, many secretset.Set
	for range plaintext.MaxTotal/plaintext.MaxSize + 1 {
		if err := large.Add(parameter("token"), plaintext.FromString(strings.Repeat("x", plaintext.MaxSize))); err != nil {
			t.Fatal(err)
		}
	}
	if err := large.Err(); !errors.Is(err, plaintext.ErrTotal) {
		t.Errorf("Err() of too many bytes = %v, want %v", err, plaintext.ErrTotal)
	}
	for range 3 {
		if err := many.Add(parameter("token"), plaintext.FromString(strings.Repeat("a line of it\n", 1000))); err != nil {
			t.Fatal(err)
		}
	}
	if err := many.Err(); !errors.Is(err, plaintext.ErrTotalParts) {
		t.Errorf("Err() of too many lines = %v, want %v", err, plaintext.ErrTotalParts)
	}
}

// TestClear wipes what the execution gets, and leaves the rest to its owner.
func TestClear(t *testing.T) {
	t.Parallel()
	value, other := plaintext.FromString("of-the-request-1"), plaintext.FromString("declared-here-22")
	var s secretset.Set
	if err := s.Add(parameter("token"), value); err != nil {
		t.Fatal(err)
	}
	s.Mask([]plaintext.Named{{Name: "SECRET_TOKEN", Value: other}}, describe(t))
	s.Clear()
	if len(s.Secrets()) > 0 || bytes.Contains(value.Reveal(), []byte("request")) || string(other.Reveal()) != "declared-here-22" {
		t.Errorf("after Clear() there are %d secrets, %d and %d bytes; want none, wiped and unchanged", len(s.Secrets()), value.Len(), other.Len())
	}
}
