package redact

import (
	"bytes"
	"math/bits"
)

// maxHeld is how much of a stream is held back at most.
const maxHeld = 256 << 10

// A stream may have perWork bytes decoded for each byte of it, on the average,
// and workCredit bytes more. What needs more is withheld. That is decided at
// places workSpan bytes apart, wherever the stream is cut.
const (
	perWork      = 10
	workJudge    = 16 // what it costs to judge an escape or a line end
	workJudgeNUL = 2  // what it costs to judge a NUL
	workCredit   = 1 << 20
	workSpan     = 4 << 10
	workWake     = 64 // what it costs to begin to decode, beside the text
)

// minReach is how far around an escape the rest of what it belongs to is
// looked for, which may be encoded in other ways.
const minReach = 256

// A cascade searches a stream in its decoded views, ahead of the search for
// the forms themselves: it holds back what the views may still claim, and says
// which ranges they have found.
type cascade struct {
	m        *Masker
	w        *Writer
	stream   *view
	passed   int // how much is passed on to the search for forms
	reach    int // how far from an escape its surroundings are decoded
	hold     int // where something begins that more text may complete
	work     int // bytes decoded since the last span
	credit   int
	spans    spans   // scratch
	unused   []*view // of earlier streams
	gate     *gate
	joined   []byte                  // scratch
	skipping bool                    // the stream is withheld
	windows  [gateBlocks]digitWindow // scratch
}

func newCascade(w *Writer) *cascade {
	c := &cascade{m: w.masker, w: w, reach: w.masker.patterns.longest + minReach, gate: new(gate), credit: workCredit}
	c.start(0)
	return c
}

// mark has a range of the stream masked.
func (c *cascade) mark(r span) { c.w.claim(int64(r.start), int64(r.end)) }

// pass passes the stream on up to a place.
func (c *cascade) pass(to int) {
	if to > c.passed {
		base := c.stream.base
		c.w.feed(c.stream.text[c.passed-base : to-base])
		c.passed = to
	}
}

// start begins to read a stream at a place.
func (c *cascade) start(at int) {
	c.stream = c.newView(viewStream)
	v := c.stream
	v.base, v.surveyed, v.word, v.run.start, v.run.spanStart = at, at, at, at, at
	c.hold, c.passed = at, at
}

func (c *cascade) newView(kind viewKind) *view {
	v := &view{c: c}
	if n := len(c.unused); n > 0 {
		v, c.unused = c.unused[n-1], c.unused[:n-1]
	}
	v.kind, v.depth = kind, maxDepth
	v.pending = -1
	return v
}

// stop wipes a view and all that decode it.
func (c *cascade) stop(v *view) {
	for _, k := range v.kids {
		if k != nil {
			c.stop(k)
		}
	}
	text, steps, found := v.text, v.steps, v.found
	clear(text[:cap(text)])
	*v = view{c: c, text: text[:0], steps: steps[:0], found: found}
	c.unused = append(c.unused, v)
}

// wipe forgets the stream.
func (c *cascade) wipe() {
	c.stop(c.stream)
	c.work, c.credit, c.skipping = 0, workCredit, false
	c.start(0)
}

// write reads the next piece of the stream, up to the next place at which the
// work is judged, and returns its length.
func (c *cascade) write(p []byte) int {
	v := c.stream
	at := v.end()
	n := quietLength(p[:min(len(p), workSpan-at%workSpan)])
	switch p = p[:n]; {
	case c.skipping:
		c.skip(p)
	case c.m.literal:
		v.text = append(v.text, p...)
		c.pass(v.end())
	case n >= minQuiet && c.quiet(p):
	default:
		v.text = append(v.text, p...)
		c.advance(false)
		c.pass(c.hold)
	}
	v.drop()
	if v.end()%workSpan == 0 {
		c.judge()
	}
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

// quiet reads a piece in which no view decodes anything. It reports false, and
// has read nothing, if that is not easy to tell.
func (c *cascade) quiet(p []byte) bool {
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
		if !c.quietLine(p, int(line)) {
			return false
		}
	}
	if !v.formRuns(g, p, blocks) {
		return false
	}
	end := len(p)
	left := withoutMargin(p[end-blockSpan:]) + end - blockSpan
	if left < end && (m.grams.endsIn(p[:left]) || endsInPairs(p[:left])) {
		return false // more text decides
	}
	keep := c.reach + 2*maxMargin
	if end < keep {
		return false
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

// runsOn reports whether a run that may be decoded goes on in p.
func (v *view) runsOn(p []byte) bool {
	r, at := &v.run, v.end()
	return r.open || r.inSpan || at-r.start+leadingRun(p, minJoined, isDigitByte) >= minJoined ||
		at-r.spanStart+leadingRun(p, minSpan, isSpanByte) >= minSpan
}

// busy reports whether a view that decodes this one is not asleep.
func (v *view) busy() bool {
	for _, k := range v.kids {
		if k != nil && (k.awake || k.pending >= 0) {
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

// advance searches the new text.
func (c *cascade) advance(final bool) {
	v := c.stream
	c.hold = v.end()
	v.hold = v.end()
	if len(c.m.words) > 0 {
		v.words(final)
	}
	v.advance(final)
}

// finish decides about the text that is still held at the end of the stream.
func (c *cascade) finish() {
	if !c.m.literal && !c.skipping {
		c.advance(true)
	}
	c.pass(c.stream.end())
}

// judge withholds the stream if it took too much work, or holds too much, until
// it has earned enough for more.
func (c *cascade) judge() {
	c.credit = min(workCredit, c.credit+c.m.work*workSpan-c.work)
	c.work = 0
	end := c.stream.end()
	switch {
	case c.skipping:
		if c.credit >= workCredit/2 {
			c.skipping = false
			c.start(end)
		}
	case c.credit < 0 || end-c.hold > maxHeld:
		c.w.withhold(int64(min(c.hold, end-1)), int64(end))
		c.pass(end)
		c.stop(c.stream)
		c.start(end)
		c.skipping = c.credit < 0
	}
}

// skip withholds a piece that is not searched in views.
func (c *cascade) skip(p []byte) {
	v := c.stream
	at := v.end()
	c.w.withhold(int64(at), int64(at+len(p)))
	c.w.feed(p)
	v.base = at + len(p)
	c.hold, c.passed = v.base, v.base
}
