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
	// MaxParts is how many lines and JSON strings a secret may have: each is
	// searched for in many forms.
	MaxParts = 1024
	// MaxTotalParts is how many the secrets of one execution may have together.
	MaxTotalParts = 2048
)

// Reasons why bytes are refused as the value of a secret. Each continues a
// sentence that begins with the name of the secret, and holds no part of the
// value.
var (
	ErrNotUTF8  = errors.New("is not UTF-8 text; encode it, as base64 for example, and decode it in the service")
	ErrUTF16    = errors.New("is UTF-16 text; save it as UTF-8")
	ErrNUL      = errors.New("holds a NUL character, which no process can be given")
	ErrTooLarge = fmt.Errorf("is longer than %d KiB", MaxSize>>10)
	ErrParts    = fmt.Errorf("has more than %d lines or JSON strings; give the service a part of it", MaxParts)
	// ErrTotalParts is about the secrets of one execution.
	ErrTotalParts = fmt.Errorf("the secrets have more than %d lines or JSON strings together", MaxTotalParts)
	// ErrTotal is about the secrets of one execution.
	ErrTotal = fmt.Errorf("the secrets are longer than %d KiB together", MaxTotal>>10)
)

// Check reports why the bytes cannot be the value of a secret; nil if they
// can. Every place that takes values calls it, so that all of them decide
// alike. The empty value is valid: services may need a variable that is set.
//
// A value that is not UTF-8 would arrive changed, because JSON and Python's
// strings cannot hold it. A changed value is of no use, and is not masked.
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
	case Parts(value) > MaxParts:
		return ErrParts
	default:
		return nil
	}
}

// Parts returns an upper bound of the lines and JSON strings of a value that are
// long enough to be searched for. A short value counts as one.
func Parts(value []byte) int {
	if len(value) <= MaxParts {
		return 1
	}
	lines := 0
	for line := range bytes.FieldsFuncSeq(value, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if len(line) >= minPart {
			lines++
		}
	}
	strings := 0
	if start := bytes.TrimSpace(value); bytes.HasPrefix(start, []byte("{")) || bytes.HasPrefix(start, []byte("[")) || bytes.HasPrefix(start, []byte(`"`)) {
		// Strings may hold JSON and lines.
		strings = bytes.Count(value, []byte(`"`))/2 + bytes.Count(value, []byte(`\u`)) + bytes.Count(value, []byte(`\n`)) + bytes.Count(value, []byte(`\r`))
	}
	return max(lines, strings, 1)
}

// minPart is the length from which the masker searches for a part.
const minPart = 4

// TrimBOM returns the content of a file without the byte order mark that some
// editors put before UTF-8 text. Elsewhere a mark belongs to the value.
func TrimBOM(file []byte) []byte { return bytes.TrimPrefix(file, []byte("\xef\xbb\xbf")) }
