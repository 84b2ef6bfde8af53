// Package masking takes the secrets of an execution out of the texts that a service
// writes about its failure: the problem document and the stack. The program that runs
// the service masks its output and its result, and searches for more forms of a secret
// than this package does.
package masking

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mask replaces a secret.
const Mask = "[redacted]"

const (
	// shortest is the length of the shortest secret that is searched for: masking
	// shorter ones would mask everything.
	shortest = 4
	// shortestLine is the length from which a line of a secret is also searched
	// for alone.
	shortestLine = 8
	// strong is the length from which a secret is searched for in all forms. A
	// shorter one is masked as a whole word only.
	strong = 8
)

// A Masker knows the secrets of one execution. The zero Masker masks nothing. It is not
// safe for concurrent use.
type Masker struct {
	forms, words []string
	// added are secrets whose forms are not made yet: most executions mask nothing.
	added []string
}

// Add makes the masker search for a secret, in the forms in which programs
// commonly print one.
func (m *Masker) Add(secret string) { m.added = append(m.added, secret) }

// prepare makes the forms of the secrets that were added.
func (m *Masker) prepare() {
	for _, secret := range m.added {
		m.addLines(secret)
	}
	m.added = nil
}

func (m *Masker) addLines(secret string) {
	m.add(secret)
	if lines := strings.Split(secret, "\n"); len(lines) > 1 {
		for _, line := range lines {
			if line = strings.TrimSpace(line); len(line) >= shortestLine {
				m.add(line)
			}
		}
	}
}

func (m *Masker) add(secret string) {
	if len(secret) < shortest {
		return
	}
	if utf8.RuneCountInString(secret) < strong {
		m.words = append(m.words, secret)
		return
	}
	encoded, _ := json.Marshal(secret) // a string always encodes
	forms := []string{
		secret, unquoted(string(encoded)), unquoted(unescapeHTML(string(encoded))),
		unquoted(strconv.Quote(secret)), unquoted(strconv.QuoteToASCII(secret)),
		url.QueryEscape(secret), url.PathEscape(secret), html.EscapeString(secret),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
		strings.ReplaceAll(secret, "\n", "\r\n"),
	}
	forms = append(forms, inBase64(secret)...)
	for _, form := range forms {
		if len(form) >= shortest && !slices.Contains(m.forms, form) {
			m.forms = append(m.forms, form)
		}
	}
}

func unquoted(s string) string { return s[1 : len(s)-1] }

// unescapeHTML returns the JSON of an encoder that does not escape <, > and &.
func unescapeHTML(s string) string {
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(s)
}

// inBase64 returns the characters that depend on the secret alone, for any text before
// and after it in the encoded text: "user:" before a password shifts it by any number of
// bytes.
func inBase64(secret string) []string {
	var forms []string
	for shift := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + secret))
		first := []int{0, 2, 3}[shift]
		last := len(encoded)
		if (shift+len(secret))%3 != 0 {
			last-- // shares its bits with the next text
		}
		if last-first < shortest {
			continue
		}
		form := encoded[first:last]
		forms = append(forms, form, strings.NewReplacer("+", "-", "/", "_").Replace(form))
	}
	return forms
}

// Text masks every byte that belongs to a form of a secret, also if forms overlap:
// masking one after the other would leave the rest of the second.
func (m *Masker) Text(s string) string {
	m.prepare()
	var covered []bool
	cover := func(form string, asWord bool) {
		for from := 0; ; {
			i := strings.Index(s[from:], form)
			if i < 0 {
				return
			}
			start, end := from+i, from+i+len(form)
			from = start + 1
			if asWord && (wordGoesOn(s, start) || wordGoesOn(s, end)) {
				continue
			}
			if covered == nil {
				covered = make([]bool, len(s))
			}
			for j := start; j < end; j++ {
				covered[j] = true
			}
		}
	}
	for _, form := range m.forms {
		cover(form, false)
	}
	for _, word := range m.words {
		cover(word, true)
	}
	if covered == nil {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		switch {
		case !covered[i]:
			b.WriteByte(s[i])
		case i == 0 || !covered[i-1]:
			b.WriteString(Mask)
		}
	}
	return b.String()
}

// wordGoesOn reports whether a word has begun before a place in s and ends after it.
func wordGoesOn(s string, at int) bool {
	isWord := func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
	before, _ := utf8.DecodeLastRuneInString(s[:at])
	after, _ := utf8.DecodeRuneInString(s[at:])
	return isWord(before) && isWord(after)
}

// JSON masks the strings, the keys and the numbers of a decoded JSON value, so that it
// stays JSON with any secrets.
func (m *Masker) JSON(v any) any {
	switch v := v.(type) {
	case string:
		return m.Text(v)
	case json.Number:
		if masked := m.Text(string(v)); masked != string(v) {
			return masked
		}
		return v
	case []any:
		masked := make([]any, len(v))
		for i, element := range v {
			masked[i] = m.JSON(element)
		}
		return masked
	case map[string]any:
		masked := make(map[string]any, len(v))
		for name, value := range v {
			masked[m.Text(name)] = m.JSON(value)
		}
		return masked
	default:
		return v
	}
}
