package signature

import (
	"strings"
	"unicode"
)

// envPrefix starts the name of every variable that carries a secret.
const envPrefix = "SECRET_"

// ExecutionToken is the variable by which an execution calls other services.
// Its value is a secret like those of SECRET_… variables.
const ExecutionToken = "KQH_SERVICE_EXECUTION_TOKEN"

// IsSecretVariable reports whether a variable of this name carries a secret.
func IsSecretVariable(name string) bool {
	return strings.HasPrefix(name, envPrefix) || name == ExecutionToken
}

// EnvName is the environment variable that carries the secret of the
// parameter name: "api_token" gives "SECRET_API_TOKEN", "ibmToken" gives
// "SECRET_IBM_TOKEN". Only A to Z begin a word: "pwÄ" gives "SECRET_PWÄ". Different parameters may share a variable ("apiKey" and
// "api_key"); a [Signature] with two such secrets is refused.
func EnvName(name string) string {
	if isAllUpper(name) {
		return envPrefix + name
	}
	var b strings.Builder
	b.Grow(len(envPrefix) + len(name) + 4)
	b.WriteString(envPrefix)
	for i, r := range name {
		if i > 0 && 'A' <= r && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteString(upper(r))
	}
	return b.String()
}

// severalUpper are letters whose upper case is several letters, as Python has it.
var severalUpper = map[rune]string{
	'ß': "SS", 'ŉ': "ʼN", 'ǰ': "J̌", 'և': "ԵՒ", 'ﬀ': "FF", 'ﬁ': "FI", 'ﬂ': "FL", 'ﬃ': "FFI", 'ﬄ': "FFL", 'ﬅ': "ST", 'ﬆ': "ST",
}

func upper(r rune) string {
	if letters, ok := severalUpper[r]; ok {
		return letters
	}
	return string(unicode.ToUpper(r))
}

// isAllUpper follows Python's str.isupper: at least one cased letter, and no
// lower-case one.
func isAllUpper(s string) bool {
	upper := false
	for _, r := range s {
		if unicode.IsLower(r) || unicode.IsTitle(r) {
			return false
		}
		upper = upper || unicode.IsUpper(r)
	}
	return upper
}
