package redact

import "slices"

// maxSeam is how long separators between two runs of digits in one line are: quotes,
// commas and spaces, as in a list of pieces.
const maxSeam = 8

// seamFlags has 1 for the separators, and 2 for those that begin a seam.
var seamFlags = func() (flags [256]uint8) {
	for _, c := range []byte(`"', `) {
		flags[c] = 3
	}
	flags['\\'] = 1
	return flags
}()

// seamAt lists a separator behind a run of digits that ends at text[end].
func (v *view) seamAt(start, end int) {
	if end-start >= minJoined && end < len(v.text) && isSeam(v.text, end) {
		v.found.add(viewJoin, v.base+end)
		v.found.seams++
	}
}

// sortSeams sorts the places from the given one on, if seams are among them.
func (s *survey) sortSeams(from int) {
	if s.seams > 0 {
		slices.Sort(s.places[viewJoin][from:])
		s.seams = 0
	}
}

// isSeam reports whether text[i] begins separators behind a run of digits that stand for
// text.
func isSeam(text []byte, i int) bool {
	return seamFlags[text[i]]&2 != 0 && endsInText(text[:i])
}

// seamEnd is where the separators at text[i:] end. A backslash is one before a quote, and
// at the end of text.
func seamEnd(text []byte, i int) int {
	end := min(len(text), i+maxSeam)
	for next := i; next < end; next++ {
		c := text[next]
		if seamFlags[c] == 0 || c == '\\' && next+1 < len(text) && text[next+1] != '"' && text[next+1] != '\'' {
			return next
		}
	}
	return end
}

// judgeSeam reads the separators at text[i], behind a run of digits that stand for text.
func (v *view) judgeSeam(text []byte, i int, closed bool, e *edit) verdict {
	next := seamEnd(text, i)
	if next == len(text) && !closed {
		v.holdLine(text, text[max(0, v.floor-v.parent.base):i], i, i, next)
		return wait
	}
	after := text[next:min(len(text), next+minJoined)]
	switch {
	case len(after) > 0 && !isDigitByte(after[0]), len(after) == 0:
		return none
	case len(after) < minJoined && !closed && allDigits(after):
		v.holdLine(text, text[max(0, v.floor-v.parent.base):i], i, i, next)
		return wait
	case leadingDigits(after) < min(minJoined, len(after)) && leadingDigits(after) < 4:
		return none
	}
	e.end = v.parent.base + next
	return v.joinDigits(e)
}
