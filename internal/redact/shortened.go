package redact

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

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

const hexDigits = "0123456789abcdef"

// pythonCharset says what a Python literal shows unchanged.
type pythonCharset int

const (
	pythonText  pythonCharset = iota // repr of str: all that is printable
	pythonASCII                      // ascii(): the same within ASCII
	pythonBytes                      // repr of bytes: printable ASCII
)

// appendPython appends value as Python's repr writes it, without the quotes
// around it, escaping quote where it stands inside.
func appendPython(dst, value []byte, quote byte, charset pythonCharset) []byte {
	for len(value) > 0 {
		r, size := utf8.DecodeRune(value)
		if charset == pythonBytes || r == utf8.RuneError && size == 1 {
			r, size = rune(value[0]), 1
		}
		switch {
		case r == '\\' || r == rune(quote) && quote != 0:
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r >= 0x20 && r < 0x7f, charset == pythonText && size > 1 && unicode.IsPrint(r):
			dst = append(dst, value[:size]...)
		case r < 0x100:
			dst = append(dst, '\\', 'x', hexDigits[r>>4], hexDigits[r&15])
		case r < 0x10000:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = fmt.Appendf(dst, `\U%08x`, r)
		}
		value = value[size:]
	}
	return dst
}
