package redact

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// patterns is the sorted list of all forms of a masker. In sorted order the
// patterns that begin alike are neighbours, so all that begin with some text
// are a range and all that are a prefix of it are a chain of parents.
type patterns struct {
	text   []byte
	starts []uint32    // pattern i is text[starts[i]:starts[i+1]]
	keys   []uint64    // its first eight bytes, big endian, zeros behind a short one
	shared []uint32    // length of the prefix it shares with pattern i-1
	parent []int32     // longest pattern that is a proper prefix of it, or -1
	first  [257]uint32 // patterns that begin with c are first[c] up to first[c+1]
	heads  pairSet     // the first two bytes of patterns

	shortest, longest int
}

// sortPatterns returns the forms of a set in order, in separate memory.
func sortPatterns(set *formSet) *patterns {
	type keyed struct {
		key   uint64
		index int
	}
	order := make([]keyed, set.len())
	for i := range order {
		order[i] = keyed{prefixKey(set.at(i)), i}
	}
	slices.SortFunc(order, func(a, b keyed) int {
		if a.key != b.key {
			return cmp.Compare(a.key, b.key)
		}
		return bytes.Compare(set.at(a.index), set.at(b.index))
	})

	n := len(order)
	numbers := make([]uint32, 2*n+1)
	p := &patterns{
		text:   make([]byte, 0, len(set.arena)),
		starts: numbers[:n+1],
		shared: numbers[n+1:],
		keys:   make([]uint64, n),
		parent: make([]int32, n),
	}
	for i, o := range order {
		form := set.at(o.index)
		p.text = append(p.text, form...)
		p.starts[i+1] = uint32(len(p.text))
		p.keys[i] = o.key
		p.first[int(form[0])+1]++
		p.heads.add(form[0], form[1])
		p.longest = max(p.longest, len(form))
		if i == 0 {
			p.shortest, p.parent[0] = len(form), -1
			continue
		}
		p.shortest = min(p.shortest, len(form))
		p.shared[i] = uint32(sharedPrefix(p.at(i-1), form))
		parent := int32(i - 1)
		for parent >= 0 && p.length(int(parent)) > int(p.shared[i]) {
			parent = p.parent[parent]
		}
		p.parent[i] = parent
	}
	for c := range 256 {
		p.first[c+1] += p.first[c]
	}
	return p
}

// A pairSet has pairs of bytes, by their hashes.
type pairSet [1 << 9]uint64

func (s *pairSet) add(a, b byte) {
	pair := pairHash(a, b)
	s[pair>>6%(1<<9)] |= 1 << (pair & 63)
}

// has reports whether the set may have a pair.
func (s *pairSet) has(a, b byte) bool {
	pair := pairHash(a, b)
	return s[pair>>6%(1<<9)]&(1<<(pair&63)) != 0
}

func pairHash(a, b byte) uint64 { return (uint64(a) | uint64(b)<<8) * hashMultiplier >> 40 }

func prefixKey(text []byte) uint64 {
	if len(text) >= 8 {
		return binary.BigEndian.Uint64(text)
	}
	var padded [8]byte
	copy(padded[:], text)
	return binary.BigEndian.Uint64(padded[:])
}

func sharedPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func (p *patterns) len() int { return len(p.keys) }

func (p *patterns) at(i int) []byte { return p.text[p.starts[i]:p.starts[i+1]] }

func (p *patterns) length(i int) int { return int(p.starts[i+1] - p.starts[i]) }

// longestPrefix looks at the patterns from low up to high. It returns the length of
// the longest one that is a prefix of text, 0 for none, and whether text itself is
// a proper prefix of one of them.
func (p *patterns) longestPrefix(low, high int, text []byte) (length int, begins bool) {
	if high-low > 4 {
		return p.searchPrefix(low, high, text)
	}
	for i := low; i < high; i++ {
		pattern := p.at(i)
		if len(pattern) <= len(text) {
			if bytes.Equal(pattern, text[:len(pattern)]) {
				length = len(pattern) // a later one is longer
			}
		} else if !begins {
			begins = bytes.Equal(pattern[:len(text)], text)
		}
	}
	return length, begins
}

// occurrences adds the longest pattern at each place of a short text to found.
func (p *patterns) occurrences(text []byte, found *spans) {
	for at, c := range text {
		low, high := int(p.first[c]), int(p.first[int(c)+1])
		if low == high || at+1 < len(text) && !p.heads.has(c, text[at+1]) {
			continue
		}
		if n, _ := p.longestPrefix(low, high, text[at:]); n > 0 {
			found.add(at, at+n)
		}
	}
}

// searchPrefix is longestPrefix by binary search, for the many patterns that
// secrets with one prefix have.
func (p *patterns) searchPrefix(low, high int, text []byte) (length int, begins bool) {
	end := high
	for low < high {
		middle := int(uint(low+high) / 2)
		if bytes.Compare(p.at(middle), text) <= 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	// Pattern low is the first behind text: if text begins any, it begins
	// that one. Every pattern that text begins with is the one before it or
	// one of its parents.
	if low < end {
		begins = bytes.HasPrefix(p.at(low), text)
	}
	if low == 0 {
		return 0, begins
	}
	before := p.at(low - 1)
	shared := sharedPrefix(before, text)
	for i := int32(low - 1); i >= 0; i = p.parent[i] {
		if n := p.length(int(i)); n <= shared {
			return n, begins
		}
	}
	return 0, begins
}

// begin reports whether text, which is not empty, is a proper prefix of a
// pattern.
func (p *patterns) begin(text []byte) bool {
	low, high := int(p.first[text[0]]), int(p.first[int(text[0])+1])
	if len(text) == 1 || low == high {
		return low < high
	}
	if !p.heads.has(text[0], text[1]) {
		return false
	}
	shift := 64 - 8*min(len(text), 8)
	key := prefixKey(text) >> shift
	for end := high; low < end; { // the first one whose key is not less
		if middle := int(uint(low+end) / 2); p.keys[middle]>>shift < key {
			low = middle + 1
		} else {
			end = middle
		}
	}
	for n := 0; low < high && p.keys[low]>>shift == key; low++ {
		if p.length(low) > len(text) && (len(text) <= 8 || bytes.HasPrefix(p.at(low), text)) {
			return true
		}
		if n++; n == 8 {
			_, begins := p.searchPrefix(low, high, text)
			return begins
		}
	}
	return false
}
