package redact

// before is the three decoded bytes before a place.
func (v *view) before(at int) [3]byte {
	p, n := v.parent, v.edits-1
	out := [3]byte{gapByte, gapByte, gapByte}
	floor := max(v.floor, p.base)
	for i := 0; i < 3; {
		if n >= 0 && n >= v.edits-recentEdits && v.recent[n%recentEdits].end == at {
			e := &v.recent[n%recentEdits]
			for j := int(e.n) - 1; j >= 0 && i < 3; j-- {
				out[i] = e.out[j]
				i++
			}
			at = e.start
			n--
			continue
		}
		if at <= floor {
			break
		}
		at--
		out[i] = p.text[at-p.base]
		i++
	}
	return out
}

// weigh says what an escape in text[start:end] means.
func (v *view) weigh(text []byte, start, end int, e *edit, closed bool) verdict {
	if e.n == 0 {
		return v.weighBreak(text, start, end, closed)
	}
	m, c := v.c.m, e.out[0]
	flags := m.byteFlags[c] &^ plain
	if v.kind == viewQuoted && isValue(text, start, end, c) {
		return none
	}
	adjacent := v.clusters(e)
	if len(m.words) > 0 && !isWordByte(c) && (end == len(text) || m.wordHeads.has(text[end])) {
		return keep
	}
	if flags == 0 {
		return dead
	}
	if flags&inForm != 0 {
		if said := v.weighForm(text, end, e, closed); said != soft {
			return said
		}
	}
	if flags&leading != 0 && v.depth > 0 {
		if said := v.weighLead(text, start, end, c, closed, adjacent); said != soft {
			return said
		}
	}
	switch {
	case c == '\n':
		return v.weighLine(text, start, end, closed)
	case flags&margin != 0 && e.start != v.margin && v.goesOn(text, start):
		return keep
	case v.depth == 0:
		return soft
	}
	return v.weighDigits(text, start, end, c, closed, adjacent)
}

// clusters counts letters and digits that are escaped one behind the other, and
// reports whether another escape stands shortly before e.
func (v *view) clusters(e *edit) bool {
	adjacent := v.edits > 0 && e.start-v.recent[(v.edits-1)%recentEdits].end < 3
	if !adjacent {
		v.cluster = 0
	} else if isAlphanumeric(e.out[0]) {
		v.cluster++
	}
	return adjacent
}

// goesOn reports whether a form or digits may go on behind the margin that an escape
// at text[start] is a part of.
func (v *view) goesOn(text []byte, start int) bool {
	left := v.leftMargin(text, start)
	before := text[min(max(0, v.floor-v.parent.base), left):left]
	return v.begun(before) || v.depth > 0 && (endsInText(before) || text[start+1] == 'r' && endsInPairs(before))
}

// weighDigits keeps an escape that may be one of digits, or between pairs of them.
func (v *view) weighDigits(text []byte, start, end int, c byte, closed, adjacent bool) verdict {
	flags, low := v.c.m.byteFlags[c], v.lastEdit()-v.parent.base
	if isAlphanumeric(c) && v.cluster >= minCluster {
		return keep
	}
	if flags&asDigit != 0 {
		if end+minQuad > len(text) && !closed && allDigits(text[end:]) {
			return wait
		}
		if digitsAround(text, max(0, low), start, end) {
			return keep
		}
	}
	if flags&between == 0 {
		return soft
	}
	near := adjacent && v.cluster > 1
	if end+2 > len(text) && !closed && start > 1 && (near || digitFlags[text[start-1]]&digitFlags[text[start-2]]&isHex != 0) {
		return wait
	}
	if betweenPairs(text, low, start, end, near) {
		return keep
	}
	return soft
}

// isValue reports whether an escape of quoted-printable text is rather a value
// behind a name: such text has letters and digits unchanged.
func isValue(text []byte, start, end int, c byte) bool {
	return isAlphanumeric(c) && (end == len(text) || text[end] != '=') && (start < 3 || text[start-3] != '=')
}

// minCluster is the number of letters and digits, escaped without need, that
// seem to be of an encoder that escapes all.
const minCluster = 3

// weighForm keeps an escape that stands for a byte of a form if the bytes around
// it are of one, too.
func (v *view) weighForm(text []byte, end int, e *edit, closed bool) verdict {
	g := v.c.m.grams
	last := v.before(e.start)
	a, c := last[0], e.out[0]
	if g.starts(a, c) || g.hasThree(last[1], a, c) && (g.starts(last[1], a) || g.has(uint32(last[2])|threeOf(last[1], a, c)<<8)) {
		return keep
	}
	if e.n > 1 {
		if g.starts(e.out[0], e.out[1]) {
			return keep
		}
		return soft
	}
	if end == len(text) {
		if closed {
			return soft
		}
		return wait
	}
	next := text[end]
	if next == triggers[v.kind] {
		var u unit
		switch parseUnit(text, end, &u) {
		case cutUnit:
			if !closed {
				return wait
			}
		case isUnit:
			if u.n > 0 {
				next = u.out[0]
			}
		}
	}
	if g.starts(c, next) {
		return keep
	}
	return soft
}

// weighLead keeps an escape that stands for a byte that may lead another one.
func (v *view) weighLead(text []byte, start, end int, c byte, closed, adjacent bool) verdict {
	lead := true
	switch c {
	case '{':
		lead = start > 0 && text[start-1] == 'u' || adjacent
	case '#':
		lead = start > 0 && text[start-1] == '&' || adjacent
	case '}', ';':
		lead = adjacent || endsInReference(text[:start])
	case '\\', 0:
	default:
		if end+2 > len(text) {
			if closed {
				return soft
			}
			return wait
		}
		lead = v.leads(c, text[end], text[end+1])
	}
	if lead {
		return keep
	}
	return soft
}

// leads reports whether an escape begins with three bytes.
func (v *view) leads(c, first, second byte) bool {
	if unitKind[first]|unitKind[second] != 0 {
		return true
	}
	high, low := hexValue[first], hexValue[second]
	switch c {
	case '%':
		return high|low < 16 || first|0x20 == 'u'
	case '&':
		return first == '#' || isAlphanumeric(first)
	}
	value := high<<4 | low
	return first == '\n' || first == '\r' ||
		high|low < 16 && !isAlphanumeric(value) && v.c.m.byteFlags[value]&(inForm|leading|asDigit) != 0
}

// endsInReference reports whether text ends in the beginning of \u{…} or &…;.
func endsInReference(text []byte) bool {
	for at := len(text) - 1; at >= 0 && at > len(text)-nearLine; at-- {
		switch c := text[at]; {
		case c == '{' || c == '&':
			return true
		case !isAlphanumeric(c) && c != '#':
			return false
		}
	}
	return false
}

// minQuad is the length of the shortest run of digits on one side of an escape
// that is one of them.
const minQuad = 8

func allDigits(text []byte) bool {
	for _, c := range text {
		if digitFlags[c]&isDigit == 0 {
			return false
		}
	}
	return true
}

// lastEdit is where the last escape ends.
func (v *view) lastEdit() int {
	if v.edits == 0 {
		return v.floor
	}
	return v.recent[(v.edits-1)%recentEdits].end
}

// digitsAround reports whether enough digits stand before or behind an escape
// for it to be one of them.
func digitsAround(text []byte, low, start, end int) bool {
	const few = minQuad / 2
	if start < low+few || end+few > len(text) || !allDigits(text[start-few:start]) || !allDigits(text[end:end+few]) {
		return false
	}
	return start >= low+minQuad && allDigits(text[start-minQuad:start]) || end+minQuad <= len(text) && allDigits(text[end:end+minQuad])
}

// betweenPairs reports whether an escape may separate pairs of hexadecimal
// digits, which may be escaped too if an escape is near before it.
func betweenPairs(text []byte, low, start, end int, near bool) bool {
	if start < 3 || end+2 > len(text) {
		return false
	}
	before, after := text[start-2], text[end]
	if near && (unitKind[after] != 0 && unitKind[text[start-3]] != 0 || digitFlags[after]&isHex != 0 && unitKind[before] != 0) {
		return true
	}
	return start-2 >= low && digitFlags[text[start-1]]&digitFlags[before]&isHex != 0 && before >= '2' && (!isAlphanumeric(text[start-3]) || text[start-3]|0x20 == 'x') &&
		(digitFlags[after]&isHex != 0 && after >= '2' || after == '0' && text[end+1]|0x20 == 'x' || after == ' ' || unitKind[after] != 0)
}
