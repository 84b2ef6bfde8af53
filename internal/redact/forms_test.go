package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// wrapped breaks text after every width characters.
func wrapped(text string, width int, lineBreak string) string {
	var lines []string
	for ; len(text) > width; text = text[width:] {
		lines = append(lines, text[:width])
	}
	return strings.Join(append(lines, text), lineBreak)
}

func mustJSON(t *testing.T, v any, escapeHTML bool) string {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(escapeHTML)
	if err := encoder.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// TestEncodings shows each secret in each encoding, made by someone else's
// encoder, between words that must stay.
func TestEncodings(t *testing.T) {
	secrets := map[string]string{
		"plain":       "s3cr3tT0kenValue42",
		"eight":       "Zx9kQ7vB",
		"four":        "Qz7x",
		"symbols":     `p@s"s/w'o r+d&<x>=\%$` + "`!",
		"unicode":     "pässwörd-😀-日本",
		"high bytes":  "tok\xff\xfe\x80en-bytes",
		"control":     "tab\there\x1bnul\x00end",
		"base64 plus": "???>>>~~~ûïþ",
		"long":        strings.Repeat("k3y!mat3rial/", 12),
		"two lines":   "first-line-secret\nsecond-line-secret",
	}
	encodings := map[string]func(string) string{
		"raw":          func(s string) string { return s },
		"hex":          func(s string) string { return hex.EncodeToString([]byte(s)) },
		"HEX":          func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
		"base64":       func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64 raw":   func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) },
		"base64url":    func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
		"base64url np": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		"base64 64":    func(s string) string { return wrapped(base64.StdEncoding.EncodeToString([]byte(s)), 64, "\n") },
		"base64 76":    func(s string) string { return wrapped(base64.StdEncoding.EncodeToString([]byte(s)), 76, "\n") },
		"base64 mime":  func(s string) string { return wrapped(base64.StdEncoding.EncodeToString([]byte(s)), 76, "\r\n") },
		"query":        url.QueryEscape,
		"path":         url.PathEscape,
		"percent low":  func(s string) string { return lowerPercent(url.QueryEscape(s)) },
		"json go":      func(s string) string { return strings.Trim(mustJSON(t, s, true), `"`) },
		"json plain":   func(s string) string { return strings.Trim(mustJSON(t, s, false), `"`) },
		"go":           func(s string) string { return strconv.Quote(s)[1 : len(strconv.Quote(s))-1] },
		"go ascii":     func(s string) string { return strconv.QuoteToASCII(s)[1 : len(strconv.QuoteToASCII(s))-1] },
		"html":         html.EscapeString,
		"shell":        func(s string) string { return strings.ReplaceAll(s, `'`, `'\''`) },
		"shlex":        func(s string) string { return strings.ReplaceAll(s, `'`, `'"'"'`) },
		"crlf":         func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
	}
	for name, secret := range secrets {
		m := newMasker([]byte(secret))
		for encoding, encode := range encodings {
			t.Run(name+"/"+encoding, func(t *testing.T) {
				if strings.HasPrefix(encoding, "json") && name == "high bytes" {
					t.Skip("JSON cannot hold these bytes")
				}
				text := "before: " + encode(secret) + " :after"
				if got, want := m.String(text), "before: "+Mask+" :after"; got != want {
					t.Errorf("%s of %s secret: got %q", encoding, name, got)
				}
			})
		}
	}
}

func lowerPercent(s string) string {
	out := []byte(s)
	for i := range out {
		if out[i] == '%' {
			copy(out[i:], strings.ToLower(string(out[i:i+3])))
		}
	}
	return string(out)
}

// TestRecordedForms compares with what other languages print, recorded once.
func TestRecordedForms(t *testing.T) {
	const secret = "pä'ss\"w\\rd/\n\x7f😀&<k>"
	for name, shown := range map[string]string{
		"python repr":        `pä\'ss"w\\rd/\n\x7f😀&<k>`,
		"python ascii":       `p\xe4\'ss"w\\rd/\n\x7f\U0001f600&<k>`,
		"python bytes":       `p\xc3\xa4\'ss"w\\rd/\n\x7f\xf0\x9f\x98\x80&<k>`,
		"python json":        `p\u00e4'ss\"w\\rd/\n` + "\x7f" + `\ud83d\ude00&<k>`,
		"php json":           `p\u00e4'ss\"w\\rd\/\n` + "\x7f" + `\ud83d\ude00&<k>`,
		"json twice":         `pä'ss\\\"w\\\\rd/\\n` + "\x7f😀&<k>",
		"python quote":       "p%C3%A4%27ss%22w%5Crd/%0A%7F%F0%9F%98%80%26%3Ck%3E",
		"encodeURI":          "p%C3%A4'ss%22w%5Crd/%0A%7F%F0%9F%98%80&%3Ck%3E",
		"encodeURIComponent": "p%C3%A4'ss%22w%5Crd%2F%0A%7F%F0%9F%98%80%26%3Ck%3E",
		"python html":        "pä&#x27;ss&quot;w\\rd/\n\x7f😀&amp;&lt;k&gt;",
		"xml":                "pä&apos;ss&quot;w\\rd/\n\x7f😀&amp;&lt;k&gt;",
		"bash %q":            `pä\'ss"w\\rd/\n\177😀&<k>`,
		"bash %q C locale":   `p\303\244\'ss"w\\rd/\n\177\360\237\230\200&<k>`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := newMasker([]byte(secret)).String("<" + shown + ">"); got != "<"+Mask+">" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestBase64OfNeighbours puts every number of bytes before and behind a
// secret: at most the digits shared with a neighbour may stay.
func TestBase64OfNeighbours(t *testing.T) {
	const secret = "s3cr3tT0kenValue42"
	m := newMasker([]byte(secret))
	for before := range 7 {
		for after := range 7 {
			plain := strings.Repeat("u", before) + secret + strings.Repeat("v", after)
			digits := base64.RawStdEncoding.EncodeToString([]byte(plain))
			rest := strings.ReplaceAll(m.String(digits), Mask, "")
			own := 8*(before+len(secret))/6 - (8*before+5)/6
			if len(rest) > len(digits)-own {
				t.Errorf("%d before, %d after: %q of %q stays", before, after, rest, digits)
			}
		}
	}
	if got := m.String("Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+secret))); !strings.HasSuffix(got, Mask) {
		t.Errorf("credentials of basic authentication: %q", got)
	}
}

func TestParts(t *testing.T) {
	pem := "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n"
	document := `{"user": "robot-7", "port": 8080, "nested": [{"key": "leaf-value-1"}, "leaf \"two\""], "pin": "123", "pem": ` + mustJSON(t, pem, false) + `}`
	for _, test := range []struct{ name, secret, text, want string }{
		{"line", pem, "x MIIEvQIBADANBgkqhkiG9w0B y", "x [redacted] y"},
		{"line in base64", pem, hex.EncodeToString([]byte("MIIEvQIBADANBgkqhkiG9w0B")), Mask},
		{"whole", pem, "x" + pem + "y", "x[redacted]y"},
		{"whole by CRLF", pem, "x" + strings.ReplaceAll(pem, "\n", "\r\n") + "y", "x[redacted]y"},
		{"CRLF printed by LF", "line-one\r\nline-two", "x line-one\nline-two y", "x [redacted] y"},
		{"line feed at the end", "token-value\n", "x token-value y", "x [redacted] y"},
		{"indented line", "{\n    deep-secret-line\n}", "x deep-secret-line y", "x [redacted] y"},
		{"leaf", document, "robot-7 leaf-value-1", "[redacted] [redacted]"},
		{"leaf with quotes", document, `leaf "two"`, Mask},
		{"leaf with quotes escaped", document, `leaf \"two\"`, Mask},
		{"line of a leaf", document, "AQEFAASCBKcwggSjAgEAAoIB", Mask},
		{"leaf in base64", document, base64.StdEncoding.EncodeToString([]byte("leaf-value-1")), Mask},
		{"names and numbers stay", document, "user port nested 8080", "user port nested 8080"},
		{"short leaf", document, "123", "123"},
		{"short secret", "abc", "abc", "abc"},
		{"not JSON", `{"broken": "leaf-value-1"`, "leaf-value-1", "leaf-value-1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := newMasker([]byte(test.secret)).String(test.text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestFormsAreDistinctAndLongEnough(t *testing.T) {
	for _, value := range []string{"", "abc", "abcd", "p@ss word\n", `{"a":"p@ss","b":["p@ss"]}`, strings.Repeat("=", 300)} {
		seen := map[string]bool{}
		for i, form := range Forms([]byte(value)) {
			if i == 0 && string(form) != value {
				t.Errorf("first form of %q is %q", value, form)
			}
			if len(form) < MinLength || seen[string(form)] {
				t.Errorf("form %q of %q is too short or there twice", form, value)
			}
			seen[string(form)] = true
		}
		if len(value) < MinLength && len(seen) > 0 {
			t.Errorf("%q has forms", value)
		}
	}
}

func TestSecretNeverPrints(t *testing.T) {
	s := Secret{Name: "token", Value: []byte("hunter2hunter2")}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("x", "secret", s, "pointer", &s, "list", []Secret{s})
	encoded, err := json.Marshal(map[string]any{"s": s, "p": &s})
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{log.String(), string(encoded), s.String(), s.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
		shown = append(shown, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, []Secret{s}), fmt.Sprintf(verb, struct{ S Secret }{s}))
	}
	forms := Forms(s.Value)
	for _, text := range shown {
		for _, form := range forms {
			if strings.Contains(text, string(form)) || strings.Contains(text, "104 117 110") {
				t.Errorf("%q shows the secret", text)
			}
		}
	}
}
