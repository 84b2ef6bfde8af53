package redact

import (
	"bytes"
	"hash/maphash"
)

// Forms returns every byte sequence that is searched for on behalf of one
// secret value: the value itself, its parts (the trimmed value, each line of a
// multi-line value, each string leaf of a JSON value) and the encodings of the
// value and of each part. No form is shorter than [MinLength] and none occurs
// twice. The value itself comes first.
//
// The result holds secrets in the clear. It is exported for tests that have to
// prove the absence of a secret in all its forms.
func Forms(value []byte) [][]byte {
	var set formSet
	set.addSecret(value)
	forms := make([][]byte, set.len())
	for i := range forms {
		forms[i] = set.at(i)
	}
	return forms
}

// formSet collects distinct byte strings in one arena. Building a masker is on
// the path of every execution, so a set costs a handful of allocations however
// many forms it holds; and memory that a growing arena leaves is wiped.
type formSet struct {
	arena    []byte
	capacity int      // bytes that the longest form of the value at hand may take
	ends     []uint32 // form i is arena[ends[i-1]:ends[i]]
	slots    []uint32 // open-addressing index of the forms, each 1 + its number
	scratch  []byte
	spaced   bool // a form has a space that may stand for a line end
}

// formSeed makes collisions of the index unpredictable to whoever chooses the
// secrets. The order of the forms does not depend on it.
var formSeed = maphash.MakeSeed()

func (s *formSet) len() int { return len(s.ends) }

func (s *formSet) at(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = s.ends[i-1]
	}
	return s.arena[start:s.ends[i]:s.ends[i]]
}

// add copies form into the set.
func (s *formSet) add(form []byte) {
	start := len(s.arena)
	s.arena = append(s.arena, form...)
	s.commit(start)
}

// commit makes arena[mark:], just appended, a form of the set, or takes it
// back when it is too short to be searched for or there already.
func (s *formSet) commit(start int) {
	s.withoutLineEnd(start)
	form := s.arena[start:]
	if len(form) < MinLength {
		s.arena = s.arena[:start]
		return
	}
	if 4*(len(s.ends)+1) > 3*len(s.slots) {
		s.grow()
	}
	mask := uint64(len(s.slots) - 1)
	slot := maphash.Bytes(formSeed, form) & mask
	for ; s.slots[slot] != 0; slot = (slot + 1) & mask {
		if bytes.Equal(s.at(int(s.slots[slot]-1)), form) {
			s.arena = s.arena[:start]
			return
		}
	}
	s.spaced = s.spaced || bytes.IndexByte(form, ' ') >= 0
	s.ends = append(s.ends, uint32(len(s.arena)))
	s.slots[slot] = uint32(len(s.ends))
	s.reserve()
}

// withoutLineEnd cuts a line end from the beginning of arena[start:], and up to three
// bytes before it. These say little, and each line that ends in them would be held.
func (s *formSet) withoutLineEnd(start int) {
	form := s.arena[start:]
	end := 0
	for i, c := range form[:min(len(form), minPiece)] {
		if c == '\n' || c == '\r' {
			end = i + 1
		}
	}
	for end > 0 && end < len(form) && end < 2*minPiece && form[end] == '\n' {
		end++
	}
	if end > 0 && len(form)-end >= MinLength {
		s.arena = s.arena[:start+copy(form, form[end:])]
	}
}

// reserve has the arena take another form without growing automatically, which
// would leave a copy of the secrets behind.
func (s *formSet) reserve() {
	if cap(s.arena)-len(s.arena) < s.capacity {
		s.arena = moved(s.arena, max(2*cap(s.arena), len(s.arena)+s.capacity+min(3*s.capacity, 64<<10)))
	}
}

// moved gives the bytes in new memory and wipes the old. Those behind their
// end move, too: a form that was taken back is read once more.
func moved(b []byte, capacity int) []byte {
	old := b[:cap(b)]
	grown := make([]byte, capacity)
	copy(grown, old)
	clear(old)
	return grown[:len(b)]
}

func (s *formSet) grow() {
	s.slots = make([]uint32, max(64, 2*len(s.slots)))
	mask := uint64(len(s.slots) - 1)
	for i := range s.ends {
		slot := maphash.Bytes(formSeed, s.at(i)) & mask
		for s.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		s.slots[slot] = uint32(i + 1)
	}
}

// addSecret adds all forms of value, and of its parts.
func (s *formSet) addSecret(value []byte) {
	if len(value) < MinLength {
		return
	}
	s.addEncodings(value)
	eachPart(value, s.addPart)
}

// addPart adds all forms of a part of a secret. Parts have parts, too:
// the private key inside a service account's JSON is printed line by line.
func (s *formSet) addPart(part []byte) {
	if len(part) >= MinPart {
		s.addSecret(part)
	}
}

// addEncodings adds value in the forms that no view decodes, and in those
// that are searched for without one because they are common.
func (s *formSet) addEncodings(value []byte) {
	plain := isPlain(value)
	s.capacity = 8*len(value) + 64 + len(nestedQuote)*bytes.Count(value, []byte(`'`))
	s.reserve()
	s.add(value)
	s.addHex(value)
	s.addPairs(value)
	for shift := range 3 {
		s.addBase64(value, shift)
	}
	s.addShortened(value, plain)
	s.addPieces(value)
	s.addCases(value)
	if plain {
		return
	}
	s.addLineEndings(value)
	s.addQuotes(value)
	s.addUndone(value)
	s.addCharsets(value)
}

// isPlain reports whether no escape of any language changes value.
func isPlain(value []byte) bool {
	for _, c := range value {
		if !isAlphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// addLineEndings adds value with each LF as CRLF, as a terminal or a Windows
// editor turns it, and the way back.
func (s *formSet) addLineEndings(value []byte) {
	if bytes.IndexByte(value, '\n') < 0 {
		return
	}
	lf := bytes.ReplaceAll(value, []byte("\r\n"), []byte("\n"))
	s.add(lf)
	s.add(bytes.ReplaceAll(lf, []byte("\n"), []byte("\r\n")))
}
