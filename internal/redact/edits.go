package redact

// An edit says that the text from start to end stands for the bytes out[:n].
type edit struct {
	start, end int
	n          uint8
	out        [4]byte
}

// A verdict says what an escape, or a line end, means.
type verdict int

const (
	none verdict = iota // it is none
	wait                // more text decides
	dead                // nothing goes on across it
	soft                // it is decoded only where something else near it is
	keep                // a form, another escape or digits may go on across it
)

// triggers are the bytes with which what a view decodes begins.
var triggers = [...]byte{viewPercent: '%', viewBackslash: '\\', viewEntity: '&', viewQuoted: '=', viewWide: 0, viewJoin: '\n', viewMarked: '\n', viewSpaced: '\n'}

// read decodes the new text of the parent. Escapes may begin at places, which
// are behind from.
func (v *view) read(places []int, from int, final bool) {
	p := v.parent
	if at := v.pending; at >= 0 {
		v.pending = -1
		for ; at < from && v.pending < 0; at++ {
			if at >= v.next && v.isTrigger(at) {
				v.take(at, final)
			}
		}
	}
	quick := v.kind <= viewQuoted && v.kind != viewEntity && len(v.c.m.words) == 0
	for _, at := range places {
		if v.pending >= 0 {
			break
		}
		if at < v.next || v.passes(at, quick) {
			continue
		}
		v.take(at, final)
	}
	end := p.end()
	if v.pending >= 0 {
		end = v.pending
	}
	if v.kind.isJoin() && !final {
		line := p.text[:end-p.base]
		at := withoutMargin(line)
		for v.kind != viewMarked && at > 0 && at < len(line) && line[at] == '=' && line[at-1] != '?' {
			at++ // only what leaves out marks leaves it out
		}
		end = p.base + at
	}
	v.flush(end)
}

func (v *view) isTrigger(at int) bool {
	text, i := v.parent.text, at-v.parent.base
	c := text[i]
	return c == triggers[v.kind] || v.kind == viewWide && c == escape || v.kind.isJoin() && (c == '\\' || isSeam(text, i))
}

// take reads what begins at a place of the parent.
func (v *view) take(at int, final bool) {
	var e edit
	cost := workJudge
	if v.kind == viewWide {
		cost = workJudgeNUL
	}
	v.c.work += cost
	switch v.judge(at, final, &e) {
	case none:
		v.next = at + 1
	case wait:
		v.c.work -= cost // it counts once, however often more text comes
		v.pending = at
		v.wait(at)
	case dead:
		v.flush(e.start)
		v.sleep()
		v.floor, v.next, v.edits = e.end, max(e.end, at+1), 0
	case soft:
		v.flush(e.start)
		if v.awake {
			v.unit(&e)
		}
		v.remember(&e)
		v.next = max(e.end, at+1)
		if e.n == 1 && v.c.m.byteFlags[e.out[0]]&margin != 0 {
			v.margin = e.end
		}
	case keep:
		v.flush(e.start)
		if !v.awake {
			v.wake(e.start)
		}
		v.unit(&e)
		v.left, v.kept = v.c.reach, e.end
		v.remember(&e)
		v.next = max(e.end, at+1)
	}
}

// flush decodes up to a place before which there is no escape, unless that is
// farther from the last one than any form reaches.
func (v *view) flush(to int) {
	if !v.awake || to <= v.at {
		return
	}
	if to-v.at > v.left {
		v.copy(v.at + v.left)
		v.rest()
		return
	}
	v.left -= to - v.at
	v.copy(to)
}

// remember keeps an escape: later ones look at it.
func (v *view) remember(e *edit) {
	r := &v.recent[v.edits%recentEdits]
	if v.edits >= recentEdits {
		v.floor = max(v.floor, r.end)
	}
	*r = *e
	v.edits++
}

// wake begins to decode the parent before at, as far as a form may reach.
func (v *view) wake(at int) {
	v.c.work += workWake
	from := max(v.floor, at-v.c.reach, v.parent.base)
	if v.resting && v.at < from {
		v.sleep()
	}
	if !v.resting {
		v.at, v.since = from, from
	}
	v.awake, v.resting, v.left = true, false, v.c.reach
	for i := max(0, v.edits-recentEdits); i < v.edits; i++ {
		e := &v.recent[i%recentEdits]
		switch {
		case e.end <= v.at || e.start >= at:
		case e.start < v.at:
			v.at = e.end
			v.since = v.at
		default:
			v.copy(e.start)
			v.unit(e)
		}
	}
	v.copy(at)
}

// wait holds the stream where something begins that more text decides.
func (v *view) wait(at int) {
	if v.kind.isJoin() {
		return // a line that may go on is decoded, and held there
	}
	p := v.parent
	p.holdFrom(at + v.kind.late(p.text, at-p.base))
	if v.kind == viewQuoted && v.c.m.completes(p.text[:at+1-p.base]) {
		return // it belongs to a form
	}
	from := max(p.base, at-v.c.reach)
	left := withoutMargin(p.text[:at-p.base])
	before := p.text[:min(left, withoutMargin(p.text[:v.leftMargin(p.text, at-p.base)]))]
	if open := p.openFrom(before); open == 0 && len(before) > 0 {
		p.holdFrom(from) // what stands before an escape, or a soft line break, may go on behind it
	} else if open < len(before) {
		p.holdFrom(p.base + open)
	}
	if v.awake {
		return
	}
	for _, sibling := range p.kids {
		if sibling != nil && sibling.awake && at > from {
			p.holdFrom(from)
			return
		}
	}
	if n := v.c.begun(p.text[:left]); n > 0 {
		p.holdFrom(p.base + left - n)
	}
	if left < at-p.base {
		if n := v.c.begun(p.text[:at-p.base]); n > 0 {
			p.holdFrom(at - n)
		}
	}
}

// judge reads the escape, or the line end, at a place of the parent.
func (v *view) judge(at int, final bool, e *edit) verdict {
	if v.kind.isJoin() {
		return v.judgeLine(at, final, e)
	}
	text, closed := v.parent.text, final
	base := v.parent.base
	i := at - base
	*e = edit{start: at, end: at + 1}
	if v.kind == viewWide {
		if text[i] == escape {
			return v.judgeColor(text, i, closed, e)
		}
		return judgeNUL(text, i, closed)
	}
	var u unit
	switch parseUnit(text, i, &u) {
	case noUnit:
		return none
	case cutUnit:
		if closed {
			return none
		}
		return wait
	}
	e.end, e.n, e.out = base+u.end, uint8(u.n), u.out
	return v.weigh(text, i, u.end, e, closed)
}

// judgeNUL keeps a NUL that seems to be one of UTF-16 or UTF-32, where more of
// them stand at the same distance.
func judgeNUL(text []byte, i int, closed bool) verdict {
	for _, distance := range [...]int{2, 4} {
		if i >= distance && text[i-distance] == 0 || i+distance < len(text) && text[i+distance] == 0 {
			return keep
		}
	}
	if i+4 >= len(text) && !closed {
		return wait
	}
	return none
}

// escape begins the sequences that set the colors of a terminal.
const escape = 0x1b

// maxColor is the length of the longest sequence: two colors of 24 bits.
const maxColor = 48

// judgeColor keeps a row of sequences that set colors, as in text that a highlighter has
// colored, where a form or an escape may go on across them.
func (v *view) judgeColor(text []byte, i int, closed bool, e *edit) verdict {
	end := i
	for end < len(text) && end < i+maxColor && text[end] == escape {
		next, cut := colorEnd(text, end)
		if cut && !closed {
			return wait
		}
		if next == end {
			break
		}
		end = next
	}
	switch {
	case end == i:
		return none
	case end == len(text) && !closed:
		return wait
	}
	e.end += end - i - 1
	const goesOn = inForm | leading | asDigit
	flags := &v.c.m.byteFlags
	if i > 0 && end < len(text) && flags[text[i-1]]&goesOn != 0 && flags[text[end]]&goesOn != 0 {
		return keep
	}
	return soft
}

// colorEnd is where the sequence at text[at] ends that sets colors, or at if it is
// none. It is cut if text ends within it.
func colorEnd(text []byte, at int) (end int, cut bool) {
	if at+1 == len(text) {
		return at, true
	}
	if text[at+1] != '[' {
		return at, false
	}
	for i := at + 2; i < at+maxColor; i++ {
		switch {
		case i == len(text):
			return at, true
		case text[i] == 'm', text[i] == 'K':
			return i + 1, false
		case (text[i] < '0' || text[i] > '9') && text[i] != ';' && text[i] != ':':
			return at, false
		}
	}
	return at, false
}
