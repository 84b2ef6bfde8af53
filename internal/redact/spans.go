package redact

// span is a half-open range of byte positions, text[start:end].
type span struct{ start, end int }

// spans is a union of ranges: ascending, disjoint and not touching.
type spans []span //nolint:recvcheck // only add makes it longer; see below

// add merges [start, end) into the union.
//
// Ranges come nearly in order: each overlaps or follows all ranges added
// before it, except those it swallows. That holds for occurrences listed by
// their ends, as the automaton does, and for those listed by the sampled
// position they contain, as the filter does. So only the last ones can be
// affected, and adding is constant amortised time.
func (u *spans) add(start, end int) {
	list := *u
	for len(list) > 0 && list[len(list)-1].end >= start {
		last := list[len(list)-1]
		start, end = min(start, last.start), max(end, last.end)
		list = list[:len(list)-1]
	}
	*u = append(list, span{start, end}) //nolint:gocritic // list is a part of *u
}

// extend moves the end of the last range, if there is one, to end. A negative
// end is none.
func (u spans) extend(end int) {
	if end >= 0 {
		u[len(u)-1].end = end
	}
}
