package secret

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/qhubctl/qhubctl/sdk/go/internal/environ"
)

const envPrefix = "SECRET_"

// EnvName is the environment variable that carries the secret of a parameter: SECRET_ and
// the name in upper case, with an underscore before each letter from A to Z except the
// first.
//
//	api_token  SECRET_API_TOKEN
//	ibmToken   SECRET_IBM_TOKEN
//	API_KEY    SECRET_API_KEY (a name in upper case does not change)
//
// Two parameters may lead to one variable, such as apiKey and api_key. A
// service that declares both is refused.
func EnvName(parameter string) string {
	if allUpper(parameter) {
		return envPrefix + parameter
	}
	var b strings.Builder
	b.WriteString(envPrefix)
	for i, r := range parameter {
		if i > 0 && 'A' <= r && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteString(upper(r))
	}
	return b.String()
}

// severalUpper are letters whose upper case is several letters.
var severalUpper = map[rune]string{
	'ß': "SS", 'ŉ': "ʼN", 'ǰ': "J̌", 'և': "ԵՒ", 'ﬀ': "FF", 'ﬁ': "FI", 'ﬂ': "FL", 'ﬃ': "FFI", 'ﬄ': "FFL", 'ﬅ': "ST", 'ﬆ': "ST",
}

func upper(r rune) string {
	if letters, ok := severalUpper[r]; ok {
		return letters
	}
	return string(unicode.ToUpper(r))
}

// allUpper reports whether there is an upper-case letter and no other cased one.
func allUpper(s string) bool {
	return strings.ContainsFunc(s, unicode.IsUpper) &&
		!strings.ContainsFunc(s, func(r rune) bool { return unicode.IsLower(r) || unicode.IsTitle(r) })
}

// FromEnv takes the secret of a parameter out of the environment: it removes the variable,
// so that child processes do not inherit it. It reports false if the variable is not set,
// or has a value that [Check] refuses; an empty one is a secret.
//
// If the system allows it (Linux), FromEnv also overwrites the value in the initial
// environment of the process, which the system shows.
func FromEnv(parameter string) (Value, bool) {
	name := EnvName(parameter)
	plain, ok := environ.Take(name)[name]
	if !ok || Check(plain) != nil {
		return Value{}, false
	}
	return New(plain), true
}

// maxSize is how many bytes a secret may have.
const maxSize = 64 << 10

// Check reports why a text cannot be a secret; nil if it can. A text that is not UTF-8
// could be neither sent as JSON nor masked. The error continues a sentence that begins
// with the name of the secret, and holds no part of it.
func Check(plain string) error {
	switch {
	case len(plain) > maxSize:
		return fmt.Errorf("is longer than %d KiB", maxSize>>10)
	case !utf8.ValidString(plain):
		return errors.New("is not UTF-8 text; encode it, as base64 for example, and decode it in the service")
	case strings.ContainsRune(plain, 0):
		return errors.New("holds a NUL character")
	default:
		return nil
	}
}
