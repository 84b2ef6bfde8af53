package redact

import "unicode/utf8"

// Pydantic names in its errors the value that it does not accept, as Python's
// repr in this many bytes: of a longer one the beginning and the end, which
// are most of a token.
const (
	pydanticWhole = 50
	pydanticHead  = 25
	pydanticTail  = 24
)

// addShortened adds value as pydantic shortens it.
func (s *formSet) addShortened(value []byte, plain bool) {
	if plain && len(value)+len(`b''`) <= pydanticWhole {
		return
	}
	if need := 4*len(value) + 16; cap(s.scratch) < need { // \xff is four bytes for one
		s.scratch = moved(s.scratch, need)
	}
	for _, literal := range [...]struct {
		prefix  string
		charset pythonCharset
	}{{`'`, pythonText}, {`"`, pythonText}, {`b'`, pythonBytes}, {`b"`, pythonBytes}} {
		quote := literal.prefix[len(literal.prefix)-1]
		s.scratch = append(s.scratch[:0], literal.prefix...)
		s.scratch = append(appendPython(s.scratch, value, quote, literal.charset), quote)
		if len(s.scratch) <= pydanticWhole {
			continue
		}
		head, tail := pydanticHead, len(s.scratch)-pydanticTail
		for !utf8.RuneStart(s.scratch[head]) {
			head--
		}
		for !utf8.RuneStart(s.scratch[tail]) {
			tail++
		}
		s.addAppended(func(dst []byte) []byte {
			dst = append(dst, s.scratch[len(literal.prefix):head]...)
			dst = append(dst, "..."...)
			return append(dst, s.scratch[tail:len(s.scratch)-1]...)
		})
	}
	clear(s.scratch)
}
