package redact

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
)

// TestShortLinesPass has columns of short lines, such as a service prints its progress in:
// none of them is withheld, however long the column is.
func TestShortLinesPass(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(31, 32))
	lines := []string{"a", "1", "ab", "42", "abc", "0,1", "abcd", "1234", "a,b,c", "0.125", "abcdef", "123456", "deadbeef", "a b c d", "- a", "ok.", "{", "\"a\""}
	for n, secrets := range [][]Secret{
		{{Value: []byte("4711471147114711")}},
		{{Value: []byte(redacttest.Token(rng, 20))}},
		{{Value: []byte(redacttest.Token(rng, 20))}, {Value: []byte("pass word/ä+&")}, {Value: []byte("0123456789abcdef0123456789abcdef")}},
	} {
		m := New(secrets)
		for _, line := range lines {
			passes(t, m, fmt.Sprintf("secrets %d: lines of %q", n+1, line), []byte(strings.Repeat(line+"\n", (1<<20)/(len(line)+1))))
		}
		var mixed strings.Builder
		for mixed.Len() < 1<<20 {
			mixed.WriteString(lines[rng.IntN(len(lines))] + "\n")
		}
		passes(t, m, "short lines of all kinds", []byte(mixed.String()))
	}
}

func passes(t *testing.T, m *Masker, what string, text []byte) {
	t.Helper()
	var out bytes.Buffer
	w := m.Writer(&out)
	for at := 0; at < len(text); at += 32 << 10 {
		if _, err := w.Write(text[at:min(at+32<<10, len(text))]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), text) {
		at := 0
		for at < out.Len() && out.Bytes()[at] == text[at] {
			at++
		}
		t.Errorf("%s: of %d bytes %d are left; the first that differ are %.70q", what, len(text), out.Len(), out.Bytes()[at:min(at+80, out.Len())])
	}
}
