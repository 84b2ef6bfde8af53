package redact

import (
	"io"
)

// Writer masks a stream on its way to another writer. Make one per stream with
// [Masker.Writer]; it must not be used by several goroutines at once.
//
// Bytes that no pattern may still claim are passed on before Write returns.
// The longest suffix that is the beginning of a pattern is held back until
// more bytes decide it, and never for longer: a prompt or a progress dot shows
// at once.
type Writer struct {
	masker *Masker
	out    io.Writer
	err    error

	// held[head:] is the text held back. While the automaton reads, the
	// spans found refer to positions of held, and those before found[passed]
	// are passed on; between steps of the filter, head is 0 and all that is
	// known of held is that its first covered bytes are masked already.
	search
	held    []byte
	head    int
	passed  int
	covered int
	inMask  bool   // the byte before the text not passed on yet was masked
	masked  []byte // scratch for text with masks in it

	// ahead is nil where there is nothing to search for. What it has found and
	// is not passed on yet is claimed; base is where in the stream held begins.
	ahead      *cascade
	claimed    []claim
	withheld   []claim // those that were not searched
	merged     spans
	runs       spans // found in runs
	base       int64
	listener   func(span) // learns of each range that is masked
	exceptions *exceptions

	reading int    // bytes the automaton is still to read, 0 for the filter
	spell   int    // how many it was given last
	state   uint32 // of the automaton after the last byte of held
}

// Writer returns a writer that masks the text written to it and passes it on to
// w.
func (m *Masker) Writer(w io.Writer) *Writer {
	writer := &Writer{masker: m, out: w, search: search{budget: startCredit}}
	if !m.empty() {
		writer.ahead = newCascade(writer)
	}
	if m.inputs != nil {
		e := &exceptions{finder: m.finder()}
		e.finder.listener = func(s span) { e.found.add(s.start, s.end) }
		writer.exceptions = e
	}
	return writer
}

// Reset discards the text held back and any error, and starts a new stream to
// out. It keeps the buffers, so a Writer can serve many streams in turn.
func (w *Writer) Reset(out io.Writer) {
	w.wipe()
	w.out, w.err = out, nil
}

// wipe forgets the text held back.
func (w *Writer) wipe() {
	clear(w.held[:cap(w.held)])
	clear(w.masked[:cap(w.masked)])
	w.held, w.head, w.covered, w.inMask = w.held[:0], 0, 0, false
	w.search = search{found: w.found[:0], budget: startCredit}
	w.passed, w.reading, w.spell, w.state = 0, 0, 0, 0
	w.claimed, w.withheld, w.base = w.claimed[:0], w.withheld[:0], 0
	if w.ahead != nil {
		w.ahead.wipe()
	}
	if w.exceptions != nil {
		w.exceptions.wipe()
	}
}

// Write masks p and passes it on, except a suffix that may be the beginning
// of a secret. It neither changes nor keeps p. An error of the underlying
// writer ends the stream: all further calls return it.
func (w *Writer) Write(p []byte) (int, error) {
	if err := w.check(); err != nil {
		return 0, err
	}
	if w.masker.empty() {
		return w.out.Write(p)
	}
	length := len(p)
	if w.exceptions != nil {
		w.err = w.exceptions.write(w, p)
	} else {
		for len(p) > 0 && w.err == nil {
			p = p[w.ahead.write(p):]
		}
	}
	if w.err != nil {
		return 0, w.err
	}
	return length, nil
}

// feed searches p for the patterns themselves and passes on the text that is decided.
func (w *Writer) feed(p []byte) {
	for len(p) > 0 && w.err == nil {
		if w.reading == 0 {
			p = w.stepFilter(p)
		} else {
			p = w.stepAutomaton(p)
		}
	}
}

func (w *Writer) check() error {
	if w.err == nil && w.masker.cleared.Load() {
		w.wipe()
		w.err = ErrCleared
	}
	return w.err
}

// Flush flushes the underlying writer if it has a Flush method. It does not
// release bytes held back: they may be the first half of a secret.
func (w *Writer) Flush() error {
	if err := w.check(); err != nil {
		return err
	}
	switch out := w.out.(type) {
	case interface{ Flush() error }:
		w.err = out.Flush()
	case interface{ Flush() }:
		out.Flush()
	}
	return w.err
}

// Close ends the stream: text held back has not become a secret and is
// passed on. It does not close the underlying writer. After Close the Writer
// is ready for a new stream to the same writer.
func (w *Writer) Close() error {
	if err := w.check(); err != nil {
		return err
	}
	if w.exceptions != nil {
		w.err = w.exceptions.close(w)
		return w.err
	}
	if w.ahead != nil {
		w.ahead.finish()
	}
	if w.reading == 0 && len(w.held) > 0 {
		w.searchHeld()
	}
	w.release(w.held, len(w.held))
	w.wipe()
	return w.err
}

// shortHeld is how much held text is compared with the patterns at each of its bytes. An
// automaton, which few streams need, would take longer to build.
const shortHeld = 256

// searchHeld finds what occurs in the held text at the end of a stream, at any cost.
func (w *Writer) searchHeld() {
	if len(w.held) > shortHeld {
		w.startAutomaton()
		return
	}
	w.findAgain()
	w.masker.patterns.occurrences(w.held, &w.found)
}

// findAgain forgets all ranges found, except the part of the held text that is masked.
func (w *Writer) findAgain() {
	w.found, w.passed = w.found[:0], 0
	if w.covered > 0 {
		w.found.add(0, w.covered)
	}
}

// joinSize is how much of a write is copied behind the text held back, so that
// short writes are searched in one piece.
const joinSize = 1 << 10

// stepFilter searches the next block of p by the filter, passes on the
// decided text and returns the rest of p. It works on p itself; only behind held
// text it searches a copy, up to where p alone decides.
func (w *Writer) stepFilter(p []byte) []byte {
	m, before := w.masker, len(w.held)
	text := p[:min(len(p), m.block)]
	if before > 0 {
		w.held = append(w.held, p[:min(len(p), max(joinSize, m.patterns.longest))]...)
		text = w.held
	}
	w.findAgain()
	w.earn(len(text) - before)
	w.budget -= before
	hold, ok := m.filter.scan(m.patterns, text, &w.search)
	if !ok {
		w.held = w.held[:before]
		w.startAutomaton()
		return p
	}
	w.passed = 0
	w.release(text, hold)
	w.covered = 0
	if w.passed < len(w.found) && w.found[w.passed].start <= hold {
		w.covered = w.found[w.passed].end - hold
	}
	w.found, w.passed = w.found[:0], 0
	w.base += int64(hold)
	if len(text)-before < len(p) {
		// The join is longer than any pattern, so hold is behind before.
		w.held = w.held[:0]
		return p[hold-before:]
	}
	if before > 0 {
		w.held = w.held[:copy(w.held, w.held[hold:])]
	} else {
		w.held = append(w.held, text[hold:]...)
	}
	return nil
}

// startAutomaton hands the stream to the automaton: for longer each time, if
// the filter fails again at once.
func (w *Writer) startAutomaton() {
	w.spell = max(spell, min(2*w.spell, maxSpell))
	w.reading = w.spell
	w.findAgain()
	w.state = w.masker.automaton().run(0, w.held, 0, &w.found)
}

// stopAutomaton gives the stream back to the filter.
func (w *Writer) stopAutomaton() {
	w.compact()
	w.covered = 0
	for _, f := range w.found {
		if f.start <= 0 {
			w.covered = max(w.covered, f.end)
		}
	}
	w.reading, w.budget = 0, startCredit
}

// stepAutomaton reads the next block of p by the automaton, passes on the
// decided text and returns the rest of p.
func (w *Writer) stepAutomaton(p []byte) []byte {
	a := w.masker.automaton()
	block := p[:min(len(p), w.masker.block, w.reading)]
	base := len(w.held)
	w.held = append(w.held, block...)
	w.state = a.run(w.state, block, base, &w.found)
	decided := len(w.held) - int(a.open[w.state])
	w.release(w.held, decided)
	w.head = decided
	if w.head > len(w.held)/2 {
		w.compact()
	}
	if w.reading -= len(block); w.reading == 0 {
		w.stopAutomaton()
	}
	return p[len(block):]
}

// compact moves the text held back to the front of its buffer. It is called
// when at least as much can be dropped as has to be moved.
func (w *Writer) compact() {
	rest := copy(w.held, w.held[w.head:])
	clear(w.held[rest:])
	w.held = w.held[:rest]
	kept := w.found[:0]
	for _, f := range w.found[min(max(0, w.passed-1), len(w.found)):] {
		kept = append(kept, span{f.start - w.head, f.end - w.head})
	}
	w.base += int64(w.head)
	w.found, w.passed, w.head = kept, 0, 0
}

// release passes on text[head:decided] with the bytes in found masked. A mask
// is written with the first byte of its run, so a run that touches or crosses
// decided is continued by the next call without another one.
func (w *Writer) release(text []byte, decided int) {
	at, masked := w.head, w.masked[:0]
	// A range found later may have merged with the last one passed on.
	w.passed = max(0, w.passed-1)
	found := w.found[w.passed:]
	for w.passed < len(w.found) && w.found[w.passed].start <= decided && w.found[w.passed].end <= decided {
		w.passed++
	}
	if len(w.claimed) > 0 {
		found = w.merge(found, decided)
	}
	for _, f := range found {
		if f.start > decided {
			break
		}
		if f.end <= at {
			continue
		}
		if w.listener != nil {
			w.listener(span{int(w.base) + f.start, int(w.base) + f.end})
		}
		if f.start > at || !w.inMask {
			masked = append(masked, text[at:max(at, f.start)]...)
			masked = append(masked, w.maskAt(f)...)
			w.inMask = true
		}
		at = min(f.end, decided)
	}
	if len(masked) == 0 {
		if at < decided {
			w.inMask = false
			w.send(text[at:decided])
		}
		return
	}
	if at < decided {
		w.inMask = false
		masked = append(masked, text[at:decided]...)
	}
	w.masked = masked
	w.send(masked)
}

func (w *Writer) send(text []byte) {
	if w.err != nil {
		return
	}
	n, err := w.out.Write(text)
	if err == nil && n < len(text) {
		err = io.ErrShortWrite
	}
	w.err = err
}
