// Package plaintext holds the value of a secret while it is in the clear.
// Code declares that it holds such a value by the type [Bytes]. [Check] decides
// which bytes are a valid secret, and [Weak] which are a poor one.
//
// Every way of printing or encoding a Bytes that Go knows gives the mask. The
// bytes come out only where code asks for them by name, with [Bytes.Reveal],
// so that a search for Reveal lists every place that handles a value.
package plaintext

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Mask replaces a value in every printed text.
const Mask = "[redacted]"

// ErrEncode is returned by the encoders, which refuse a secret.
var ErrEncode = errors.New("plaintext: a secret is not encoded")

// Bytes is the value of a secret. The zero value is the empty secret.
// Copies share the memory, so [Bytes.Clear] of one clears all.
type Bytes struct {
	// A pointer keeps the value out of printers that walk structs by
	// reflection: fmt prints a pointer below the top level as an address.
	b *[]byte
}

// Named is a value with the name of its variable, which is not secret.
type Named struct {
	Name  string
	Value Bytes
	// Own marks a secret of qhubctl itself, such as the token of a server, which
	// no sink may show.
	Own bool
}

// New takes ownership of b: the caller no longer uses it.
func New(b []byte) Bytes { return Bytes{b: &b} }

// FromString copies s. Prefer [New] where the value exists as bytes: a string
// cannot be wiped.
func FromString(s string) Bytes { return New([]byte(s)) }

// Reveal returns the value itself, not a copy; it is gone after Clear.
func (p Bytes) Reveal() []byte {
	if p.b == nil {
		return nil
	}
	return *p.b
}

// Len is the length of the value in bytes.
func (p Bytes) Len() int { return len(p.Reveal()) }

// Clear wipes the value in place. It is safe to call more than once.
func (p Bytes) Clear() {
	if p.b == nil {
		return
	}
	clear((*p.b)[:cap(*p.b)])
	*p.b = nil
}

// String returns the mask.
func (p Bytes) String() string { return Mask }

// GoString returns the mask.
func (p Bytes) GoString() string { return Mask }

// Format writes the mask for every verb and flag.
func (p Bytes) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Mask) }

// LogValue returns the mask.
func (p Bytes) LogValue() slog.Value { return slog.StringValue(Mask) }

// MarshalText refuses, and with it encoding/json, xml and yaml.
func (p Bytes) MarshalText() ([]byte, error) { return nil, ErrEncode }

// MarshalBinary refuses, and with it encoding/gob.
func (p Bytes) MarshalBinary() ([]byte, error) { return nil, ErrEncode }
