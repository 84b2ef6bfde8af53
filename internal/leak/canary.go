package leak

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2" //nolint:depguard // the same seed must make the same canaries
	"strings"
)

// A Canary is a secret that stands for one cell of a matrix.
type Canary struct {
	// Cell names the place that got it.
	Cell string
	// Shape is the kind of secret it is.
	Shape Shape
	// Value is the secret.
	Value string
}

// A Shape is a kind of secret that has been leaked by other programs.
type Shape string

// The shapes. An Outer secret holds an Inner one, which a test uses beside it.
const (
	Plain       Shape = "plain"
	Symbols     Shape = "symbols"
	Unicode     Shape = "unicode"
	PEM         Shape = "pem"
	JSON        Shape = "json"
	Overlapping Shape = "overlapping"
	Inner       Shape = "inner"
	Outer       Shape = "outer"
	Short       Shape = "short"
	Long        Shape = "long"
)

// Shapes are all of them, an inner secret before the one it is in.
var Shapes = []Shape{Plain, Symbols, Unicode, PEM, JSON, Overlapping, Inner, Outer, Short, Long}

// A Generator makes canaries. The same seed makes the same ones.
type Generator struct{ random *rand.Rand }

// NewSource makes a generator.
func NewSource(seed uint64) *Generator {
	return &Generator{rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // they may be guessable
}

// Canaries makes one of each shape for a cell, in the order of Shapes.
func (s *Generator) Canaries(cell string) []Canary {
	all := make([]Canary, len(Shapes))
	inner := ""
	for i, shape := range Shapes {
		value := s.value(shape, inner)
		if shape == Inner {
			inner = value
		}
		all[i] = Canary{cell, shape, value}
	}
	return all
}

func (s *Generator) value(shape Shape, inner string) string {
	switch shape {
	case Plain:
		return s.letters(24)
	case Symbols:
		return s.letters(8) + ` +/&"` + s.letters(8) + `$%\'<>=;` + s.letters(8) + "`~!"
	case Unicode:
		return s.letters(8) + "äß€" + s.letters(8) + "🔑ñ" + s.letters(8)
	case PEM:
		return s.pem()
	case JSON:
		return fmt.Sprintf(`{"type": "account", "user": {"name": "%s", "key": "%s\n%s"}, "hosts": ["%s"], "port": 8080}`,
			s.letters(16), s.letters(12), s.letters(12), s.letters(12)+"/"+s.letters(6))
	case Overlapping:
		a, b := s.letters(3), s.letters(3)
		return a + b + a + b + a + s.letters(3)
	case Inner:
		return s.letters(12)
	case Outer:
		return s.letters(10) + inner + s.letters(10)
	case Long:
		return s.letters(36) + "." + s.letters(120) + "." + s.letters(43)
	default:
		return s.letters(8)
	}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func (s *Generator) letters(n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = alphabet[s.random.IntN(len(alphabet))]
	}
	return string(text)
}

// pem looks like a key, and is none.
func (s *Generator) pem() string {
	raw := make([]byte, 128)
	for i := range raw {
		raw[i] = byte(s.random.Uint32())
	}
	text := base64.StdEncoding.EncodeToString(raw)
	var lines strings.Builder
	for len(text) > 64 {
		lines.WriteString(text[:64] + "\n")
		text = text[64:]
	}
	return "-----BEGIN PRIVATE KEY-----\n" + lines.String() + text + "\n-----END PRIVATE KEY-----\n"
}
