package redact

import (
	"encoding/binary"
	"math/bits"
)

// filter is the fast way to search: it looks at one gram, a few bytes, at
// every stride-th position of the text and goes on at once where no pattern
// has that gram near its beginning.
//
// The window is the shortest pattern's length (64 at most), so every
// occurrence begins with a window, and a window holds exactly one sampled gram
// at one of its first stride offsets. A bitmap holds the hashes of the grams
// at these offsets of all patterns. The rare text gram it knows is looked up
// in a table that leads to the patterns and offsets to compare.
type filter struct {
	window, gram, stride int

	mask    uint64   // leaves the gram of a load of eight bytes
	bitmap  []uint64 // of hashes: bits 32 and up choose the word, the top six the bit
	words   uint64   // len(bitmap) - 1
	buckets []uint32 // entries of bucket i: entries[buckets[i]:buckets[i+1]]
	toSlot  uint
	entries []entry
	heads   byteSet // bytes in the windows of all patterns
}

// entry says that patterns begin with a gram at an offset: those from pattern
// on, of which there are count, that begin alike up to the end of that gram.
type entry struct {
	tag     uint16 // of the gram's hash, from bits that choose no bucket
	count   uint16 // maxCount for that many or more
	pattern uint32
	offset  uint32
}

const maxCount = 1<<16 - 1

// byteSet is a set of byte values.
type byteSet [4]uint64

func (b *byteSet) add(c byte)      { b[c>>6] |= 1 << (c & 63) }
func (b *byteSet) has(c byte) bool { return b[c>>6]>>(c&63)&1 != 0 }

// areGraphic reports whether all bytes of the set are ASCII beyond the space.
func (b *byteSet) areGraphic() bool { return b[0]&(1<<33-1) == 0 && b[1]>>63 == 0 && b[2]|b[3] == 0 }

// areGraphicOrSpace reports whether all bytes of the set are printable ASCII.
func (b *byteSet) areGraphicOrSpace() bool {
	return b[0]&(1<<32-1) == 0 && b[1]>>63 == 0 && b[2]|b[3] == 0
}

// hashMultiplier spreads a gram over the top bits of a product (it is 2⁶⁴
// divided by the golden ratio).
const hashMultiplier = 0x9e3779b97f4a7c15

func gramTag(hash uint64) uint16 { return uint16(hash >> 20) }

// newFilter returns a filter for patterns, of which there is at least one.
func newFilter(p *patterns) *filter {
	f := &filter{window: min(p.shortest, 64)}
	switch {
	case f.window >= 16:
		f.gram = 8
	case f.window >= 12:
		f.gram = 6
	case f.window >= 8:
		f.gram = 4
	default:
		f.gram = 3
	}
	f.stride = f.window - f.gram + 1
	f.mask = 1<<(8*f.gram) - 1 // all ones for eight bytes

	count := 0
	for i := range p.len() {
		count += f.stride - f.fresh(p, i)
	}
	size := max(10, bits.Len(uint(count))+7)
	size = min(size, 21)
	f.bitmap = make([]uint64, 1<<(size-6))
	f.words = uint64(len(f.bitmap) - 1)
	slots := max(4, min(bits.Len(uint(count))+1, 18))
	f.toSlot = uint(64 - slots)
	f.buckets = make([]uint32, 1<<slots+1)
	f.entries = make([]entry, count)
	f.start(p)
	for i := range f.buckets[1:] {
		f.buckets[i+1] += f.buckets[i]
	}
	f.fill(p)
	copy(f.buckets[1:], f.buckets)
	f.buckets[0] = 0
	return f
}

// fresh is the first offset at which the gram of pattern i is not that of the
// one before it. Patterns that begin alike up to the end of a gram are
// neighbours and share one entry.
func (f *filter) fresh(p *patterns, i int) int {
	return min(max(0, int(p.shared[i])-f.gram+1), f.stride)
}

// start sets the bits of all grams, and counts the entries of each bucket in the
// one behind it.
func (f *filter) start(p *patterns) {
	var heads [256]bool
	for i := range p.len() {
		pattern := p.at(i)
		for offset := f.fresh(p, i); offset < f.stride; offset++ {
			hash := f.hash(loadAt(pattern, offset))
			f.bitmap[hash>>32&f.words] |= 1 << (hash >> 58)
			f.buckets[hash>>f.toSlot+1]++
		}
		for _, c := range pattern[:f.window] {
			heads[c] = true
		}
	}
	for c, isHead := range heads {
		if isHead {
			f.heads.add(byte(c))
		}
	}
}

// fill puts the entries into their buckets, each in order. The start of a
// bucket moves to its end meanwhile.
func (f *filter) fill(p *patterns) {
	var open [64]uint32 // entry that the patterns at hand share, per offset
	for i := range p.len() {
		pattern, fresh := p.at(i), f.fresh(p, i)
		for _, shared := range open[:fresh] {
			if e := &f.entries[shared]; e.count < maxCount {
				e.count++
			}
		}
		for offset := fresh; offset < f.stride; offset++ {
			hash := f.hash(loadAt(pattern, offset))
			at := f.buckets[hash>>f.toSlot]
			f.buckets[hash>>f.toSlot]++
			f.entries[at] = entry{gramTag(hash), 1, uint32(i), uint32(offset)}
			open[offset] = at
		}
	}
}

func (f *filter) hash(load uint64) uint64 { return load & f.mask * hashMultiplier }

// loadAt returns the eight bytes at text[at], with zeros behind its end.
func loadAt(text []byte, at int) uint64 {
	if at+8 <= len(text) {
		return binary.LittleEndian.Uint64(text[at:])
	}
	var padded [8]byte
	copy(padded[:], text[at:])
	return binary.LittleEndian.Uint64(padded[:])
}

// Costs of the filter's work in units of about a tenth of a nanosecond. They
// are what keeps the worst case linear: a text may cost perByte units a byte,
// a little more than the automaton takes, and is left to the automaton beyond.
const (
	costHit     = 30
	costEntry   = 10
	costCompare = 60
	costEnd     = 40
	perByte     = 12
	maxCredit   = perByte * 64 << 10
	startCredit = perByte * 4 << 10
)

// search is the state of one search by the filter.
type search struct {
	found  spans
	hold   int  // where a pattern begins that the text ends within
	budget int  // units that may still be spent
	closed bool // the text does not go on: nothing is held
}

// earn adds the allowance for size more bytes of text.
func (s *search) earn(size int) { s.budget = min(s.budget+perByte*size, maxCredit) }

// scan adds all occurrences in text to s.found and returns where the longest
// suffix begins that is a proper prefix of a pattern. It gives up, and returns
// false, when the budget is spent.
func (f *filter) scan(p *patterns, text []byte, s *search) (hold int, ok bool) {
	s.hold = len(text)
	for at := f.skip(text, f.stride-1); at+f.gram <= len(text); at = f.skip(text, at+f.stride) {
		if hash := f.hash(loadAt(text, at)); f.known(hash) {
			f.verify(p, text, at, hash, s)
			if s.budget < 0 {
				return 0, false
			}
		}
	}
	if s.budget < 0 {
		return 0, false
	}
	if s.closed {
		return len(text), true
	}
	return f.end(p, text, s), true
}

// known reports whether some pattern has a gram with this hash.
func (f *filter) known(hash uint64) bool {
	return f.bitmap[hash>>32&f.words]&(1<<(hash>>58)) != 0
}

// verify compares the text around a gram with the patterns that have it.
func (f *filter) verify(p *patterns, text []byte, at int, hash uint64, s *search) {
	slot := hash >> (f.toSlot & 63)
	bucket := f.entries[f.buckets[slot]:f.buckets[slot+1]]
	tag := gramTag(hash)
	cost := costHit + costEntry*len(bucket)
	last := s.last()
	for i := range bucket {
		e := &bucket[i]
		start := at - int(e.offset)
		// A window that is not complete is left to end.
		if e.tag != tag || start < 0 || start+f.window > len(text) {
			continue
		}
		if e.count > 1 {
			cost += f.verifyRange(p, text, start, e, s)
			last = s.last()
			continue
		}
		end := start + p.length(int(e.pattern))
		if end <= last.end && last.start <= start {
			continue // covered already
		}
		pattern := p.at(int(e.pattern))
		cost += costCompare + len(pattern)/4
		switch {
		case end > len(text):
			if string(pattern[:len(text)-start]) == string(text[start:]) {
				s.hold = min(s.hold, start)
			}
		case sameEnd(pattern, text[start:end]) && string(pattern) == string(text[start:end]):
			s.found.add(start, end)
			last = s.last()
		}
	}
	s.budget -= cost
}

// sameEnd compares the last eight bytes of two strings of the same length: the
// gram at their beginning is known to be alike.
func sameEnd(a, b []byte) bool {
	i := len(a) - 8
	return i < 0 || i+8 > len(b) || binary.LittleEndian.Uint64(a[i:]) == binary.LittleEndian.Uint64(b[i:])
}

// verifyRange compares the text at start with the patterns of an entry that
// has several, and returns the cost.
func (f *filter) verifyRange(p *patterns, text []byte, start int, e *entry, s *search) int {
	low, alike := int(e.pattern), int(e.offset)+f.gram
	first := p.at(low)
	cost := costCompare + len(first)/4
	if string(first[:alike]) != string(text[start:start+alike]) {
		return cost
	}
	high := low + int(e.count)
	if e.count == maxCount {
		for high < p.len() && int(p.shared[high]) >= alike {
			high++
		}
	}
	cost += costCompare * bits.Len16(e.count)
	length, begins := p.longestPrefix(low, high, text[start:])
	if length > 0 {
		s.found.add(start, start+length)
	}
	if begins {
		s.hold = min(s.hold, start)
	}
	return cost
}

// last returns the last range found, or one that covers nothing.
func (s *search) last() span {
	if len(s.found) == 0 {
		return span{}
	}
	return s.found[len(s.found)-1]
}

// end returns where the text to be held back begins. Suffixes of at least a
// window have a sampled gram and were seen by verify. The shorter ones, if
// there is none of those, begin within the last few bytes, and behind the last
// byte that is in no pattern's window.
func (f *filter) end(p *patterns, text []byte, s *search) int {
	shortest := len(text) - f.window + 1
	if s.hold < shortest {
		return s.hold
	}
	for at := len(text) - 1; at >= max(0, shortest) && f.heads.has(text[at]); at-- {
		s.budget -= costEnd
		if p.begin(text[at:]) {
			s.hold = at
		}
	}
	return s.hold
}
