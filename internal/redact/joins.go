package redact

import "bytes"

// minJoined is the length of runs of base64 or hexadecimal digits of which the
// separators between them are skipped.
const minJoined = 16

// maxMargin is how much of the ends of two lines a printer may have added.
const maxMargin = 512

// minLine is the length of the lines that are joined from the first on: no printer breaks
// lines at less, and each join takes work.
const minLine = 4

// nearLine is how far from a line end an escape is near.
const nearLine = 12

// judgeLine reads a line end: the byte at a place of the parent, or \n or \r
// between digits.
func (v *view) judgeLine(at int, final bool, e *edit) verdict {
	text, closed := v.parent.text, final
	base := v.parent.base
	i := at - base
	next := i + 1
	*e = edit{start: at, end: base + next}
	if seamFlags[text[i]]&2 != 0 {
		return v.judgeSeam(text, i, closed, e)
	}
	if besideEmpty(text, i) {
		return dead
	}
	if v.joinsDigits(text, i) {
		return v.joinDigits(e)
	}
	if text[i] == '\\' {
		var said verdict
		if next, said = v.literalLine(text, i, closed); said != keep {
			return said
		}
		e.end = base + next
	}
	left, right := margins(text, i, next, !closed)
	low := max(0, v.floor-base)
	if !closed && endsWord(text[low:max(low, left)]) && mayBeWord(text[right:]) {
		left -= 2
		v.holdLine(text, text[low:left], i, left, right)
		return wait
	}
	left = max(left, low)
	before := text[low:left]
	if len(before) == 0 || before[len(before)-1] == '\n' || right < len(text) && text[right] == '\n' {
		return dead
	}
	if v.kind == viewMarked && v.c.m.completes(before) {
		return dead
	}
	if after := lineOf(text[right:]); !closed && (!showsEscape(before, after) || endsInText(before) && !showsDigits(after)) {
		return v.waitForLine(text, before, i, left, right)
	}
	e.start, e.end = base+left, base+right
	if right == len(text) {
		return dead
	}
	return v.join(text, before, right, e)
}

// besideEmpty reports whether text[i] ends a line before or behind an empty one.
func besideEmpty(text []byte, i int) bool {
	return text[i] == '\n' && (i == 0 || text[i-1] == '\n' || i+1 < len(text) && text[i+1] == '\n')
}

// joinsDigits reports whether digits that stand for text go on behind the line end at
// text[i] without a margin.
func (v *view) joinsDigits(text []byte, i int) bool {
	const n = minJoined
	return text[i] == '\n' && i-n >= v.floor-v.parent.base && i+1+n <= len(text) && allDigits(text[i+1:i+1+n]) && endsInText(text[:i])
}

func (v *view) joinDigits(e *edit) verdict {
	if v.kind == viewMarked {
		return soft
	}
	if v.kind == viewSpaced {
		e.n, e.out[0] = 1, ' '
	}
	return keep
}

// literalLine is where \n or \r between digits at text[i:] ends, and keep if lines
// may be joined there.
func (v *view) literalLine(text []byte, i int, closed bool) (next int, said verdict) {
	left := digitsEnd(text, i)
	switch next = literalEnd(text, i); {
	case !endsInDigits(text[:left]):
		return next, none
	case next == len(text) && !closed:
		v.holdLine(text, text[min(left, max(0, v.floor-v.parent.base)):left], i, left, next)
		return next, wait
	case next == i:
		return next, none
	}
	return next, keep
}

// waitForLine waits for more of the next line, unless nothing goes on from the line that
// ends at text[i].
func (v *view) waitForLine(text, before []byte, i, left, right int) verdict {
	if right < len(text) && !v.joins(i) && !v.parent.opens(before) {
		return dead
	}
	v.holdLine(text, before, i, left, right)
	return wait
}

// joins reports whether lines before text[i] are joined.
func (v *view) joins(i int) bool { return v.kept > 0 && v.kept >= v.parent.base+i-v.c.reach }

// holdLine decodes the line that ends at text[i], and holds the next one as far as
// it has come, if a form may go on in it.
func (v *view) holdLine(text, before []byte, i, left, right int) {
	p, after := v.parent, lineOf(text[right:])
	v.resume = p.base + right
	if len(before) == 0 {
		return
	}
	switch last := before[len(before)-1]; {
	case p.mayGoOn(before):
		if !v.awake && (v.kind != viewMarked || last == '=' || last == '\\') {
			v.wake(p.base + min(left, withoutMargin(text[:i])))
		}
		if v.awake && len(after) > 0 {
			p.holdFrom(v.resume)
		}
	case v.c.m.grams.mayCross(before, after) || hasEscape(after[:min(nearEnd, len(after))]):
		p.holdFrom(v.resume)
	}
}

// join says whether the lines before left and from right on are one.
func (v *view) join(text, before []byte, right int, e *edit) verdict {
	after := lineOf(text[right:])
	if len(before) < minLine && len(after) <= minLine && !v.joins(e.start-v.parent.base) {
		return dead
	}
	last := before[len(before)-1]
	if endsInPair(before) && beginsWithPair(after) {
		e.n, e.out[0] = 1, ' '
	}
	marked := len(before) > 1 && (last == '=' || last == '\\')
	joined := v.joinable(before, after) || marked && v.joinable(before[:len(before)-1], after)
	switch {
	case v.kind == viewMarked && marked && joined:
		e.start--
	case v.kind == viewMarked && joined:
		return soft
	case v.kind == viewSpaced:
		e.n, e.out[0] = 1, ' '
		var spaced [4]byte
		spaced[0] = ' '
		n := copy(spaced[1:], after)
		joined = joined || v.c.m.grams.cross(before, spaced[:1+n])
	}
	if joined {
		return keep
	}
	return dead
}

func hasEscape(text []byte) bool {
	for _, c := range text {
		if unitKind[c] != 0 {
			return true
		}
	}
	return false
}

// lineOf is text without what stands behind its first line, if that is so short that
// more than it would be looked at.
func lineOf(text []byte) []byte {
	if end := bytes.IndexByte(text[:min(len(text), minJoined)], '\n'); end >= 0 {
		return text[:end+1]
	}
	return text
}

// showsEscape reports whether text is long enough to say whether an escape begins
// it, or goes on in it, that matters to the line before.
func showsEscape(before, text []byte) bool {
	return len(text) >= nearLine || len(text) > 0 && text[len(text)-1] == '\n' || len(text) >= nearEnd && !hasEscape(text[:nearEnd]) && !hasEscape(before[max(0, len(before)-nearLine):]) && !endsInPairs(before)
}

// literalEnd is where \n, \r or \r\n at text[i:] end, i if there is none of them,
// or len(text) if more text decides.
func literalEnd(text []byte, i int) int {
	for at := i; ; at += 2 {
		if at+1 >= len(text) {
			return len(text)
		}
		if text[at] != '\\' || text[at+1] != 'n' && text[at+1] != 'r' {
			return at
		}
		if text[at+1] == 'n' {
			return at + 2
		}
	}
}

// onlyMarks reports whether text has nothing but marks of a line that goes on.
func onlyMarks(text []byte) bool {
	for _, c := range text {
		if c != '=' && c != '\\' {
			return false
		}
	}
	return true
}

// tail has lines joined before the end of one that may have come already, as far
// as the content shows.
func (v *view) tail() {
	left := withoutMargin(v.text)
	if left == len(v.text) || !v.allows(viewJoin) {
		return
	}
	before := v.text[:left]
	if onlyMarks(v.text[left:]) && !v.begun(before) && !endsInText(before) || !v.mayGoOn(before) {
		return
	}
	for kind := viewJoin; kind <= viewSpaced; kind++ {
		k := v.kids[kind]
		if !v.allows(kind) || k != nil && (k.awake || k.pending >= 0) || kind == viewMarked && !bytes.ContainsAny(v.text[left:], "=\\") {
			continue
		}
		k = v.kid(kind)
		k.resume = v.end()
		k.next = max(k.next, v.base+left)
		if k.floor < v.base+left {
			k.wake(v.base + left)
		}
	}
}

// joinable reports whether a form may go on from before to after, or a run of
// digits.
func (v *view) joinable(before, after []byte) bool {
	if v.c.m.grams.cross(before, after) {
		return true
	}
	if beginsInDigits(after) && endsInText(before) {
		return true
	}
	if v.depth == 0 {
		return false
	}
	return endsInPairs(before) && len(after) > 0 && (digitFlags[after[0]]&isHex != 0 || byteClasses[min(after[0], 0x7f)]&noPair == 0) ||
		v.c.m.escapeAt(before, after)
}

// escapeAt reports whether an escape that matters stands shortly before or behind
// the end of a line, or goes on there.
func (m *Masker) escapeAt(before, after []byte) bool {
	var joined [2 * nearLine]byte
	end := copy(joined[:nearLine], before[max(0, len(before)-nearLine):])
	text := joined[:end+copy(joined[end:], after)]
	for i := 0; i < min(end+nearEnd, len(text)); i++ {
		c := text[i]
		if unitKind[c] == 0 {
			continue
		}
		var u unit
		switch parseUnit(text, i, &u) {
		case cutUnit:
			if len(text) == len(joined) && c != '=' {
				return true
			}
		case isUnit:
			if m.mattersAt(text, i, end, &u) {
				return true
			}
			i = max(i, u.end-1)
		}
	}
	return false
}

// mattersAt reports whether an escape at text[i] matters to a line that ends at
// text[end].
func (m *Masker) mattersAt(text []byte, i, end int, u *unit) bool {
	near, across := u.end > end-nearEnd, i < end && u.end > end
	if u.n == 0 {
		return u.end > end
	}
	c := u.out[0]
	flags := m.byteFlags[c] &^ plain
	switch {
	case across && flags&^(margin|between) != 0,
		across && flags&between != 0 && endsInTwo(text[:i]),
		unitKind[c]&^quoted != 0:
		return true
	}
	return near && (flags&inForm != 0 || isAlphanumeric(c)) && (text[i] != '=' || !isAlphanumeric(c))
}

// endsInTwo reports whether text ends in two hexadecimal digits.
func endsInTwo(text []byte) bool {
	n := len(text)
	return n > 1 && digitFlags[text[n-1]]&digitFlags[text[n-2]]&isHex != 0
}

// nearEnd is how near to a line end an escape is that matters there.
const nearEnd = 4

// mayBeUnit reports whether an escape may begin at text[p], as far as the two
// bytes behind it tell, or text ends within it.
func mayBeUnit(text []byte, p int) bool {
	if p+2 >= len(text) {
		return true
	}
	a, b := text[p+1], text[p+2]
	switch text[p] {
	case '%':
		return hexValue[a]|hexValue[b] < 16 || a|0x20 == 'u'
	case '&':
		return a == '#' || isAlphanumeric(a)
	case '=':
		return hexValue[a]|hexValue[b] < 16 || a == '\n' || a == '\r' || a == ' ' || a == '\t'
	}
	return true
}

// maxMarks is how many marks of a line that goes on may stand at its end, some of
// which belong to quoted quotes.
const maxMarks = 4

// withoutMargin is the length of text without all that may belong to the end of a
// line.
func withoutMargin(text []byte) int {
	n, marks := len(text), 0
	for low := max(0, n-2*maxMargin); n > low; {
		switch c := text[n-1]; {
		case (c == '\\' || c == '=') && marks < maxMarks:
			marks++
			n--
		case c == '?' && (n == len(text) || text[n] == '='), endFlags[c]&atEnd != 0, c == 0xe2 && n >= len(text)-1:
			n--
		case c >= 0x80 && n >= 3 && isFrame(text[n-3:n]):
			n -= 3
		case n == len(text) && n >= 2 && text[n-2] == 0xe2 && c&^3 == 0x94:
			n -= 2
		default:
			return n
		}
	}
	return n
}
