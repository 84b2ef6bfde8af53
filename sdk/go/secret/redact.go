package secret

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const (
	mask   = "[redacted]"
	goMask = "secret.Value(" + mask + ")"
)

// errDecode and errEncode name the way out, because their readers have made a mistake.
var (
	errDecode = errors.New("a secret is not read from data: declare it as a field of the service's input, and give it as an environment variable")
	errEncode = errors.New("a secret is not encoded: unwrap it where it is used")
)

// Format writes the mask for every verb and flag.
func (v Value) Format(f fmt.State, verb rune) {
	text := mask
	if verb == 'v' && f.Flag('#') {
		text = goMask
	}
	_, _ = io.WriteString(f, text)
}

// String returns "[redacted]".
func (v Value) String() string { return mask }

// GoString returns "secret.Value([redacted])".
func (v Value) GoString() string { return goMask }

// LogValue makes package log/slog write the mask.
func (v Value) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalJSON returns the mask as a JSON string.
func (v Value) MarshalJSON() ([]byte, error) { return []byte(`"` + mask + `"`), nil }

// MarshalText returns the mask; encoding/xml, YAML and TOML encoders use it.
func (v Value) MarshalText() ([]byte, error) { return []byte(mask), nil }

// GobEncode returns an error.
func (v Value) GobEncode() ([]byte, error) { return nil, errEncode }

// UnmarshalJSON returns an error: a secret never comes in a body.
func (v *Value) UnmarshalJSON([]byte) error { return errDecode }

// UnmarshalText returns an error: a secret never comes in a body.
func (v *Value) UnmarshalText([]byte) error { return errDecode }

// GobDecode returns an error.
func (v *Value) GobDecode([]byte) error { return errDecode }
