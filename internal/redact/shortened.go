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

// Printers cut long texts at many lengths: rich at 80 characters, loguru at 128,
// SQLAlchemy at 300. So pieces of long tokens are masked, too, of which enough
// begin for fewer than pieceStep bytes to be left on either side of a cut.
const (
	minCut      = 40 // the shortest token that has pieces
	maxCut      = 1 << 10
	pieceLength = 16
	pieceStep   = 8
)

// addPieces adds pieces of the long tokens in value.
func (s *formSet) addPieces(value []byte) {
	for start := 0; start < len(value); {
		end := start
		for end < len(value) && (isDigitByte(value[end]) || value[end] == '=') {
			end++
		}
		if n := end - start; n >= minCut && n <= maxCut {
			for at := start; at+pieceLength < end; at += pieceStep {
				s.addPiece(value[at : at+pieceLength])
			}
			s.addPiece(value[end-pieceLength : end])
		}
		start = end + 1
	}
}

// addPiece adds a piece of a token if it looks random: pieces of words, and of
// zeros, stand in other texts.
func (s *formSet) addPiece(piece []byte) {
	var upper, lower, digits, changes int
	for i, c := range piece {
		switch {
		case 'A' <= c && c <= 'Z':
			upper++
		case 'a' <= c && c <= 'z':
			lower++
		case '0' <= c && c <= '9':
			digits++
		}
		if i > 0 && c != piece[i-1] {
			changes++
		}
	}
	if changes >= pieceStep && upper+lower >= 2 && (digits > 0 || upper > 2 && lower > 2) {
		s.add(piece)
	}
}
