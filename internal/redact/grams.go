package redact

import (
	"encoding/binary"
	"math/bits"
)

// grams are the bytes of which patterns are made: all four that follow each
// other, the two with which a pattern or an escape begins, and each one.
type grams struct {
	four          []uint64
	shift         uint
	three         []uint64 // all three that follow each other
	heads         *pairSet // the first two of patterns
	bytes, firsts byteSet
	long          bool // all patterns have eight bytes or more
}

func newGrams(p *patterns) *grams {
	size := max(14, bits.Len(uint(8*len(p.text))))
	size = min(size, 24)
	g := &grams{four: make([]uint64, 1<<(size-6)), three: make([]uint64, 1<<(size-6)), shift: uint(64 - size), long: p.shortest >= 8, heads: &p.heads}
	for i := range p.len() {
		pattern := p.at(i)
		if p.shared[i] < 1 {
			g.firsts.add(pattern[0])
		}
		for at := max(0, int(p.shared[i])-2); at+3 <= len(pattern); at++ {
			h := g.hash(threeOf(pattern[at], pattern[at+1], pattern[at+2]))
			g.three[h>>6] |= 1 << (h & 63)
		}
		for at := max(0, int(p.shared[i])-3); at+4 <= len(pattern); at++ {
			h := g.hash(binary.LittleEndian.Uint32(pattern[at:]))
			g.four[h>>6] |= 1 << (h & 63)
		}
		for _, c := range pattern[p.shared[i]:] {
			g.bytes.add(c)
		}
	}
	return g
}

func (g *grams) hash(gram uint32) uint64 { return uint64(gram) * hashMultiplier >> (g.shift & 63) }

func (g *grams) has(gram uint32) bool {
	h := g.hash(gram)
	return g.four[h>>6]&(1<<(h&63)) != 0
}

// crosses reports whether a pattern may stand in eight bytes so that it begins
// before the fifth and ends behind the fourth.
func (g *grams) crosses(window uint64) bool {
	one, three := g.has(uint32(window>>8)), g.has(uint32(window>>24))
	if !one && !three {
		return !g.long && g.has(uint32(window>>16))
	}
	return !g.long || one && g.has(uint32(window)) || three && g.has(uint32(window>>32))
}

// cross is crosses for text that stands before and behind a place, where at
// least one byte must be on each side.
func (g *grams) cross(before, after []byte) bool {
	if len(before) >= 4 && len(after) >= 4 {
		return g.crosses(uint64(binary.LittleEndian.Uint32(before[len(before)-4:])) | uint64(binary.LittleEndian.Uint32(after))<<32)
	}
	var window [6]byte
	n := copy(window[:], before[max(0, len(before)-3):])
	from := n
	n += copy(window[n:], after[:min(3, len(after))])
	if n < 4 {
		return from > 0 && n > from
	}
	for at := 0; at+4 <= n; at++ {
		if g.has(binary.LittleEndian.Uint32(window[at:])) {
			return true
		}
	}
	return false
}

// mayCross is cross for text that goes on: whether a pattern may begin within the
// last three bytes before it, and go on in what there is of it.
func (g *grams) mayCross(before, after []byte) bool {
	n := len(before)
	switch {
	case n == 0 || len(after) == 0:
		return false
	case len(after) >= 3:
		return g.cross(before, after)
	}
	a, b := after[0], before[n-1]
	return g.starts(b, a) || n > 1 && g.hasThree(before[n-2], b, a) || n > 2 && g.has(uint32(before[n-3])|threeOf(before[n-2], b, a)<<8)
}

// endsIn reports whether text ends in four bytes of a pattern.
func (g *grams) endsIn(text []byte) bool {
	n := len(text)
	return n >= 4 && g.has(binary.LittleEndian.Uint32(text[n-4:]))
}

// mayEnd reports whether text may end in the beginning of a pattern.
func (g *grams) mayEnd(text []byte) bool {
	n := len(text)
	return n > 0 && g.firsts.has(text[n-1]) || n > 1 && g.starts(text[n-2], text[n-1]) ||
		n > 2 && g.starts(text[n-3], text[n-2]) && g.hasThree(text[n-3], text[n-2], text[n-1]) || g.endsIn(text)
}

// starts reports whether a pattern may begin with two bytes.
func (g *grams) starts(a, b byte) bool { return g.heads.has(a, b) }

// begins is starts for escapes, too.
func (g *grams) begins(a, b byte) bool {
	return g.starts(a, b) || unitKind[a] != 0 && (a == '\\' || b == '#' || isAlphanumeric(b))
}

func threeOf(a, b, c byte) uint32 { return uint32(a) | uint32(b)<<8 | uint32(c)<<16 }

// hasThree reports whether a pattern may have three bytes one behind the other.
func (g *grams) hasThree(a, b, c byte) bool {
	h := g.hash(threeOf(a, b, c))
	return g.three[h>>6]&(1<<(h&63)) != 0
}
