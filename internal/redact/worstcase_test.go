package redact

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/redact/redacttest"
)

// spending runs text through a writer and returns the units of work the filter
// spent per byte of text, whether in vain or not, and the bytes the automaton
// read per byte. Counting units instead of time makes the test exact.
func spending(t *testing.T, m *Masker, text []byte, size int) (units, read float64) {
	t.Helper()
	w := m.Writer(struct{ io.Writer }{io.Discard})
	spent, steps := 0, 0
	for rest := text; len(rest) > 0; {
		n := min(len(rest), size)
		for piece := rest[:n]; len(piece) > 0; {
			before, held := len(piece), len(w.held)
			w.budget = min(w.budget, startCredit)
			credit := w.budget
			if w.reading == 0 {
				wasHeld := len(w.held) - w.head
				piece = w.stepFilter(piece)
				spent += max(0, credit+perByte*(min(before, m.block)+wasHeld)-w.budget)
				if w.reading > 0 {
					steps += held // the text held is read again
				}
			} else {
				piece = w.stepAutomaton(piece)
				steps += before - len(piece)
			}
		}
		rest = rest[n:]
	}
	return float64(spent) / float64(len(text)), float64(steps) / float64(len(text))
}

// TestWorkIsLinear sends the texts that make search algorithms slow, at twice
// the length too, in pieces of every kind.
func TestWorkIsLinear(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	prefix := redacttest.Token(rng, 40)
	family := make([][]byte, 200)
	for i := range family {
		family[i] = []byte(prefix + redacttest.Token(rng, 10))
	}
	long := []byte(strings.Repeat("a", 4000))
	for _, hard := range []struct {
		name    string
		secrets [][]byte
		unit    string
	}{
		{"run", [][]byte{long}, "a"},
		{"run that fails late", [][]byte{append(bytes.Clone(long), 'b')}, "a"},
		{"run broken", [][]byte{long}, strings.Repeat("a", 3999) + "c"},
		{"two letters", [][]byte{[]byte(strings.Repeat("ab", 500) + "c")}, "ab"},
		{"short runs", [][]byte{[]byte("aaaa"), []byte("aaab"), []byte("baaa")}, "a"},
		{"one prefix", family, prefix},
		{"one prefix, broken", family, prefix[:39] + "-"},
		{"beginning again", [][]byte{[]byte(prefix + redacttest.Token(rng, 2000))}, prefix},
	} {
		m := newMasker(hard.secrets...)
		for _, size := range []int{1, 13, 120, 4096, 1 << 17} {
			for _, length := range []int{60_000, 120_000} {
				text := []byte(strings.Repeat(hard.unit, length/len(hard.unit)+1))
				units, read := spending(t, m, text, size)
				// The filter may overdraw once per spell by one step: a
				// block, or one short write and the text held.
				if units > 4*perByte || read > 3 {
					t.Errorf("%s, %d bytes in pieces of %d: %.1f units and %.2f states a byte", hard.name, length, size, units, read)
				}
			}
		}
	}
}

// TestReferenceCatchesBrokenMaskers breaks the masker in one place at a time
// and expects the comparison with the reference to fail: a check that cannot
// fail would prove nothing.
func TestReferenceCatchesBrokenMaskers(t *testing.T) {
	secrets := [][]byte{[]byte("ababac"), []byte("defghijklmnopqrstuv"), []byte("cdefgh"), []byte("k\nm\nlong")}
	forms := allForms(secrets)
	var text []byte
	for _, piece := range []string{"abababac", "cdefghijklmnopqrstuv", "ababa", "defghijklmnopqrst.", "k\nm\nl", "k\nm\nlong", "cdefg"} {
		text = append(append(text, piece...), " - "...)
	}
	text = append(text, "YWJhYmFj 616261626163 ababa"...)
	// differs reports whether m is seen to be wrong in pieces of some size.
	differs := func(m *Masker, between func(*Writer)) bool {
		want := reference(forms, text)
		for size := 1; size < 60; size++ {
			var out bytes.Buffer
			w := m.Writer(&out)
			for at := 0; at < len(text); at += size {
				if _, err := w.Write(text[at:min(len(text), at+size)]); err != nil {
					return true
				}
				between(w)
			}
			if w.Close() != nil || !bytes.Equal(out.Bytes(), want) {
				return true
			}
		}
		return false
	}
	nothing := func(*Writer) {}
	if differs(newMasker(secrets...), nothing) {
		t.Fatal("the unchanged masker is wrong, want it right")
	}
	for name, broken := range map[string]struct {
		damage  func(*Masker)
		between func(*Writer)
	}{
		"a secret forgotten": {func(m *Masker) { *m = *newMasker(secrets[1:]...) }, nothing},
		"nothing masked":     {func(m *Masker) { *m = *newMasker() }, nothing},
		"one gram unknown": {func(m *Masker) {
			for i := range m.filter.bitmap {
				if m.filter.bitmap[i] != 0 {
					m.filter.bitmap[i] = 0
				}
			}
		}, nothing},
		"entries lost":             {func(m *Masker) { clear(m.filter.entries) }, nothing},
		"ends of text not checked": {func(m *Masker) { m.filter.heads = byteSet{} }, nothing},
		"held text released":       {func(*Masker) {}, func(w *Writer) { _ = w.Close() }},
		"held text lost":           {func(*Masker) {}, func(w *Writer) { w.held = w.held[:0] }},
		"runs not continued":       {func(*Masker) {}, func(w *Writer) { w.inMask = false }},
		"covered text forgotten":   {func(*Masker) {}, func(w *Writer) { w.covered = 0 }},
		"automaton without failure links": {func(m *Masker) {
			a := m.automaton()
			a.table.Do(func() { a.made.Store(true) }) // it stays without a table
			clear(a.fail)
		}, func(w *Writer) {
			if w.reading == 0 {
				w.budget = -1 << 20
			}
		}},
		"automaton without ends": {func(m *Masker) {
			m.automaton().makeTable()
			clear(m.automaton().lengths)
		}, func(w *Writer) {
			if w.reading == 0 {
				w.budget = -1 << 20
			}
		}},
	} {
		m := newMasker(secrets...)
		broken.damage(m)
		if !differs(m, broken.between) {
			t.Errorf("%s: not noticed", name)
		}
	}
}
