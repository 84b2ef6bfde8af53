package redact

// maxHeld is how much of a stream is held back at most.
const maxHeld = 256 << 10

// afterQuiet is how many small pieces are read behind a quiet one at most.
const afterQuiet = 4

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
	calm     int                     // how many pieces are read in small ones, for views to fall asleep
	windows  [gateBlocks]digitWindow // scratch
}

func newCascade(w *Writer) *cascade {
	c := &cascade{m: w.masker, w: w, reach: w.masker.patterns.longest + minReach, gate: new(gate), credit: workCredit}
	c.start(0)
	return c
}

// margin is how much of a text is kept before all that more text may change.
func (c *cascade) margin() int { return c.reach + 2*maxMargin }

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
	var v *view
	if n := len(c.unused); n > 0 {
		v, c.unused = c.unused[n-1], c.unused[:n-1]
	} else {
		v = &view{c: c}
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
	n := c.quietPiece(p[:min(len(p), workSpan)], at)
	switch {
	case n > 0:
		v.drop()
		if (at+n)/workSpan > at/workSpan {
			c.judge()
		}
		return n
	case c.skipping:
		n = min(len(p), workSpan-at%workSpan)
		c.skip(p[:n])
	case c.m.literal:
		n = min(len(p), workSpan-at%workSpan)
		v.text = append(v.text, p[:n]...)
		c.pass(v.end())
	default:
		n = min(len(p), workSpan-at%workSpan)
		if c.calm > 0 && v.busy() {
			c.calm--
			n = min(n, minQuiet)
		} else if n = quietLength(p[:n]); n >= minQuiet {
			if c.quiet(p[:n], n, -1) {
				c.calm = afterQuiet
				break
			}
			c.calm = 0
		}
		v.text = append(v.text, p[:n]...)
		c.advance(false)
		c.pass(c.hold)
	}
	v.drop()
	if v.end()%workSpan == 0 {
		c.judge()
	}
	return n
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
