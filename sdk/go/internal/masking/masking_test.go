package masking

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

const secret = `p@ss "w<o>rd"/+é` + "\tend"

func TestFormsAreMasked(t *testing.T) {
	var m Masker
	m.Add(secret)
	encoded, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{
		secret, string(encoded), fmt.Sprintf("%q", secret), fmt.Sprintf("%+q", secret), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret),
		url.QueryEscape(secret), url.PathEscape(secret),
	} {
		if got := m.Text("before " + form + " after"); strings.Contains(got, "rd") || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
			t.Errorf("%d bytes of one form are left, want none", len(got))
		}
	}
}

func TestBase64AtEveryAlignment(t *testing.T) {
	var m Masker
	m.Add(secret)
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 4 {
			for after := range 4 {
				text := encoding.EncodeToString([]byte("user:"[:before] + secret + "later"[:after]))
				got := m.Text(text)
				if !strings.Contains(got, Mask) || len(got) > len(Mask)+12 {
					t.Errorf("shifted by %d with %d bytes after it: %d characters are left, want at most 12", before, after, len(got)-len(Mask))
				}
			}
		}
	}
}

func TestOverlappingSecrets(t *testing.T) {
	var m Masker
	m.Add("abcdefgh")
	m.Add("efghijkl")
	m.Add("abababab")
	for text, want := range map[string]string{
		"abcdefghijkl": Mask, "xabcdefghx": "x" + Mask + "x", "ababababab": Mask, "abcdefg": "abcdefg", "": "",
	} {
		if got := m.Text(text); got != want {
			t.Errorf("%q is masked as %q, want %q", text, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	var m Masker
	m.Add("-----BEGIN KEY-----\nMIIEvQIBADAN\nshort\n-----END KEY-----\n")
	if got := m.Text("line MIIEvQIBADAN, short"); got != "line "+Mask+", short" {
		t.Errorf("a line is masked as %q, want the mask in its place", got)
	}
	if got := m.Text("a -----BEGIN KEY-----\r\nMIIEvQIBADAN\r\nshort\r\n-----END KEY-----\r\n b"); got != "a "+Mask+" b" {
		t.Errorf("with CRLF the key becomes %q, want one mask", got)
	}
}

func TestShortSecretsAreLeft(t *testing.T) {
	var m Masker
	m.Add("abc")
	m.Add("")
	if got := m.Text("abcabc"); got != "abcabc" {
		t.Errorf("Text(no secret) = %q, want it unchanged", got)
	}
}

func TestWeakSecretsAreMaskedAsWords(t *testing.T) {
	var m Masker
	m.Add("debug")
	m.Add("$a-b")
	for text, want := range map[string]string{
		"debug": Mask, "a debug, (debug)": "a " + Mask + ", (" + Mask + ")", "log.debug=1": "log." + Mask + "=1",
		"debugging undebug debug_1 debug1": "debugging undebug debug_1 debug1", "ödebug debugö": "ödebug debugö",
		"ZGVidWc=": "ZGVidWc=", "x$a-b": "x" + Mask, "$a-bc": "$a-bc",
	} {
		if got := m.Text(text); got != want {
			t.Errorf("Text(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestJSONStaysJSON(t *testing.T) {
	var m Masker
	for _, s := range []string{`":{}`, "null", "12345678", "abcdef"} {
		m.Add(s)
	}
	got := m.JSON(map[string]any{"abcdef": []any{"x null", nil, true, json.Number("123456789"), json.Number("7")}})
	want := map[string]any{Mask: []any{"x " + Mask, nil, true, Mask + "9", json.Number("7")}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("JSON() = %v, want %v", got, want)
	}
}

func FuzzNothingIsLeft(f *testing.F) {
	f.Add("abcdabcd", "abcddefg", "xabcdabcddefgx")
	f.Add("[red", "acted]", "[redacted]")
	f.Fuzz(func(t *testing.T, one, two, text string) {
		var m Masker
		m.Add(one)
		m.Add(two)
		rest := strings.ReplaceAll(m.Text(text), Mask, "\x00")
		for _, s := range []string{one, two} {
			if utf8.RuneCountInString(s) >= strong && !strings.Contains(s, "\x00") && strings.Contains(rest, s) {
				t.Error("a secret is left")
			}
		}
	})
}
