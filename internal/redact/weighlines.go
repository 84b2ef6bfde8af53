package redact

import "bytes"

// weighBreak says what the end of a line that goes on means, as in
// quoted-printable text, or a backslash before a character beyond ASCII.
func (v *view) weighBreak(text []byte, start, end int, closed bool) verdict {
	g := v.c.m.grams
	if v.kind != viewQuoted {
		if start > 0 && end < len(text) && g.bytes.has(text[start-1]) && g.bytes.has(text[end]) {
			return keep
		}
		return soft
	}
	if start > 0 && text[start-1] == '=' {
		return none // such text has no other = unchanged
	}
	low := max(0, v.floor-v.parent.base)
	before := text[min(low, start):start]
	if v.c.m.completes(text[min(low, start) : start+1]) {
		return dead // the mark belongs to a form
	}
	if v.begun(before) {
		return keep
	}
	after := lineOf(text[end:])
	if !closed && (!showsEscape(before, after) || endsInText(before) && !showsDigits(after)) {
		if !v.parent.opens(bytes.TrimRight(before, "=")) {
			return soft
		}
		return wait
	}
	if len(before) > 0 && v.joinable(before, after) {
		return keep
	}
	return soft
}

// weighLine keeps an escaped line end if lines may be joined there.
func (v *view) weighLine(text []byte, start, end int, closed bool) verdict {
	left, right := v.leftMargin(text, start), v.rightMargin(text, end)
	low := max(0, v.floor-v.parent.base)
	if left <= low {
		return soft
	}
	before, after := text[low:left], lineOf(text[right:])
	if v.begun(before) || endsInText(before) {
		return keep
	}
	if !showsEscape(before, after) && !closed {
		if !v.parent.opens(before) {
			return soft
		}
		return wait
	}
	if len(after) == 0 || after[0] == '\n' {
		return soft
	}
	if v.depth > 0 && v.c.m.escapeAt(before, after) {
		return keep
	}
	if v.c.m.grams.cross(before, after) || endsInText(before) && beginsInDigits(after) || endsInPairs(before) && digitFlags[after[0]]&isHex != 0 {
		return keep
	}
	return soft
}

// leftMargin is where the margin before an escaped line end begins. Some bytes of
// the margin may be escaped, like the line end.
func (v *view) leftMargin(text []byte, left int) int {
	base, flags := v.parent.base, &v.c.m.byteFlags
	for n, start := v.edits-1, left; left > 0 && start-left < 6*nearLine; {
		if n < 0 || n < v.edits-recentEdits || v.recent[n%recentEdits].end != base+left {
			if flags[text[left-1]]&margin == 0 {
				break
			}
			left--
			continue
		}
		e := &v.recent[n%recentEdits]
		if e.n == 1 && flags[e.out[0]]&margin == 0 {
			break
		}
		left = e.start - base
		n--
	}
	return left
}

func (v *view) rightMargin(text []byte, right int) int {
	flags := &v.c.m.byteFlags
	for from := right; right < len(text) && right-from < 6*nearLine; {
		if text[right] == triggers[v.kind] {
			var u unit
			if parseUnit(text, right, &u) != isUnit || u.n != 1 || flags[u.out[0]]&margin == 0 {
				break
			}
			right = u.end
			continue
		}
		if flags[text[right]]&margin == 0 {
			break
		}
		right++
	}
	return right
}
