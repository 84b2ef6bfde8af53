package redact

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// Mask stands for every run of masked bytes, of any length: the number
// and length of secrets in a row are not shown.
const Mask = "[redacted]"

// Withheld stands for a part of a stream that would have been too costly to
// search: it holds escapes in escapes of many kinds, as no program writes them.
const Withheld = "[withheld: too many nested escapes to search for secrets]"

// MinLength is the length in bytes from which a value is searched for. Masking
// shorter ones would leave no text readable and make their bytes guessable by
// the gaps. Whoever stores or injects one should warn about it.
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
	patterns  *patterns
	filter    *filter // nil without patterns
	grams     *grams
	spaced    bool       // a pattern has a space that may stand for a line end
	byteFlags [256]uint8 // what an escape of a byte means
	classes   classTable // what a gate looks for
	ascii     bool       // all patterns are printable ASCII
	sparse    bool       // and stand in runs only
	work      int        // bytes that may be decoded for each byte of a text
	block     int        // size of a block: several times the longest pattern
	words     [][]byte   // values that are masked only as separate words

	wordHeads byteSet // first bytes of words
	inputs    *inputs // what the receiver of results has sent; nil for logs
	cleared   *atomic.Bool
	finders   sync.Pool
	literal   bool // for tests: search for the patterns themselves only

	lazy *lazyAutomaton
}

type lazyAutomaton struct {
	once sync.Once
	*automaton
}

// New returns a masker for all forms of secrets. With none, or none of at
// least [MinLength] bytes, it masks nothing.
func New(secrets []Secret) *Masker {
	set := formSet{ends: make([]uint32, 0, 16*len(secrets))}
	m := &Masker{cleared: new(atomic.Bool), lazy: new(lazyAutomaton)}
	for _, secret := range secrets {
		switch {
		case secret.Word:
			if len(secret.Value) > 0 {
				m.words = append(m.words, bytes.Clone(secret.Value))
				m.wordHeads.add(secret.Value[0])
			}
		default:
			set.addSecret(secret.Value)
		}
	}
	m.patterns = sortPatterns(&set)
	clear(set.arena[:cap(set.arena)])
	clear(set.scratch[:cap(set.scratch)])
	if m.patterns.len() == 0 && len(m.words) > 0 {
		// The views need patterns. This one is no text.
		set = formSet{}
		set.add(bytes.Repeat([]byte{0xff}, 48))
		m.patterns = sortPatterns(&set)
	}
	if m.patterns.len() > 0 {
		m.filter = newFilter(m.patterns)
		m.grams = newGrams(m.patterns)
		m.spaced = set.spaced
		m.byteFlags = newByteFlags(m.grams)
		if m.work = perWork; !m.grams.bytes.areGraphic() {
			m.work *= 40 // more escapes stand for bytes of forms, and more lines are joined
		}
		m.ascii = m.grams.bytes.areGraphicOrSpace()
		m.sparse = m.patterns.shortest >= minJoined && m.grams.bytes.areGraphic()
		m.classes = newClassTable(func(c byte) bool { return m.sparse && m.grams.bytes.has(c) })
	}
	m.block = max(blockSize, 4*m.patterns.longest)
	return m
}

// share returns a masker of the same secrets.
func (m *Masker) share() *Masker {
	return &Masker{
		patterns: m.patterns, filter: m.filter, grams: m.grams, spaced: m.spaced, byteFlags: m.byteFlags, classes: m.classes, ascii: m.ascii, sparse: m.sparse, work: m.work, block: m.block,
		words: m.words, wordHeads: m.wordHeads, cleared: m.cleared, literal: m.literal, lazy: m.lazy,
	}
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
// the masker any more. Text masked afterwards is withheld altogether: Bytes
// and String return the mask alone, Contains is true, writing and reading fail
// with [ErrCleared].
func (m *Masker) Clear() {
	m.cleared.Store(true)
	m.wipe()
}

func (m *Masker) wipe() {
	clear(m.patterns.text)
	clear(m.patterns.keys)
	for _, word := range m.words {
		clear(word)
	}
	m.lazy.once.Do(func() {})
	if m.lazy.automaton != nil {
		clear(m.lazy.label)
		clear(m.lazy.dense)
	}
}

// find returns the bytes of text that are masked.
func (m *Masker) find(text []byte) spans {
	found := m.findAll(text)
	if m.inputs != nil {
		found = m.inputs.masked(text, found)
	}
	return found
}

// findAll is find without regard to the inputs.
func (m *Masker) findAll(text []byte) spans {
	if m.empty() {
		return nil
	}
	if m.literal {
		var all spans
		m.scan(text, false, &all)
		return all
	}
	return m.findInStream(text)
}

// findInStream is find for a text of any length.
func (m *Masker) findInStream(text []byte) spans {
	var all spans
	w := m.finder()
	w.listener = func(s span) { all.add(s.start, s.end) }
	// Nothing fails but a masker that is cleared meanwhile.
	_, err := w.Write(text)
	if err == nil {
		err = w.Close()
	}
	w.listener = nil
	m.finders.Put(w)
	if err != nil {
		return spans{{0, len(text)}}
	}
	return all
}

// finder returns a writer that only finds.
func (m *Masker) finder() *Writer {
	if w, ok := m.finders.Get().(*Writer); ok {
		return w
	}
	w := &Writer{masker: m, out: io.Discard, search: search{budget: startCredit}}
	w.ahead = newCascade(w)
	return w
}

// scan adds the occurrences of patterns in text to found, and returns where
// the longest suffix begins that is a proper prefix of a pattern.
func (m *Masker) scan(text []byte, open bool, found *spans) (hold int) {
	s := search{budget: startCredit, closed: !open && len(text) <= m.block}
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
				found.add(at+f.start, at+f.end)
			}
		}
		at += hold
		if last {
			return at
		}
	}
	return len(text)
}
