package redact

import (
	"cmp"
	"slices"
)

// withhold has a range of the stream masked that was not searched.
func (w *Writer) withhold(start, end int64) {
	w.claim(start, end)
	w.withheld = append(w.withheld, claim{start, end})
}

// maskAt is what stands for a range of the text that begins at base.
func (w *Writer) maskAt(f span) string {
	for i, c := range w.withheld {
		if c.start < w.base+int64(f.end) && w.base+int64(f.start) < c.end {
			w.withheld = append(w.withheld[:0], w.withheld[i+1:]...)
			return Withheld
		}
	}
	return Mask
}

// merge returns the union of found and of the claims up to decided, and
// forgets claims that end there.
func (w *Writer) merge(found spans, decided int) spans {
	w.merged = append(w.merged[:0], found...)
	all, left := w.merged, w.claimed[:0]
	for _, c := range w.claimed {
		if start := int(c.start - w.base); start <= decided {
			all = append(all, span{max(start, 0), int(c.end - w.base)})
		}
		if int(c.end-w.base) > decided {
			left = append(left, c)
		}
	}
	w.claimed = left
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	union := all[:0]
	for _, s := range all {
		if n := len(union); n > 0 && union[n-1].end >= s.start {
			union[n-1].end = max(union[n-1].end, s.end)
		} else {
			union = append(union, s)
		}
	}
	w.merged = all
	return union
}

// A claim is a range of the stream that a view has found.
type claim struct{ start, end int64 }

// claim has a range of the stream masked.
func (w *Writer) claim(start, end int64) {
	if end > w.base+int64(w.head) {
		w.claimed = append(w.claimed, claim{start, end})
	}
}
