package secret

import (
	"strings"
	"unicode"

	"github.com/qhubctl/qhubctl/sdk/go/internal/environ"
)

const envPrefix = "SECRET_"

// EnvName is the environment variable that carries the secret of a parameter:
// SECRET_ and the name in upper case, with an underscore before each upper-case
// letter but the first.
//
//	api_token  SECRET_API_TOKEN
//	ibmToken   SECRET_IBM_TOKEN
//	API_KEY    SECRET_API_KEY (a name all in upper case stays as it is)
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
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToUpper(string(r)))
	}
	return b.String()
}

// allUpper: there is an upper-case letter and no other cased one.
func allUpper(s string) bool {
	return strings.ContainsFunc(s, unicode.IsUpper) &&
		!strings.ContainsFunc(s, func(r rune) bool { return unicode.IsLower(r) || unicode.IsTitle(r) })
}

// FromEnv takes the secret of a parameter out of the environment: the variable
// is removed, so that child processes do not inherit it. It reports false if
// the variable is not set; an empty one is a secret.
//
// What the operating system shows as the environment the process was started
// with is overwritten too where that is possible (Linux).
func FromEnv(parameter string) (Value, bool) {
	plain, ok := environ.Take(EnvName(parameter))
	if !ok {
		return Value{}, false
	}
	return New(plain), true
}
