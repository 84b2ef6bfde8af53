package redact

import (
	"math/bits"
	"slices"
)

// A survey lists where in new text views may decode something.
type survey struct {
	places      [viewJoin + 1][]int // where escapes and lines may be, by the kind of the view
	forms       []span              // runs in which forms may stand
	runs, spans []span              // runs of digits, and of pairs with separators between them
	seams       int                 // how many places are separators between digits
}

// look surveys the new content and has all views read it that decode
// something in it.
func (v *view) look(final bool) {
	from := v.surveyed
	for i := range v.found.places {
		v.found.places[i] = v.found.places[i][:0]
	}
	v.found.runs, v.found.spans = v.found.runs[:0], v.found.spans[:0]
	v.list()
	for kind := viewPercent; kind <= viewSpaced; kind++ {
		places := v.found.places[min(kind, viewJoin)]
		if k := v.reads(kind, places, from); k != nil {
			k.read(places, from, final)
		}
	}
	if v.depth > 0 {
		v.readRuns(final)
	}
	if !final {
		v.tail()
	}
	for _, k := range v.kids {
		if k != nil && (k.awake || k.news) {
			k.advance(final || !k.awake)
		}
	}
}

// reads is the view of a kind that reads on, if there is something for it to read.
func (v *view) reads(kind viewKind, places []int, from int) *view {
	k, join := v.kids[kind], v.kids[viewJoin]
	switch {
	case k != nil:
		if len(places) == 0 && !k.awake && k.pending < 0 {
			return nil
		}
		return k
	case !v.allows(kind):
		return nil
	case kind == viewMarked && join != nil && (join.awake || join.kept > from):
		// It reads again where lines are joined.
		k = v.kid(kind)
		k.pending = max(v.base, min(join.since, from))
		k.next = k.pending
	case len(places) == 0 || kind == viewMarked && !v.hasMarks(places):
		return nil
	default:
		k = v.kid(kind)
		k.next = places[0]
	}
	k.at = k.next
	return k
}

// hasMarks reports whether a line that goes on may end at one of some places.
func (v *view) hasMarks(places []int) bool {
	for _, at := range places {
		if marked(v.text, at-v.base) {
			return true
		}
	}
	return false
}

// allows reports whether a view of a kind decodes this one.
func (v *view) allows(kind viewKind) bool {
	switch {
	case kind == viewSpaced:
		return !v.kind.isJoin() && v.c.m.spaced
	case kind.isJoin():
		return !v.kind.isJoin()
	}
	return v.depth > 0
}

// kid is the view of a kind that decodes this one.
func (v *view) kid(kind viewKind) *view {
	k := v.kids[kind]
	if k == nil {
		k = v.c.newView(kind)
		k.parent, k.depth = v, v.depth
		if !kind.isJoin() {
			k.depth--
		}
		k.pending = -1
		v.kids[kind] = k
	}
	return k
}

// list lists what views may decode, and reads digits.
func (v *view) list() {
	g := v.c.gate
	from, text := v.surveyed-v.base, v.text
	v.surveyed = v.end()
	r := &v.run
	r.first, r.spanFirst = v.base+from, v.base+from
	if v.depth > 0 && from < len(text) {
		v.goOn(from)
	}
	whole, n := (len(text)-from)/blockSpan, 0
	for first := 0; first < whole; first += n {
		g.next(n)
		n = min(gateBlocks, whole-first)
		at := from + first*blockSpan
		g.look(text[at:], n, &v.c.m.classes)
		v.looked(g, at, n)
	}
	if at := from + whole*blockSpan; at < len(text) {
		g.next(n)
		padded := nothing
		copy(padded[:], text[at:])
		g.look(padded[:], 1, &v.c.m.classes)
		v.looked(g, at, 1)
	}
}

// nothing is what stands behind a text in its last block.
var nothing = func() (block [blockSpan]byte) {
	for i := range block {
		block[i] = gapByte
	}
	return block
}()

// looked lists what the gate has found in so many blocks from text[at] on.
func (v *view) looked(g *gate, at, blocks int) {
	s, text, end := &v.found, v.text, min(len(v.text), at+blocks*blockSpan)
	if v.c.m.grams.long && !v.c.m.spaced {
		g.closeLines(text[at:end], v.c.m.grams)
	}
	lines := len(s.places[viewJoin])
	for _, line := range g.lines[:g.ends] {
		s.add(viewJoin, v.base+at+int(line))
	}
	if g.special != 0 {
		for i, special := range g.specials[1 : blocks+1] {
			if special != 0 {
				v.specials(at+i*blockSpan, special)
			}
		}
		if places := s.places[viewJoin][lines:]; len(places) > g.ends {
			slices.Sort(places) // some are those of \n between digits
		}
	}
	if v.depth == 0 {
		return
	}
	for words := threesOf(g.runs[:], (blocks+3)/4+1); words != 0; words &= words - 1 {
		i := bits.TrailingZeros64(words)
		for groups := three(g.runs[:], i); groups != 0; {
			next := bits.TrailingZeros64(groups) + 1
			start := at + 4*(64*(i-1)+next-1)
			if start+4 > v.run.first-v.base && start < len(text) {
				v.runAt(max(start, v.run.first-v.base))
			}
			next = max(next, next-1+(v.run.first-v.base-start)/4)
			groups &= ^uint64(0) << next
		}
	}
	s.sortSeams(lines)
	for words := threesOf(g.pairs[:], (blocks+7)/8+1); words != 0; words &= words - 1 {
		i := bits.TrailingZeros64(words)
		for groups := three(g.pairs[:], i); groups != 0; groups &= groups - 1 {
			start := at + 8*(64*(i-1)+bits.TrailingZeros64(groups))
			if middle := start + 8; middle+maxSeparator <= len(text) && !anySeparator(text[middle:middle+maxSeparator]) {
				continue // digits alone
			}
			if start+8 > v.run.spanFirst-v.base && start < len(text) {
				v.spanAt(max(start, v.run.spanFirst-v.base))
			}
		}
	}
}

// anySeparator reports whether not all of text are hexadecimal digits.
func anySeparator(text []byte) bool {
	for _, c := range text {
		if digitFlags[c]&isHex == 0 {
			return true
		}
	}
	return false
}

var zeros = string(make([]byte, blockSpan))

// specials lists special bytes of the block at text[at].
func (v *view) specials(at int, special uint64) {
	s, text := &v.found, v.text
	if special == ^uint64(0) && at+blockSpan <= len(text) && text[at] == 0 && string(text[at:at+blockSpan]) == zeros {
		return // no charset has so many NULs in a row
	}
	for ; special != 0; special &= special - 1 {
		p := at + bits.TrailingZeros64(special)
		switch c := text[p]; c {
		case 0, escape:
			s.add(viewWide, v.base+p)
		case '\\':
			s.add(viewBackslash, v.base+p)
			if p >= minJoined && (p+1 == len(text) || text[p+1] == 'n' || text[p+1] == 'r') && endsInDigits(text[:digitsEnd(text, p)]) {
				s.add(viewJoin, v.base+p)
			}
		default:
			if mayBeUnit(text, p) {
				s.add(kindOf[c&15], v.base+p)
			}
		}
	}
}

// kindOf is the view that an introducer is of, by its low bits: % \ & =.
var kindOf = [16]viewKind{'%' & 15: viewPercent, '\\' & 15: viewBackslash, '&' & 15: viewEntity, '=' & 15: viewQuoted}

func isDigitByte(c byte) bool { return digitFlags[c]&isDigit != 0 }

func isSpanByte(c byte) bool { return byteClasses[min(c, 0x7f)]&noPair == 0 }

// digitsUntil is where the digits end that begin at text[at].
func digitsUntil(text []byte, at int) int {
	if at+8 <= len(text) && flagsOf(text[at:])&(eachByte*isDigit) != eachByte*isDigit {
		return at + digitsLengthGeneric(text[at:at+8])
	}
	return at + digitsLength(text[at:])
}

// goOn lists the runs that the content ended in before text[from].
func (v *view) goOn(from int) {
	r := &v.run
	if r.start < v.base+from {
		end := digitsUntil(v.text, from)
		if r.first = v.base + end; end < len(v.text) {
			v.found.runs = append(v.found.runs, span{r.start, r.first})
			v.seamAt(max(0, r.start-v.base), end)
		}
	}
	if r.spanStart < v.base+from {
		end := from
		for end < len(v.text) && isSpanByte(v.text[end]) {
			end++
		}
		if r.spanFirst = v.base + end; end < len(v.text) {
			v.found.spans = append(v.found.spans, span{r.spanStart, r.spanFirst})
		}
	}
}

// runAt lists the run around text[at].
func (v *view) runAt(at int) {
	r := &v.run
	start, end := at, at
	for low := r.first - v.base; start > low && isDigitByte(v.text[start-1]); {
		start--
	}
	end = digitsUntil(v.text, end)
	if r.first = v.base + end; end == start {
		r.first++
	} else if end < len(v.text) && end-start >= minJoined {
		v.found.runs = append(v.found.runs, span{v.base + start, v.base + end})
		v.seamAt(start, end)
	}
}

// spanAt is runAt for pairs with separators between them.
func (v *view) spanAt(at int) {
	r := &v.run
	start, end := at, at
	for low := r.spanFirst - v.base; start > low && isSpanByte(v.text[start-1]); {
		start--
	}
	for end < len(v.text) && isSpanByte(v.text[end]) {
		end++
	}
	if r.spanFirst = v.base + end; end < len(v.text) && end-start >= minSpan {
		v.found.spans = append(v.found.spans, span{v.base + start, v.base + end})
	}
}

// readRuns reads the runs that are listed, and those in which the content ends.
func (v *view) readRuns(final bool) {
	r, text := &v.run, v.text
	join := v.kids[viewJoin]
	for i, run := range v.found.runs {
		if i > 0 || run.start != r.start {
			r.start = run.start
		}
		if !r.open && join != nil && join.awake && join.since <= run.start && join.at > run.end {
			r.start = run.end // it is read where lines are joined
			continue
		}
		v.digitsUpTo(run.end, true, final)
		r.start = run.end
	}
	for _, s := range v.found.spans {
		if !r.inSpan {
			r.spanStart = s.start
		}
		v.pairsUpTo(s.end, true, final)
		r.spanStart = s.end
	}
	if !r.open {
		start := len(text)
		for low := max(r.start-v.base, 0); start > low && isDigitByte(text[start-1]); {
			start--
		}
		r.start = v.base + start
	}
	v.digitsUpTo(v.end(), final, final)
	if !r.inSpan {
		start := len(text)
		for low := max(r.spanStart-v.base, 0); start > low && isSpanByte(text[start-1]); {
			start--
		}
		r.spanStart = v.base + start
	}
	v.pairsUpTo(v.end(), final, final)
	if final {
		// The content may go on, and the view keeps no more of it.
		kept := v.end() - v.c.margin()
		r.start, r.spanStart = max(r.start, kept), max(r.spanStart, kept)
	}
}

// digitsUpTo reads the run of digits up to a place.
func (v *view) digitsUpTo(end int, ended, final bool) {
	r := &v.run
	if !r.open {
		if end-r.start < minJoined {
			if !ended {
				v.holdDigits()
			}
			return
		}
		r.startRun(r.start, v.c.m.ascii)
	}
	v.readRun(r, end, ended, final)
	if r.open = !ended; r.open {
		v.holdDigits()
	}
}

// pairsUpTo reads pairs with separators between them up to a place.
func (v *view) pairsUpTo(end int, ended, final bool) {
	r := &v.run
	if !r.inSpan {
		if end-r.spanStart < minSpan {
			if !ended && end-r.spanStart > 4 {
				tail := stretch{at: r.spanStart}
				v.readPairs(&tail, end, false, final)
				v.holdPairs(&tail)
			}
			return
		}
		r.pairs = stretch{at: r.spanStart}
	}
	v.readPairs(&r.pairs, end, ended, final)
	if r.inSpan = !ended; r.inSpan {
		v.holdPairs(&r.pairs)
	}
}

func (s *survey) add(kind viewKind, at int) { s.places[kind] = append(s.places[kind], at) }
