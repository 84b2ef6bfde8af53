// Package redacttest has the secrets and texts by which masking is measured,
// and on which its tests try it: what logs look like, and what makes searching
// for many strings slow. All of it is the same in every run.
package redacttest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A Workload is a text, and the secrets that it is searched for.
type Workload struct {
	Name    string
	Secrets [][]byte
	Text    []byte
	// Piece is the length of the writes by which the text comes.
	Piece int
}

// Pieces are the writes.
func (w Workload) Pieces() [][]byte { return slices.Collect(slices.Chunk(w.Text, w.Piece)) }

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// Token makes a secret of so many letters and digits.
func Token(rng *rand.Rand, length int) string {
	text := make([]byte, length)
	for i := range text {
		text[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return string(text)
}

// Tokens makes secrets of shortest to shortest+19 characters.
func Tokens(rng *rand.Rand, count, shortest int) [][]byte {
	secrets := make([][]byte, count)
	for i := range secrets {
		secrets[i] = []byte(Token(rng, shortest+i%20))
	}
	return secrets
}

var words = strings.Fields(`request response started finished worker queue retry connection
	timeout session cache user payload index batch result value error warning status
	handler service model gradient step epoch loss accuracy backend circuit qubit shots`)

// Log makes size bytes of mixed lines. Each line whose number is a multiple of
// every ends with one of hits.
func Log(rng *rand.Rand, size int, hits [][]byte, every int) []byte {
	var text bytes.Buffer
	text.Grow(size + 4096)
	word := func() string { return words[rng.IntN(len(words))] }
	for line := 1; text.Len() < size; line++ {
		fmt.Fprintf(&text, "2026-03-%02dT%02d:%02d:%02d.%03dZ ", 1+line%28, line/3600%24, line/60%60, line%60, rng.IntN(1000))
		switch rng.IntN(6) {
		case 0:
			fmt.Fprintf(&text, `{"level":"info","msg":"%s %s","id":"%08x-%04x","ms":%d}`, word(), word(), rng.Uint32(), rng.IntN(1<<16), rng.IntN(10000))
		case 1:
			fmt.Fprintf(&text, `GET /api/v1/%s/%d?limit=%d HTTP/1.1 200 %d "Mozilla/5.0"`, word(), rng.IntN(1e6), rng.IntN(100), rng.IntN(1e5))
		case 2:
			fmt.Fprintf(&text, `  File "/srv/app/%s.py", line %d, in %s`, word(), rng.IntN(999), word())
		case 3:
			fmt.Fprintf(&text, "digest=%016x%016x etag=%s", rng.Uint64(), rng.Uint64(), Token(rng, 24))
		default:
			for range 6 + rng.IntN(8) {
				text.WriteString(word())
				text.WriteByte(' ')
			}
		}
		if len(hits) > 0 && line%every == 0 {
			text.WriteString(" token=")
			text.Write(hits[rng.IntN(len(hits))])
		}
		text.WriteByte('\n')
	}
	return text.Bytes()[:size]
}

// lines makes size bytes of whole lines of a length out of a text.
func lines(text []byte, size, length int) []byte {
	made := make([]byte, 0, size+length)
	for rest := text; len(made) < size; rest = rest[length-1:] {
		if len(rest) < 2*length {
			rest = text
		}
		made = append(append(made, bytes.ReplaceAll(rest[:length-1], []byte("\n"), []byte(" "))...), '\n')
	}
	return made[:size]
}

// repeated makes size bytes of what next returns.
func repeated(size int, next func() string) []byte {
	text := make([]byte, 0, size+4096)
	for len(text) < size {
		text = append(text, next()...)
	}
	return text[:size]
}

// Workloads are all of them, with texts of size bytes.
func Workloads(size int) []Workload {
	const block, line = 4096, 120
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // none of it is a secret, and all runs have to be alike
	ten, many := Tokens(rng, 10, 20), Tokens(rng, 200, 20)
	eight, four := slices.Clone(ten), slices.Clone(ten)
	eight[3], four[3] = []byte(Token(rng, 8)), []byte(Token(rng, 4))
	prefix := Token(rng, 24)
	family := make([][]byte, 200)
	for i := range family {
		family[i] = []byte(prefix + Token(rng, 16))
	}
	run := [][]byte{bytes.Repeat([]byte("a"), 32)}
	mixed := Log(rng, size, ten, 1000)
	pick := func() string { return string(ten[rng.IntN(len(ten))]) }
	return []Workload{
		{"10 secrets", ten, mixed, block},
		{"200 secrets", many, Log(rng, size, many, 1000), block},
		{"shortest of 8", eight, mixed, block},
		{"shortest of 4", four, mixed, block},
		{"near misses", ten, repeated(size, func() string {
			v := pick()
			return v[:len(v)-1] + "\n"
		}), block},
		{"self-overlapping", [][]byte{[]byte("abababababababababac")}, repeated(size, func() string {
			return strings.Repeat("ab", 20) + "ac"
		}), block},
		{"run of one byte", run, bytes.Repeat([]byte("a"), size), block},
		{"run broken", run, repeated(size, func() string { return strings.Repeat("a", 31) + "b" }), block},
		{"200 behind one prefix", family, repeated(size, func() string { return prefix + Token(rng, 16) }), block},
		{"dense hits", ten, repeated(size, func() string { return pick() + " " }), block},
		{"lines of 120", ten, lines(mixed, size, line), line},
		{"120 cut anywhere", ten, mixed, line},
	}
}
