package redact

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
)

// TestColors masks secrets that a highlighter has colored, unchanged and written as
// literals, however the stream is cut.
func TestColors(t *testing.T) {
	for seed := range uint64(600) {
		rng := rand.New(rand.NewPCG(seed, 4))
		secret := drawnSecrets[rng.IntN(len(drawnSecrets))](rng)
		encoders := redacttest.Encoders(rng)
		plain := redacttest.Encoder{Name: "plain", Encode: bytes.Clone}
		literal := []redacttest.Encoder{plain, encoders[1], encoders[2], encoders[3]}[rng.IntN(4)]
		highlighter := redacttest.Colors(rng)
		text := highlighter.Encode(append(literal.Encode([]byte("token = "+secret+" of the service")), '\n'))
		m := newMasker([]byte(secret))
		masked := m.Bytes(text)
		if left := redacttest.FindStretch(string(masked), secret); left != "" {
			t.Errorf("seed %d: %q as %s, then %s leaves %s, want none of it:\n%q", seed, secret, literal.Name, highlighter.Name, left, masked)
		}
		if !bytes.Contains(masked, []byte("token")) && !strings.Contains(string(masked), "\x1b[") {
			t.Errorf("seed %d: %q is masked to %q, want the text around the secret", seed, text, masked)
		}
		for _, size := range []int{1, 2 + rng.IntN(5), 10 + rng.IntN(30)} {
			if got := maskInPieces(t, m, text, size); !bytes.Equal(got, masked) {
				t.Errorf("seed %d: %s, then %s in pieces of %d:\n got %q\nwant %q", seed, literal.Name, highlighter.Name, size, got, masked)
			}
		}
	}
}

// TestWideDigits masks secrets in UTF-16 and UTF-32 whose bytes are written as digits,
// except the first characters, which say nothing yet.
func TestWideDigits(t *testing.T) {
	const secret = "TUddEKseu2Ac13fA61es"
	m := newMasker([]byte(secret))
	for width := 2; width <= 4; width += 2 {
		for _, little := range []bool{true, false} {
			wide := appendWide(nil, []byte(secret), width, little)
			mark := appendWide(nil, []byte("\ufeff"), width, little)
			for name, text := range map[string]string{
				"hexadecimal":             string(hexOf(wide, "")),
				"hexadecimal, with mark":  string(hexOf(append(mark, wide...), "")),
				"hexadecimal, spaces":     string(hexOf(wide, " ")),
				"hexadecimal, colons":     string(hexOf(append(mark, wide...), ":")),
				"base64":                  base64.StdEncoding.EncodeToString(wide),
				"base64 behind one byte":  base64.StdEncoding.EncodeToString(append([]byte("x"), wide...)),
				"base64 behind two bytes": base64.StdEncoding.EncodeToString(append([]byte("xy"), wide...)),
				"base64, with mark":       base64.StdEncoding.EncodeToString(append(mark, wide...)),
			} {
				masked := string(m.Bytes([]byte(text)))
				left, _, found := strings.Cut(masked, Mask)
				if !found || len(left) > 22 || left != "" && !strings.HasPrefix(text, left) {
					t.Errorf("%s of %d bytes for each character, little %t, is masked to %q, want a mask near its beginning", name, width, little, masked)
				}
				for _, size := range []int{1, 3, 10} {
					if got := string(maskInPieces(t, m, []byte(text), size)); got != masked {
						t.Errorf("%s in pieces of %d is masked to %q, want %q", name, size, got, masked)
					}
				}
			}
		}
	}
}

func hexOf(text []byte, separator string) []byte {
	pairs := make([]string, len(text))
	for i, c := range text {
		pairs[i] = string([]byte{hexDigits[c>>4], hexDigits[c&15]})
	}
	return []byte(strings.Join(pairs, separator))
}

// TestRespelled masks values as programs write them that take them for another charset,
// know the case of ASCII alone, double marks, or quote a command within a command.
func TestRespelled(t *testing.T) {
	for _, c := range []struct{ secret, text string }{
		{"Pässwörd-für-Xq7", "{'X': 'PÃ¤sswÃ¶rd-fÃ¼r-Xq7'}"},
		{"Пароль-密码-UDdFzfuw", `{'X': 'Ð\x9fÐ°Ñ\x80Ð¾Ð»Ñ\x8c-å¯\x86ç\xa0\x81-UDdFzfuw'}`},
		{"Pässwörd-für-Xq7", "upper('PäSSWöRD-FüR-XQ7')"},
		{"Pässwörd-für-Xq7", "lower('pässwörd-für-xq7')"},
		{"100%#sure-Pw/+x", "sqlalchemy.url = db://u:100%%#sure-Pw/+x@host"},
		{"wBLyBz27", "77:42:4c:79:42:7a:32:37"},
		{"wBLyBz27", "77 42 4C 79 42 7A 32 37"},
		{"kJ8=mP$2vL-7Qx", "environment: TOKEN=kJ8=mP$$2vL-7Qx"},
		{"kJ8{mP}2vL-7Qx", "f'kJ8{{mP}}2vL-7Qx'"},
		{"uR'oZe8s-zR7xP", `ssh host 'bash -c '"'"'echo '"'"'"'"'"'"'"'"'uR'"'"'"'"'"'"'"'"'oZe8s-zR7xP`},
		{"uR'oZe8s-zR7xP", `+ echo ''\''uR'\''\'\'''\''oZe8s-zR7xP'\'''`},
		{"uR'oZé8s-zR7xP", `c: 't: "uR''oZ\xE98s-zR7xP"'`},
	} {
		m := newMasker([]byte(c.secret))
		for _, size := range []int{1, 5, len(c.text)} {
			got := string(maskInPieces(t, m, []byte(c.text), size))
			if !strings.Contains(got, Mask) || strings.Contains(got, "zR7xP") || redacttest.FindStretch(got, c.secret) != "" {
				t.Errorf("%q in pieces of %d is masked to %q, want %q masked", c.text, size, got, c.secret)
			}
		}
	}
}
