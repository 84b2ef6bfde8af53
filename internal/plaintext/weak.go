package plaintext

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

const (
	// strongLength is the number of characters from which a value is a strong
	// secret.
	strongLength = 8
	// strongDigits is the same for a value of digits: dates and the times of
	// clocks are shorter.
	strongDigits = 12
)

// commonWords are as long as secrets, and appear in logs of all kinds.
var commonWords = map[string]bool{
	"password": true, "passwort": true, "changeme": true, "changeit": true, "username": true, "testtest": true,
	"password1": true, "letmein1": true, "qwertyui": true, "abcdefgh": true, "trustno1": true, "iloveyou": true,
	"localhost": true, "database": true, "postgres": true, "postgresql": true, "rabbitmq": true, "elasticsearch": true,
	"production": true, "development": true, "staging1": true, "disabled": true, "undefined": true,
	"required": true, "optional": true, "internal": true, "external": true, "anonymous": true, "administrator": true,
	"credentials": true, "authorization": true, "placeholder": true, "redacted": true, "[redacted]": true,
	"security": true, "services": true, "application": true, "container": true, "kubernetes": true, "document": true,
	"function": true, "response": true, "exception": true, "traceback": true, "warnings": true, "critical": true,
	"info@example.com": true, "example.com": true, "127.0.0.1": true, "http://localhost": true, "https://": true,
}

// Weak says why a value is a poor secret, in words that continue a sentence
// which begins with its name; empty if it is a strong one. The text of a weak
// value appears in logs and results by chance, so masking it destroys them, and
// the gaps show the value.
func Weak(value []byte) string {
	value = bytes.TrimSpace(value)
	switch n := utf8.RuneCount(value); {
	case n == 0:
		return "is empty"
	case n < strongLength:
		return fmt.Sprintf("is shorter than %d characters", strongLength)
	case n < strongDigits && isNumber(value):
		return "is a short number"
	case commonWords[string(bytes.ToLower(value))]:
		return "is a common word"
	case isRepeated(value):
		return "is one character, repeated"
	default:
		return ""
	}
}

func isRepeated(value []byte) bool {
	_, size := utf8.DecodeRune(value)
	return bytes.Count(value, value[:size])*size == len(value)
}

func isNumber(value []byte) bool {
	for _, c := range value {
		if (c < '0' || c > '9') && !bytes.ContainsRune([]byte("+-._ "), rune(c)) {
			return false
		}
	}
	return true
}
