package redact

import (
	"bytes"
	"math/bits"
)

// quietPiece is quiet for a piece that may have a line end near to its end behind which
// nothing goes on, and a place at which the work is judged. It returns the length of
// what it has read.
func (c *cascade) quietPiece(p []byte, at int) int {
	if c.calm == 0 || c.skipping || c.stream.busy() {
		return 0
	}
	if len(p) > 2*minQuiet && c.stream.opensMargin(p) {
		p = p[:len(p)-blockSpan]
	}
	if len(p) < minQuiet || len(p) > workSpan-at%workSpan && c.credit+c.m.work*workSpan < c.work {
		return 0
	}
	n, known, waiting := quietLength(p), len(p), -1
	if n < len(p) {
		if at, ok := c.linesNear(p, n); ok {
			n, known, waiting = len(p), n, at
		}
	}
	if n < minQuiet || !c.quiet(p[:n], known, waiting) {
		return 0
	}
	c.calm = afterQuiet
	return n
}

// minQuiet is the length of a piece from which it is first looked at where it is.
const minQuiet = 512

// quietLength is how much of p is read at once: without a line end so near to its end
// that more text decides about it.
func quietLength(p []byte) int {
	n := len(p)
	if n < 2*minQuiet {
		return n
	}
	if at := bytes.IndexByte(p[n-quickBehind-1:], '\n'); at >= 0 {
		return n - quickBehind - 1 + at - nearLine
	}
	return n
}

// linesNear looks at the lines that end in p from a place on. It returns where the first
// one ends that waits for more text, or -1. It reports false if that is not easy to tell.
func (c *cascade) linesNear(p []byte, from int) (waiting int, ok bool) {
	for at := from; ; at++ {
		line := bytes.IndexByte(p[at:], '\n')
		if line < 0 {
			return -1, true
		}
		at += line
		if said := c.lineNear(p, at); said != dead {
			return at, said == wait
		}
	}
}

// lineNear judges the line end at p[i], near to the end of p, if no escape stands before
// it: dead if nothing goes on behind it, wait if more text decides and nothing is held,
// none if that is not easy to tell.
func (c *cascade) lineNear(p []byte, i int) verdict {
	m, flags := c.m, &c.m.byteFlags
	left := i
	for left > max(c.reach, i-nearEnd) && flags[p[left-1]]&margin != 0 {
		left--
	}
	if left <= c.reach {
		return none
	}
	last, before, after := p[left-1], p[:left], p[i+1:]
	if flags[last]&margin != 0 || last >= 0x80 || last == '.' || endsInPairs(before) || endsInText(before) {
		return none
	}
	begun := 0
	if m.grams.mayEnd(before) {
		begun = c.begun(before)
	}
	switch {
	case begun == 0:
		return dead
	case begun >= minPiece, len(after) > 0 && (flags[after[0]]&margin != 0 || after[0] >= 0x80 || m.grams.mayCross(before, after)):
		return none
	}
	return wait
}

// decides reports whether p shows that no lines are joined at the line end that waits.
func (v *view) decides(p []byte) bool {
	c, k := v.c, v.kids[viewJoin]
	if k == nil || k.pending < 0 {
		return true
	}
	i, longest := k.pending-v.base, c.m.patterns.longest
	if len(v.text)-i > blockSpan || i < longest+blockSpan {
		return false
	}
	c.joined = append(c.joined[:0], v.text[i-longest-blockSpan:]...)
	end := len(c.joined)
	c.joined = append(c.joined, p[:blockSpan]...)
	text := c.joined
	for i := longest + blockSpan; i < end; i++ {
		if text[i] == '\\' || text[i] == '\n' && !c.m.quickLine(text, i, i+1, c) {
			return false
		}
	}
	return true
}

// quiet reads a piece in which no view decodes anything. It reports false, and
// has read nothing, if that is not easy to tell. The lines that end in p from known on
// are judged: the one that ends at waiting waits for more text, if that is not -1.
func (c *cascade) quiet(p []byte, known, waiting int) bool {
	v, m := c.stream, c.m
	at := v.end()
	if len(m.words) > 0 || m.spaced || !m.grams.long || c.passed < at || v.busy() || len(v.text) < blockSpan || v.runsOn(p) {
		return false
	}
	g, s := c.gate, &v.found
	s.forms = s.forms[:0]
	blocks := len(p) / blockSpan
	if !g.quiet(p, blocks, m) {
		return false
	}
	for _, line := range g.lines[:g.ends] {
		if int(line) < known && !c.quietLine(p, int(line)) {
			return false
		}
	}
	if !v.decides(p) || !v.formRuns(g, p, blocks) {
		return false
	}
	end := len(p)
	if v.opensMargin(p) {
		return false // more text decides
	}
	keep := c.reach + 2*blockSpan // a margin at the end of p is shorter
	if end < keep {
		return false
	}
	if k := v.kids[viewJoin]; k != nil {
		k.pending = -1
	}
	if waiting >= 0 {
		k := v.kid(viewJoin)
		k.pending, k.resume = at+waiting, at+waiting+1
	}
	v.base, v.text = at+end-keep, append(v.text[:0], p[end-keep:]...)
	v.surveyed, v.hold = at+end, at+end
	v.run.start, v.run.spanStart = at+end-trailingRun(p, isDigitByte), at+end-trailingRun(p, isSpanByte)
	c.hold = at + end
	v.holdDigits()
	v.pairsUpTo(at+end, false, false)
	c.passed = c.hold
	if n := c.hold - at; n < end {
		c.w.feed(p[:n])
	} else if m.sparse {
		c.w.feedRuns(p, s.forms)
	} else {
		c.w.feed(p)
	}
	return true
}

// leadingRun is how many bytes of p belong to a run that goes on in it, up to most.
func leadingRun(p []byte, most int, in func(byte) bool) int {
	n := 0
	for n < most && n < len(p) && in(p[n]) {
		n++
	}
	return n
}

// trailingRun is how many bytes at the end of p belong to a run.
func trailingRun(p []byte, in func(byte) bool) int {
	n := 0
	for n < len(p) && in(p[len(p)-1-n]) {
		n++
	}
	return n
}

// quiet lists the lines of p behind which a form may go on, and reports whether there
// is no escape in it.
func (g *gate) quiet(p []byte, blocks int, m *Masker) bool {
	g.next(0)
	g.look(p, blocks, &m.classes)
	if g.special != 0 || threesOf(g.pairs[:], (blocks+7)/8+1) != 0 {
		return false
	}
	for i := blocks * blockSpan; i < len(p); i++ {
		switch c := p[i]; {
		case unitKind[c] != 0 || c == 0:
			return false
		case c == '\n':
			g.lines[g.ends] = uint16(i)
			g.ends++
		}
	}
	g.closeLines(p, m.grams)
	return true
}

// opensMargin reports whether something may go on behind a margin at the end of p.
func (v *view) opensMargin(p []byte) bool {
	if len(p) < blockSpan {
		return true
	}
	n := withoutMargin(p[len(p)-blockSpan:])
	before := p[:len(p)-blockSpan+n]
	return n < blockSpan && (n == 0 || v.begun(before) || endsInPairs(before))
}

// runsOn reports whether a run that may be decoded goes on in p.
func (v *view) runsOn(p []byte) bool {
	r, at := &v.run, v.end()
	return r.open || r.inSpan || at-r.start+leadingRun(p, minJoined, isDigitByte) >= minJoined ||
		at-r.spanStart+leadingRun(p, minSpan, isSpanByte) >= minSpan
}

// busy reports whether a view that decodes this one is not asleep, or waits, unless it is
// for the end of a line.
func (v *view) busy() bool {
	for kind, k := range v.kids {
		if k != nil && (k.awake || k.pending >= 0 && viewKind(kind) != viewJoin) {
			return true
		}
	}
	return false
}

// quietLine reports whether lines are not joined at a line end of a piece.
func (c *cascade) quietLine(p []byte, at int) bool {
	if least := max(c.m.patterns.longest, quickBefore) + nearEnd; at >= least && at+1+quickBehind <= len(p) {
		return c.m.quickLine(p, at, at+1, c)
	}
	text := c.joined[:0]
	if at < blockSpan {
		text = append(text, c.stream.text[max(0, len(c.stream.text)-c.m.patterns.longest-blockSpan):]...)
	}
	i := len(text) + at
	text = append(text, p[:min(len(p), at+blockSpan)]...)
	c.joined = text
	return i >= quickBefore && i+1+quickBehind <= len(text) && c.m.quickLine(text, i, i+1, c)
}

// formRuns lists the runs of a piece in which forms may stand. It reports false
// if some may be decoded.
func (v *view) formRuns(g *gate, p []byte, blocks int) bool {
	s, done := &v.found, 0
	flags := &v.c.m.classes.classes
	for words := threesOf(g.runs[:], (blocks+3)/4+1); words != 0; words &= words - 1 {
		i := bits.TrailingZeros64(words)
		for groups := three(g.runs[:], i); groups != 0; groups &= groups - 1 {
			start := 4 * (64*(i-1) + bits.TrailingZeros64(groups))
			if start < done {
				continue
			}
			end := start + 12
			for start > done && flags[min(p[start-1], 0x7f)]&noRun == 0 {
				start--
			}
			for end < len(p) && flags[min(p[end], 0x7f)]&noRun == 0 {
				end++
			}
			digits := 0
			for _, c := range p[start:end] {
				if digits++; !isDigitByte(c) {
					digits = 0
				} else if digits >= minJoined {
					return false
				}
			}
			s.forms = append(s.forms, span{start, end})
			done = end
		}
	}
	return true
}
