package redact

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Mask stands for every run of masked bytes, whatever its length: the number
// and length of secrets in a row are not shown.
const Mask = "[redacted]"

// MinLength is the length in bytes from which a value is searched for. Masking
// shorter ones would leave no text readable and make their bytes guessable by
// what is missing. Whoever stores or injects one should warn about it.
const MinLength = 4

// blockSize is how much text is searched at once: small enough that a second
// search finds it in the first-level cache.
const blockSize = 8 << 10

// spell is how much text the automaton reads before the filter is tried again,
// the first time and at most.
const (
	spell    = 64 << 10
	maxSpell = 256 << 10
)

// ErrCleared is returned for everything written to a stream after [Masker.Clear].
var ErrCleared = errors.New("redact: the masker was cleared; make a new one for further output")

// Masker holds the forms of a set of secrets. It is immutable and safe for
// concurrent use by any number of streams.
type Masker struct {
	patterns *patterns
	filter   *filter // nil without patterns
	block    int     // size of a block: several times the longest pattern
	cleared  atomic.Bool

	lazy struct {
		once sync.Once
		*automaton
	}
}

// New returns a masker for all forms of secrets. With none, or none of at
// least [MinLength] bytes, it masks nothing.
func New(secrets []Secret) *Masker {
	set := formSet{ends: make([]uint32, 0, 12*len(secrets))}
	for _, secret := range secrets {
		set.addSecret(secret.Value)
	}
	m := &Masker{patterns: sortPatterns(&set)}
	clear(set.arena[:cap(set.arena)])
	clear(set.scratch[:cap(set.scratch)])
	if m.patterns.len() > 0 {
		m.filter = newFilter(m.patterns)
	}
	m.block = max(blockSize, 4*m.patterns.longest)
	return m
}

// automaton returns the automaton, which few maskers ever need.
func (m *Masker) automaton() *automaton {
	m.lazy.once.Do(func() { m.lazy.automaton = newAutomaton(m.patterns) })
	return m.lazy.automaton
}

func (m *Masker) empty() bool { return m.filter == nil }

// Bytes returns text with every occurrence of a form masked. It returns text
// itself, not a copy, when there is none.
func (m *Masker) Bytes(text []byte) []byte {
	if m.cleared.Load() {
		return []byte(Mask)
	}
	found := m.find(text)
	if len(found) == 0 {
		return text
	}
	masked := make([]byte, 0, len(text)+len(found)*len(Mask))
	at := 0
	for _, f := range found {
		masked = append(masked, text[at:f.start]...)
		masked = append(masked, Mask...)
		at = f.end
	}
	return append(masked, text[at:]...)
}

// String is [Masker.Bytes] for strings.
func (m *Masker) String(text string) string {
	in := []byte(text)
	out := m.Bytes(in)
	if len(out) == len(in) && (len(in) == 0 || &out[0] == &in[0]) {
		return text
	}
	return string(out)
}

// Contains reports whether any form occurs in data: whether a binary file,
// which cannot be masked, has to be withheld.
func (m *Masker) Contains(data []byte) bool {
	return m.cleared.Load() || len(m.find(data)) > 0
}

// Clear overwrites the secrets held by the masker. Call it when no stream uses
// the masker any more. What is masked afterwards is withheld altogether: Bytes
// and String return the mask alone, Contains is true, writing and reading fail
// with [ErrCleared].
func (m *Masker) Clear() {
	m.cleared.Store(true)
	clear(m.patterns.text)
	clear(m.patterns.keys)
	m.lazy.once.Do(func() {})
	if m.lazy.automaton != nil {
		clear(m.lazy.label)
		clear(m.lazy.dense)
	}
}

// find returns the bytes of text covered by occurrences of patterns.
func (m *Masker) find(text []byte) spans {
	if m.empty() {
		return nil
	}
	var all spans
	s := search{budget: startCredit}
	for at := 0; at < len(text); {
		block := text[at:min(len(text), at+m.block)]
		s.found = s.found[:0]
		s.earn(len(block))
		hold, ok := m.filter.scan(m.patterns, block, &s)
		if !ok {
			block = text[at:min(len(text), at+max(spell, m.block))]
			s.found, s.budget = s.found[:0], startCredit
			a := m.automaton()
			hold = len(block) - int(a.open[a.run(0, block, 0, &s.found)])
		}
		last := at+len(block) == len(text)
		for _, f := range s.found {
			// What lies within the text held is found again.
			if f.start <= hold || last {
				all.add(at+f.start, at+f.end)
			}
		}
		if last {
			break
		}
		at += hold
	}
	return all
}
