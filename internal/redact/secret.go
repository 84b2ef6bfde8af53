package redact

import (
	"fmt"
	"log/slog"
)

// Secret is one value to be masked, with the name it is known by.
//
// A Secret never prints its value: every verb of package fmt, log/slog,
// encoding/json and every text encoder see the name and [Mask].
type Secret struct {
	// Name is the parameter or variable the value belongs to. It is not
	// secret and not searched for.
	Name string
	// Value is the secret itself. [New] copies what it needs, so the caller
	// may wipe the slice as soon as New has returned.
	Value []byte
	// Word has the value masked only where it stands as a word on its own, which
	// suits values that stand in ordinary text by chance: not inside of longer
	// words or numbers, nor in base64 or hexadecimal digits. Its parts are not
	// searched for.
	Word bool
}

// String returns the name and the mask.
func (s Secret) String() string {
	if s.Name == "" {
		return Mask
	}
	return s.Name + "=" + Mask
}

// GoString is what %#v prints: the name and the mask.
func (s Secret) GoString() string { return fmt.Sprintf("redact.Secret{%s}", s.String()) }

// Format prints the same text for every verb, so that no verb, flag or width
// reaches the bytes of the value by reflection.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	// A failing fmt.State has no one to tell but the printer itself.
	_, _ = f.Write([]byte(text))
}

// LogValue keeps the value out of structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps the value out of JSON, YAML, TOML and every other encoder
// that asks for text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
