package redact

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
)

// TestDigitsGoOnWhereViewsRest has lines about as long as a view decodes without an
// escape: a run of digits goes on in it, longer than the part that the view keeps.
func TestDigitsGoOnWhereViewsRest(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	for _, secret := range []string{redacttest.Token(rng, 20), redacttest.Token(rng, 8) + "ä" + redacttest.Token(rng, 8)} {
		m := New([]Secret{{Value: []byte(secret)}})
		for _, mark := range []string{`\n`, "%0A", "\n", " |\n| ", "=0A"} {
			for width := 260; width <= 400; width += 20 {
				text := redacttest.Log(rng, 9000, nil, 0)
				name := fmt.Sprintf("lines of %d digits with %q", width, mark)
				if quiet := digitLines(text, width, mark); !bytes.Equal(m.Bytes(quiet), quiet) {
					t.Errorf("%s: masked in a text without a secret", name)
				}
				lines := digitLines(slices.Insert(text, 7000, []byte(secret)...), width, mark)
				whole := m.Bytes(lines)
				if !bytes.Contains(whole, []byte(Mask)) {
					t.Errorf("%s: the secret is shown", name)
				}
				if pieces := inPieces(t, m, lines, 100); !bytes.Equal(pieces, whole) {
					t.Errorf("%s: other text by writes of 100 bytes", name)
				}
			}
		}
	}
}

// digitLines writes text in lines of base64 that end with a mark.
func digitLines(text []byte, width int, mark string) []byte {
	digits := []byte(base64.StdEncoding.EncodeToString(text))
	return bytes.Join(slices.Collect(slices.Chunk(digits, width)), []byte(mark))
}

func inPieces(t *testing.T, m *Masker, text []byte, length int) []byte {
	t.Helper()
	var out bytes.Buffer
	w := m.Writer(&out)
	for piece := range slices.Chunk(text, length) {
		if _, err := w.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
