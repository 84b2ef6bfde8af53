package redact

import (
	"bytes"
	"hash/maphash"
)

// minContext is how much text around an occurrence has to come from an input
// together with it, so that it is left in a result.
const minContext = 32

// maxSame is how many places of one value in the inputs are compared.
const maxSame = 64

// inputs are the texts that the caller of an execution sent, with the places
// at which something would be masked in them.
type inputs struct {
	texts  [][]byte
	places map[uint64][]place
}

type place struct{ text, start, end int }

// Except returns a masker for what the sender of some texts gets back. It
// leaves an occurrence unchanged where the text around it, at least 32 bytes
// beside the occurrence, stands in one of the texts in the same way: masking
// it would tell the sender which of many guesses is a secret. What stands
// alone is masked.
//
// Strings of texts that are JSON documents are compared decoded, too. The
// result is cleared with m. It keeps the texts, and no copies of them.
func (m *Masker) Except(texts ...[]byte) *Masker {
	results := m.share()
	in := &inputs{places: map[uint64][]place{}}
	add := func(text []byte) {
		for _, f := range m.find(text) {
			key := maphash.Bytes(formSeed, text[f.start:f.end])
			if same := in.places[key]; len(same) < maxSame {
				in.places[key] = append(same, place{len(in.texts), f.start, f.end})
			}
		}
		in.texts = append(in.texts, text)
	}
	for _, text := range texts {
		if len(text) < minContext {
			continue
		}
		add(text)
		if text[0] == '{' || text[0] == '[' || text[0] == '"' {
			eachLeaf(text, func(leaf []byte) {
				if len(leaf) > minContext {
					add(leaf)
				}
			})
		}
	}
	if len(in.places) > 0 {
		results.inputs = in
	}
	return results
}

// covers reports whether text[r.start:r.end] and enough around it stand in an
// input.
func (in *inputs) covers(text []byte, r span) bool {
	found := text[r.start:r.end]
	for _, p := range in.places[maphash.Bytes(formSeed, found)] {
		input := in.texts[p.text]
		if p.end-p.start != len(found) || !bytes.Equal(input[p.start:p.end], found) {
			continue
		}
		around := 0
		for i := 1; i <= minContext && i <= r.start && i <= p.start && text[r.start-i] == input[p.start-i]; i++ {
			around++
		}
		for i := 0; i < minContext && r.end+i < len(text) && p.end+i < len(input) && text[r.end+i] == input[p.end+i]; i++ {
			around++
		}
		if around >= minContext {
			return true
		}
	}
	return false
}

// masked returns those of found that must be masked in text.
func (in *inputs) masked(text []byte, found spans) spans {
	kept := found[:0]
	for _, f := range found {
		if !in.covers(text, f) {
			kept = append(kept, f)
		}
	}
	return kept
}

// exceptions masks a stream except what the inputs cover. It follows another
// writer, which says where secrets are, and stays as far behind it as the context
// of an occurrence is long.
type exceptions struct {
	finder *Writer
	text   []byte // from base on
	base   int    // in the stream
	out    int    // bytes of text that are passed on
	found  spans  // in the stream, ascending
}

func (e *exceptions) write(w *Writer, p []byte) error {
	e.text = append(e.text, p...)
	if _, err := e.finder.Write(p); err != nil {
		return err
	}
	e.pass(w, int(e.finder.base)+e.finder.head-minContext)
	return w.err
}

// pass passes on the text that is decided up to a place in the stream.
func (e *exceptions) pass(w *Writer, decided int) {
	masked := w.masked[:0]
	used := 0
	for _, f := range e.found {
		if f.end >= decided {
			decided = min(decided, f.start)
			break
		}
		used++
		r := span{f.start - e.base, f.end - e.base}
		if w.masker.inputs.covers(e.text, r) {
			continue
		}
		masked = append(append(masked, e.text[e.out:max(r.start, e.out)]...), Mask...)
		e.out = r.end
	}
	if end := min(decided-e.base, len(e.text)); end > e.out {
		masked = append(masked, e.text[e.out:end]...)
		e.out = end
	}
	w.masked = masked
	if len(masked) > 0 {
		w.send(masked)
	}
	e.found = append(e.found[:0], e.found[used:]...)
	if drop := e.out - minContext; drop > len(e.text)/2 {
		e.text = e.text[:copy(e.text, e.text[drop:])]
		e.base += drop
		e.out -= drop
	}
}

func (e *exceptions) close(w *Writer) error {
	length := e.base + len(e.text)
	if err := e.finder.Close(); err != nil {
		return err
	}
	e.pass(w, length+1)
	e.wipe()
	return w.err
}

func (e *exceptions) wipe() {
	clear(e.text[:cap(e.text)])
	e.text, e.found, e.base, e.out = e.text[:0], e.found[:0], 0, 0
	e.finder.wipe()
}
