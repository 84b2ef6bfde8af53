package redact

// feedRuns is feed for a text outside of whose runs no pattern stands.
func (w *Writer) feedRuns(p []byte, runs []span) {
	m := w.masker
	if first := len(w.held); first > 0 && w.reading == 0 {
		// The text held back ends with the first byte that is in no pattern.
		n := 0
		for n < len(p) && m.grams.bytes.has(p[n]) {
			n++
		}
		switch {
		case n == len(p) || n > joinSize:
			w.feed(p)
			return
		case first+n < m.patterns.shortest:
			w.letGo()
		default:
			w.feed(p[:n+1])
			w.scanRuns(p[n+1:], runs, n+1)
			return
		}
	}
	w.scanRuns(p, runs, 0)
}

// letGo passes on the held text: no pattern begins with it.
func (w *Writer) letGo() {
	w.findAgain()
	w.release(w.held, len(w.held))
	w.base += int64(len(w.held))
	w.held, w.covered, w.found, w.passed = w.held[:0], 0, w.found[:0], 0
}

// scanRuns searches runs of a text of which p is the rest behind done.
func (w *Writer) scanRuns(p []byte, runs []span, done int) {
	m := w.masker
	if len(w.held) > 0 || w.reading > 0 || len(runs) > len(p)/minSparse {
		w.feed(p)
		return
	}
	all := w.runs[:0]
	hold := len(p)
	w.earn(len(p))
	for _, r := range runs {
		start, end := max(r.start-done, 0), min(r.end-done, len(p))
		if end-start < m.patterns.shortest && end < len(p) {
			continue
		}
		w.found = w.found[:0]
		held, ok := m.filter.scan(m.patterns, p[start:end], &w.search)
		if !ok {
			w.found = w.found[:0]
			w.feed(p)
			return
		}
		for _, f := range w.found {
			all = append(all, span{start + f.start, start + f.end})
		}
		if end == len(p) {
			hold = start + held
		}
	}
	if hold == len(p) {
		w.hold = len(p)
		hold = m.filter.end(m.patterns, p, &w.search)
	}
	w.runs, w.found, w.passed = all, append(w.found[:0], all...), 0
	w.release(p, hold)
	w.covered = 0
	if w.passed < len(w.found) && w.found[w.passed].start <= hold {
		w.covered = w.found[w.passed].end - hold
	}
	w.found, w.passed = w.found[:0], 0
	w.base += int64(hold)
	w.held = append(w.held, p[hold:]...)
}

// minSparse is how much text there is for each run at least, for runs to be
// searched one by one.
const minSparse = 200
