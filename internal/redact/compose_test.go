package redact

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
)

var drawnSecrets = []func(rng *rand.Rand) string{
	func(rng *rand.Rand) string { return redacttest.Token(rng, 12+rng.IntN(30)) },
	func(rng *rand.Rand) string {
		return redacttest.Token(rng, 5) + `"` + redacttest.Token(rng, 4) + "%/" + redacttest.Token(rng, 5)
	},
	func(rng *rand.Rand) string {
		return redacttest.Token(rng, 3) + "=" + redacttest.Token(rng, 6) + "$&<" + redacttest.Token(rng, 6) + "'\\+"
	},
	func(rng *rand.Rand) string {
		return redacttest.Token(rng, 4) + "ä" + redacttest.Token(rng, 6) + "öß" + redacttest.Token(rng, 4)
	},
	func(rng *rand.Rand) string {
		return redacttest.Token(rng, 6) + "€" + redacttest.Token(rng, 6) + "é" + redacttest.Token(rng, 4)
	},
	func(rng *rand.Rand) string {
		return redacttest.Token(rng, 6) + " " + redacttest.Token(rng, 6) + "# " + redacttest.Token(rng, 6)
	},
	func(rng *rand.Rand) string { return redacttest.Token(rng, 150+rng.IntN(100)) },
}

// encodedCase is a text with a secret in it, and the positions that show it.
type encodedCase struct {
	secret, name string
	text         []byte
	shows        []bool
}

// drawCase encodes a text with a secret, and the same with its twin: where
// they differ, the text shows the secret.
func drawCase(seed uint64) (encodedCase, bool) {
	rng := rand.New(rand.NewPCG(seed, 1))
	secret := drawnSecrets[rng.IntN(len(drawnSecrets))](rng)
	before := []string{"", "u", "to", "user:", `{"token": "`, "https://user:", "a\\", "key=", "line\n", "x=1&y="}[rng.IntN(10)]
	after := []string{"", "!", "@host/path", `", "n": 1}`, "\n", " end", "&z=2", "=="}[rng.IntN(8)]
	chain := redacttest.Compose(rng, 3)
	encode, name := chain.Encode, chain.Name
	if rng.IntN(3) == 0 {
		printers := redacttest.Printers(rng)
		printer := printers[rng.IntN(len(printers))]
		name += ", then " + printer.Name
		encode = func(text []byte) []byte { return printer.Encode(chain.Encode(text)) }
	}
	text := encode([]byte(before + secret + after))
	twin := encode([]byte(before + redacttest.Twin(secret) + after))
	c := encodedCase{secret: secret, name: fmt.Sprintf("seed %d: %q…%q, %s", seed, before, after, name)}
	if len(text) != len(twin) {
		return c, false // a safe character was one of the twin's
	}
	around := []string{"", "log: ", "2026-01-01 x ", "\n"}[rng.IntN(4)]
	c.text = append([]byte(around), text...)
	c.text = append(c.text, []string{"", " rest", "\nnext line\n"}[rng.IntN(3)]...)
	c.shows = make([]bool, len(c.text))
	for i := range text {
		c.shows[len(around)+i] = text[i] != twin[i]
	}
	return c, true
}

// left is how many of the bytes that show the secret are not masked, and how
// many bytes far from it are.
func (c *encodedCase) left(found spans) (shown, lost int) {
	masked := make([]bool, len(c.text))
	for _, f := range found {
		for i := f.start; i < f.end; i++ {
			masked[i] = true
		}
	}
	first, last := slices.Index(c.shows, true), len(c.shows)-1
	for last >= 0 && !c.shows[last] {
		last--
	}
	const around = 160 // an escape three times over
	for i := range masked {
		switch {
		case c.shows[i] && !masked[i]:
			shown++
		case masked[i] && (i < first-around || i > last+around):
			lost++
		}
	}
	return shown, lost
}

// TestComposedEncodings masks secrets that random encoders have written, one
// upon the other.
func TestComposedEncodings(t *testing.T) {
	failed := map[string]int{}
	total := 0
	for seed := range uint64(4000) {
		c, ok := drawCase(seed)
		if !ok {
			continue
		}
		total++
		m := newMasker([]byte(c.secret))
		if bytes.Contains(m.Bytes(c.text), []byte(Withheld)) {
			t.Errorf("%s is withheld", c.name)
		}
		shown, lost := c.left(m.find(c.text))
		if shown > 24 || lost > 0 {
			if failed[c.name] = shown; lost > 0 {
				t.Errorf("%s\nsecret %q shows %d, lost %d\n%q\n%q", c.name, c.secret, shown, lost, c.text, m.Bytes(c.text))
			}
		}
	}
	// Separators that are broken by other line breaks are out of bounds.
	t.Logf("%d of %d show the secret", len(failed), total)
	if len(failed) > total/200 {
		t.Errorf("%d of %d show the secret", len(failed), total)
	}
}

// TestComposedInPieces: the masks do not depend on how a text is cut, except for lines
// that are broken and then encoded again.
func TestComposedInPieces(t *testing.T) {
	var failed []string
	for seed := range uint64(4000) {
		c, ok := drawCase(seed)
		if !ok {
			continue
		}
		m := newMasker([]byte(c.secret))
		want := m.Bytes(c.text)
		rng := rand.New(rand.NewPCG(seed, 2))
		for _, size := range []int{1, 2 + rng.IntN(5), 10 + rng.IntN(30)} {
			if got := maskInPieces(t, m, c.text, size); !bytes.Equal(got, want) {
				failed = append(failed, fmt.Sprintf("%s in pieces of %d:\n got %q\nwant %q", c.name, size, got, want))
				break
			}
		}
	}
	if len(failed) > 2 {
		t.Errorf("%d texts depend on how they are cut, want at most 2 of 4,000:\n%s", len(failed), strings.Join(failed, "\n"))
	}
}

// TestLongTextInPieces cuts texts of many lines, of which some show the secret,
// into pieces that are searched where they are.
func TestLongTextInPieces(t *testing.T) {
	for round := range uint64(12) {
		rng := rand.New(rand.NewPCG(round, 3))
		c, _ := drawCase(round)
		secret := []byte(c.secret)
		var text []byte
		for len(text) < 150<<10 {
			text = append(text, redacttest.Log(rng, 200+rng.IntN(6000), nil, 0)...)
			chain := redacttest.Compose(rng, 3)
			text = append(text, chain.Encode(append([]byte("key="), secret...))...)
			text = append(text, []string{"\n", " rest\n", "", "\r\n"}[rng.IntN(4)]...)
		}
		m := newMasker(secret)
		want := m.Bytes(text)
		if bytes.Equal(want, text) {
			t.Fatalf("round %d: nothing is masked", round)
		}
		for _, size := range []int{1 + rng.IntN(256), 257 + rng.IntN(1000), 4096, 10_000 + rng.IntN(60_000), len(text)} {
			if got := maskInPieces(t, m, text, size); !bytes.Equal(got, want) {
				at := 0
				for at < min(len(got), len(want)) && got[at] == want[at] {
					at++
				}
				t.Errorf("round %d in pieces of %d, from byte %d on:\n got %.200q\nwant %.200q", round, size, at, got[max(0, at-60):], want[max(0, at-60):])
			}
		}
	}
}
