package plaintext

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

const (
	// MaxSize is how many bytes a secret may have: a token or a file of keys.
	MaxSize = 64 << 10
	// MaxTotal is how many bytes the secrets of one execution may have
	// together.
	MaxTotal = 256 << 10
)

// Reasons why bytes are refused as the value of a secret. Each continues a
// sentence that begins with the name of the secret, and holds no part of the
// value.
var (
	ErrNotUTF8  = errors.New("is not UTF-8 text; encode it, as base64 for example, and decode it in the service")
	ErrUTF16    = errors.New("is UTF-16 text; save it as UTF-8")
	ErrNUL      = errors.New("holds a NUL character, which no process can be given")
	ErrTooLarge = fmt.Errorf("is longer than %d KiB", MaxSize>>10)
	// ErrTotal is about the secrets of one execution.
	ErrTotal = fmt.Errorf("the secrets are longer than %d KiB together", MaxTotal>>10)
)

// Check reports why the bytes cannot be the value of a secret; nil if they
// can. Every place where values come in asks it, so that all of them decide
// alike. The empty value is one: services may need a variable that is set.
//
// A value that is not UTF-8 would arrive changed, because JSON and Python's
// strings cannot hold it, and a changed value is neither of use nor masked.
func Check(value []byte) error {
	switch {
	case len(value) > MaxSize:
		return ErrTooLarge
	case bytes.HasPrefix(value, []byte("\xff\xfe")), bytes.HasPrefix(value, []byte("\xfe\xff")):
		return ErrUTF16
	case !utf8.Valid(value):
		return ErrNotUTF8
	case bytes.IndexByte(value, 0) >= 0:
		return ErrNUL
	default:
		return nil
	}
}

// TrimBOM returns the content of a file without the byte order mark that some
// editors put before UTF-8 text. Elsewhere a mark belongs to the value.
func TrimBOM(file []byte) []byte { return bytes.TrimPrefix(file, []byte("\xef\xbb\xbf")) }
