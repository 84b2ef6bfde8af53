package redact

import "encoding/binary"

// quickLetters are the bytes that the most common escapes stand for, by the byte
// behind the backslash.
var quickLetters = [256]byte{'"': '"', '\'': '\'', 't': '\t', '/': '/', 'n': '\n'}

// quickBefore and quickBehind are how much text around an escape decides whether
// it is one of the common ones.
const (
	quickBefore = 32
	quickBehind = 16
)

// passes reads the escape at a place if no form can go on across it, as far as
// that is easy to tell, while the view sleeps. It agrees with judge.
func (v *view) passes(at int, quick bool) bool {
	if v.awake {
		return false
	}
	i, text := at-v.parent.base, v.parent.text
	if v.kind == viewMarked {
		if i > 0 && text[i-1] == '\n' {
			return true
		}
		join := v.parent.kids[viewJoin]
		return (join == nil || join.kept < at-v.c.reach) && !marked(text, i)
	}
	if v.kind == viewJoin && besideEmpty(text, i) {
		return true // nothing goes on across an empty line
	}
	if v.kind == viewJoin && i >= quickBefore && i+quickBehind <= len(text) && text[i] == '\n' {
		return v.c.m.quickLine(text, i, i+1, v.c)
	}
	return quick && i >= quickBefore && i+quickBehind <= len(text) && v.passesEscape(text, at, i)
}

// marked reports whether the line that ends at text[i] has the mark of one that
// goes on, before a quote or not.
func marked(text []byte, i int) bool {
	left := trimRight(text, i)
	if left > 1 && (text[left-1] == '\'' || text[left-1] == '"') {
		left--
	}
	return left > 0 && (text[left-1] == '=' || text[left-1] == '\\')
}

func (v *view) passesEscape(text []byte, at, i int) bool {
	m := v.c.m
	var c byte
	end := 3
	if v.kind == viewBackslash {
		end = 2
		if c = quickLetters[text[i+1]]; c == 0 {
			return false
		}
	} else {
		high, low := hexValue[text[i+1]], hexValue[text[i+2]]
		if c = high<<4 | low; high|low > 15 || isAlphanumeric(c) {
			return false
		}
	}
	e := edit{start: at, end: at + end, n: 1, out: [4]byte{c}}
	flags := m.byteFlags[c] &^ plain
	if flags == 0 {
		v.floor, v.next, v.edits, v.cluster = e.end, e.end, 0, 0
		return true
	}
	low := v.lastEdit() - v.parent.base
	switch {
	case c == '\n':
		if !v.quickLine(text, low, i, i+end) {
			return false
		}
	case flags&(inForm|asDigit|leading) != 0 && !v.quickByte(text, low, i, i+end, c, flags),
		flags&margin != 0 && !v.quickMargin(text, low, i):
		return false
	}
	if flags&between != 0 && (i-low < 3 && v.cluster > 1 || i-2 >= low && digitFlags[text[i-1]]&digitFlags[text[i-2]]&isHex != 0 && text[i-2] >= '2' && (!isAlphanumeric(text[i-3]) || text[i-3]|0x20 == 'x')) {
		return false
	}
	if i-low >= 3 {
		v.cluster = 0
	}
	v.remember(&e)
	v.next = e.end
	return true
}

// quickMargin reports whether no form may end before a margin.
func (v *view) quickMargin(text []byte, low, i int) bool {
	flags := &v.c.m.byteFlags
	end := i
	for end > low && end > i-nearLine && flags[text[end-1]]&margin != 0 {
		end--
	}
	if end == low {
		return v.edits > 0 // the margin goes on from another escape
	}
	return end > i-nearLine && !v.c.m.grams.has(binary.LittleEndian.Uint32(text[end-4:])) && !endsInDigits(text[:end])
}

// quickByte reports whether a byte that may be one of a form, digits or another
// escape is none.
func (v *view) quickByte(text []byte, low, i, end int, c byte, flags uint8) bool {
	g := v.c.m.grams
	if i-low < 3 {
		return false
	}
	if flags&inForm != 0 {
		b, a := text[i-2], text[i-1]
		if text[end] == triggers[v.kind] || g.starts(a, c) || g.starts(c, text[end]) ||
			g.hasThree(b, a, c) && (g.starts(b, a) || g.has(threeOf(text[i-3], b, a)|uint32(c)<<24)) {
			return false
		}
	}
	if flags&asDigit != 0 && allDigits(text[i-minQuad/2:i]) && allDigits(text[end:end+minQuad/2]) {
		return false
	}
	return flags&leading == 0 || !mayLead(text, i, end, c)
}

// mayLead reports whether an escape in text[i:end] may stand for a byte of another
// one.
func mayLead(text []byte, i, end int, c byte) bool {
	a, b := text[end], text[end+1]
	switch c {
	case '{', '#':
		return text[i-1] == 'u' || text[i-1] == '&'
	case '}', ';':
		return endsInReference(text[:i])
	case '=':
		return unitKind[a]|unitKind[b] != 0 || hexValue[a]|hexValue[b] < 16 && !isAlphanumeric(hexValue[a]<<4|hexValue[b]) || a == '\n' || a == '\r'
	case '&':
		return unitKind[a]|unitKind[b] != 0 || a == '#' || isAlphanumeric(a)
	}
	return true
}

// quickLine reports whether no lines are joined at an escaped line end.
func (v *view) quickLine(text []byte, low, i, end int) bool {
	flags := &v.c.m.byteFlags
	if i == low && v.edits > 0 {
		last := &v.recent[(v.edits-1)%recentEdits]
		return last.n > 0 && flags[last.out[0]]&(inForm|asDigit|margin) == 0 && unitKind[last.out[0]] == 0
	}
	return i >= low+nearLine+nearEnd && v.c.m.quickLine(text, i, end, v.c)
}

// quickLine reports whether no lines are joined at a line end in text[i:end], of
// which enough text is on both sides.
func (m *Masker) quickLine(text []byte, i, end int, c *cascade) bool {
	flags := &m.byteFlags
	left := i
	for left > i-nearEnd && flags[text[left-1]]&margin != 0 {
		left--
	}
	if !m.grams.long || m.spaced || (flags[text[left-1]]|flags[text[end]])&margin != 0 || text[left-1] >= 0x80 || text[end] >= 0x80 ||
		byteClasses[min(text[left-1], 0x7f)]&noPair == 0 && endsInPairs(text[:left]) || endsInText(text[:left]) {
		return false
	}
	if m.grams.crosses(uint64(binary.LittleEndian.Uint32(text[left-4:]))|uint64(binary.LittleEndian.Uint32(text[end:]))<<32) ||
		m.grams.has(binary.LittleEndian.Uint32(text[left-4:])) && c.begun(text[:left]) >= minPiece {
		return false
	}
	return !hasEscape(text[left-nearLine:left]) && !hasEscape(text[end:end+nearLine]) || !m.escapeAt(text[:left], text[end:])
}
