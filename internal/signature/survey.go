package signature

import (
	"cmp"
	"hash/maphash"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// largeBody is the size from which a body is checked as a stream.
	largeBody = 256 << 10
	// largeValue is the size from which a list or object is checked element by
	// element instead of being decoded.
	largeValue = 4 << 10
)

// extent is the place of a value in the text of a body.
type extent struct{ start, end int }

// survey is the result of one pass over a valid JSON text, in memory that does not depend
// on the number of values.
type survey struct {
	text []byte
	// large are the long lists and objects, by their start.
	large []extent
	// repeated says that an object has a name twice.
	repeated bool
	// decoded is about the number of bytes of the decoded text.
	decoded int
}

// nameSeed makes collisions of names unpredictable. Two of a million names
// have the same hash once in ten million bodies.
var nameSeed = maphash.MakeSeed()

// surveyed looks through text, which is valid JSON, for lists and objects
// longer than large.
func surveyed(text []byte, large int) survey {
	s := survey{text: text}
	type level struct {
		start, names int // names is where those of an object begin; -1 for a list
	}
	var levels []level
	var names []uint64 // hashes of the names of all open objects
	for at := 0; at < len(text); {
		switch text[at] {
		case '{', '[':
			s.decoded += decodedContainer
			l := level{at, -1}
			if text[at] == '{' {
				l.names = len(names)
				s.decoded += decodedObject
			}
			levels = append(levels, l)
		case '}', ']':
			l := levels[len(levels)-1]
			levels = levels[:len(levels)-1]
			if l.names >= 0 {
				s.repeated = s.repeated || repeats(names[l.names:])
				names = names[:l.names]
			}
			if at+1-l.start > large {
				s.large = append(s.large, extent{l.start, at + 1})
			}
		case '"':
			end := stringEnd(text, at)
			s.decoded += decodedScalar + end - at
			if next := skipSpace(text, end); next < len(text) && text[next] == ':' {
				names = append(names, nameHash(text[at:end]))
				s.decoded += decodedMember
			}
			at = end
			continue
		case ' ', '\t', '\r', '\n', ',', ':':
		default:
			end := scalarEnd(text, at)
			s.decoded += decodedScalar + end - at
			at = end
			continue
		}
		at++
	}
	slices.SortFunc(s.large, func(a, b extent) int { return cmp.Compare(a.start, b.start) })
	return s
}

// The sizes of decoded values in bytes, rounded up generously.
const (
	decodedScalar    = 48
	decodedContainer = 64
	decodedObject    = 320
	decodedMember    = 48
)

// end is the end of the value at start, and whether it is a large one.
func (s *survey) end(start int) (end int, large bool) {
	switch s.text[start] {
	case '{', '[':
		if end, large := s.largeAt(start); large {
			return end, true
		}
		return containerEnd(s.text, start), false
	case '"':
		return stringEnd(s.text, start), false
	default:
		return scalarEnd(s.text, start), false
	}
}

// largeAt is the end of the large list or object that begins at start; false if none
// does.
func (s *survey) largeAt(start int) (end int, large bool) {
	i, found := slices.BinarySearchFunc(s.large, start, func(e extent, start int) int { return cmp.Compare(e.start, start) })
	if !found {
		return 0, false
	}
	return s.large[i].end, true
}

// repeats reports whether a hash occurs twice. It changes the order.
func repeats(hashes []uint64) bool {
	if len(hashes) <= 8 {
		for i, hash := range hashes {
			if slices.Contains(hashes[:i], hash) {
				return true
			}
		}
		return false
	}
	slices.Sort(hashes)
	for i := 1; i < len(hashes); i++ {
		if hashes[i] == hashes[i-1] {
			return true
		}
	}
	return false
}

func nameHash(literal []byte) uint64 {
	if !slices.Contains(literal, '\\') {
		return maphash.Bytes(nameSeed, literal[1:len(literal)-1])
	}
	name, _ := jsontext.AppendUnquote(nil, literal) // the text is valid
	return maphash.Bytes(nameSeed, name)
}

func skipSpace(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n') {
		at++
	}
	return at
}

func stringEnd(text []byte, at int) int {
	for at++; text[at] != '"'; at++ {
		if text[at] == '\\' {
			at++
		}
	}
	return at + 1
}

func scalarEnd(text []byte, at int) int {
	for at < len(text) {
		switch text[at] {
		case ' ', '\t', '\r', '\n', ',', ']', '}':
			return at
		}
		at++
	}
	return at
}

func containerEnd(text []byte, at int) int {
	for depth := 0; ; {
		switch text[at] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		case '"':
			at = stringEnd(text, at)
			continue
		}
		at++
	}
}
