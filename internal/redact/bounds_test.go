package redact

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
)

// Text made to be slow to decode is withheld, and the rest of the stream is
// not; what a stream holds and decodes is bounded.
func TestViewsAreBounded(t *testing.T) {
	const size = 1 << 20
	secrets := redacttest.Tokens(rand.New(rand.NewPCG(1, 2)), 10, 20)
	m := newMasker(secrets...)
	for _, hard := range redacttest.Hostile(size) {
		var out bytes.Buffer
		w := m.Writer(&out)
		for piece := hard.Text; len(piece) > 0; {
			n := min(len(piece), 4096)
			if _, err := w.Write(piece[:n]); err != nil {
				t.Fatal(err)
			}
			piece = piece[n:]
			c := w.ahead
			if held := c.stream.end() - c.passed; held > maxHeld+workSpan || len(c.stream.text) > 2*maxHeld {
				t.Fatalf("%s: %d bytes are held, %d kept", hard.Name, held, len(c.stream.text))
			}
			if c.work > 2*workCredit {
				t.Fatalf("%s: %d bytes were decoded of %d", hard.Name, c.work, workSpan)
			}
		}
		if _, err := w.Write([]byte("\nend of it " + string(secrets[0]) + ".\n")); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(out.Bytes(), secrets[0]) || !strings.HasSuffix(out.String(), ".\n") && !strings.HasSuffix(out.String(), Withheld) {
			t.Errorf("%s: the stream ends in %q", hard.Name, out.Bytes()[max(0, out.Len()-80):])
		}
	}
}

// Ordinary text, and text that is encoded once, is not withheld, and no more of it
// is held than two forms and their escapes have bytes.
func TestNothingIsWithheld(t *testing.T) {
	for _, load := range append(redacttest.Encoded(2<<20), redacttest.Workloads(2<<20)...) {
		m := newMasker(load.Secrets...)
		var out bytes.Buffer
		w := m.Writer(&out)
		held := 0
		for _, p := range load.Pieces() {
			if _, err := w.Write(p); err != nil {
				t.Fatal(err)
			}
			held = max(held, w.ahead.stream.end()-w.ahead.hold)
		}
		if bytes.Contains(out.Bytes(), []byte(Withheld)) {
			t.Errorf("%s: a part is withheld", load.Name)
		}
		if most := 2*m.patterns.longest + minReach; held > most {
			t.Errorf("%s: %d bytes are held, want %d at most", load.Name, held, most)
		}
	}
}
