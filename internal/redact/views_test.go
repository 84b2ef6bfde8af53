package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"
)

// Programs print secrets in these ways. None of the secret may be left, wherever
// the stream is cut, and the words around it stay.
func TestViews(t *testing.T) {
	t.Parallel()
	const (
		password = "kJ8=mP$2vL-7Qx"
		umlaut   = "Pässwörd-für-x"
	)
	token := strings.Repeat("Zq3vT9xLmN2rBw7k", 12)
	quoted := func(text string) string {
		out, _ := json.Marshal(text) // a string cannot fail
		return string(out)
	}
	wide := func(text string) string {
		var out []byte
		for _, unit := range utf16.Encode([]rune(text)) {
			out = append(out, byte(unit), byte(unit>>8))
		}
		return string(out)
	}
	lines := func(text string, width int, before, after string) string {
		var out strings.Builder
		for ; len(text) > width; text = text[width:] {
			out.WriteString(before + text[:width] + after + "\n")
		}
		return out.String() + before + text + after + "\n"
	}
	for _, test := range []struct{ name, secret, text string }{
		{"percent, other safe characters", password, "GET http://u:kJ8%3DmP$2vL%2D7Qx@host/"},
		{"percent twice", password, "next=" + url.QueryEscape(url.QueryEscape(password)) + "&limit=10"},
		{"base64 in lines of 76, indented", password, lines(base64.StdEncoding.EncodeToString([]byte("user-of-the-service:"+strings.Repeat("x", 40)+password)), 76, "    ", "")},
		{"JSON in JSON, beyond ASCII", umlaut, `{"body":` + quoted(`{"t":"P\u00e4ssw\u00f6rd-f\u00fcr-x"}`) + `}`},
		{"repr of bytes of JSON", umlaut, `b'{"t": "P\\u00e4ssw\\u00f6rd-f\\u00fcr-x"}'`},
		{"Basic, Latin-1", umlaut, "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("user:P\xe4ssw\xf6rd-f\xfcr-x"))},
		{"a frame", token, lines(token, 60, "│ ", " │")},
		{"wrapped", token, lines(token, 70, "  ", "")},
		{"literals", token, lines(token, 50, " '", "'")},
		{"quoted-printable", umlaut, "P=C3=A4ssw=\r\n=C3=B6rd-f=C3=BCr-x"},
		{"entities of JSON", `p"w&7-secret-word`, `{&quot;t&quot;:&quot;p\&quot;w&amp;7-secret-word&quot;}`},
		{"hexadecimal pairs", token[:20], strings.TrimSuffix(strings.ReplaceAll(fmt.Sprintf("% x", token[:20]), " ", ":"), ":")},
		{"hexadecimal of base64", token, hex.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte("a" + token))))},
		{"base64 three times", token, base64.StdEncoding.EncodeToString([]byte("x: " + base64.StdEncoding.EncodeToString([]byte("user:"+base64.StdEncoding.EncodeToString([]byte("to:"+token))))))},
		{"UTF-16", "hunter2-hunter2", wide("key hunter2-hunter2 end")},
		{"the password of a URL", "postgres://svc:s3cr%21t-word@db/x", "connect as svc with s3cr!t-word now"},
		{"KEY=VALUE lines", "A_KEY=first-value-1\nB_KEY=second-value-2", "b is second-value-2 and a is first-value-1"},
		{"PEM with its line ends expanded", `-----BEGIN X-----\nQUJDREVGR0hJSktMTU5PUA==\n-----END X-----`, "QUJDREVGR0hJSktMTU5PUA=="},
		{"decomposed letters", umlaut, "file Pa\u0308sswo\u0308rd-fu\u0308r-x here"},
		{"capital letters", "abcdefgh-token-12", "HOST ABCDEFGH-TOKEN-12.example"},
	} {
		m := newMasker([]byte(test.secret))
		text := "before " + test.text + "\nthe next line\n"
		got := m.String(text)
		if !strings.Contains(got, Mask) || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, "the next line\n") {
			t.Errorf("%s: String(%q) = %q, want a mask between the words", test.name, text, got)
		}
		if rest := strings.NewReplacer("before ", "", "the next line\n", "", Mask, "").Replace(got); len(rest) > 3*len(test.text)/4+24 {
			t.Errorf("%s: String(%q) = %q leaves %d bytes", test.name, text, got, len(rest))
		}
		for _, size := range []int{1, 7, 64} {
			if pieces := maskInPieces(t, m, []byte(text), size); string(pieces) != got {
				t.Errorf("%s in pieces of %d = %q, want %q", test.name, size, pieces, got)
			}
		}
	}
}
