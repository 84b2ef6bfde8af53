package redact

import "bytes"

// margins returns where the text of a line ends, and where that of the next
// line begins, if the line end stands at text[at:next]: without the white
// space, frames, quotes and marks that printers put there.
func margins(text []byte, at, next int, open bool) (left, right int) {
	left, right = trimRight(text, at), trimLeft(text, next)
	if spaces := right; spaces < len(text) && text[spaces] == '+' { // of a form
		for spaces < len(text) && spaces < right+nearLine && text[spaces] == '+' {
			spaces++
		}
		if spaces < len(text) && (text[spaces] == '\'' || text[spaces] == '"') {
			right = spaces
		}
	}
	if open && right >= cutFrame(text) {
		right = len(text)
	}
	if left >= 2 && right+2 < len(text) && string(text[left-2:left]) == "?=" && string(text[right:right+2]) == "=?" {
		// Words of RFC 2047: =?utf-8?q?…?=
		if n := encodedWord(text[right+2:]); n > 0 {
			return left - 2, right + 2 + n
		}
	}
	return quotes(text, left, right, open)
}

// quotes are the margins of a line that ends at text[left] and goes on at
// text[right] without the quotes of two literals that follow each other.
func quotes(text []byte, left, right int, open bool) (end, next int) {
	for range 2 { // a printer may quote quoted text
		inner := left
		if inner > 0 && endFlags[text[inner-1]]&afterQuote != 0 {
			inner = trimRight(text, inner-1)
		}
		if inner == 0 || text[inner-1] != '\'' && text[inner-1] != '"' {
			break
		}
		if right == len(text) || open && isPrefix(text[right:]) {
			left, right = trimRight(text, inner-1), len(text) // a quote may follow
			continue
		}
		opening := openingQuote(text[right:], text[inner-1])
		if opening == 0 {
			break
		}
		left, right = inner-1, right+opening
		if !endsInDigits(text[:digitsEnd(text, left)]) {
			break
		}
		if right = trimLeft(text, right); right == len(text) && !open || right < len(text) && text[right] != '\'' && text[right] != '"' {
			break
		}
	}
	return left, right
}

// digitsEnd is where digits end that are followed by a few quotes and marks up
// to text[end].
func digitsEnd(text []byte, end int) int {
	core := end
	for core > 0 && core > end-6 && digitFlags[text[core-1]]&isDigit == 0 || core > 0 && text[core-1] == '+' {
		core--
	}
	return core
}

// openingQuote is the length of a quote with the letters before it, or 0.
func openingQuote(text []byte, quote byte) int {
	for i := range min(3, len(text)) {
		switch c := text[i] | 0x20; {
		case text[i] == quote:
			return i + 1
		case c != 'b' && c != 'r' && c != 'f' && c != 'u':
			return 0
		}
	}
	return 0
}

// isPrefix reports whether text can be the letters before a quote.
func isPrefix(text []byte) bool {
	if len(text) > 2 {
		return false
	}
	for _, c := range text {
		if c |= 0x20; c != 'b' && c != 'r' && c != 'f' && c != 'u' {
			return false
		}
	}
	return true
}

// cutFrame is where text ends, without the beginning of a character that may
// be one of a frame.
func cutFrame(text []byte) int {
	n := len(text)
	switch {
	case n >= 1 && text[n-1] == 0xe2:
		return n - 1
	case n >= 2 && text[n-2] == 0xe2 && text[n-1]&^3 == 0x94:
		return n - 2
	}
	return n
}

// maxCharset is the length of the longest name of a character set in a word.
const maxCharset = 40

// endsWord reports whether text ends in a word of RFC 2047.
func endsWord(text []byte) bool {
	n := len(text)
	return n >= 2 && text[n-2] == '?' && text[n-1] == '='
}

// mayBeWord reports whether more text decides if a word of RFC 2047 begins text.
func mayBeWord(text []byte) bool {
	switch {
	case len(text) < 2:
		return len(text) == 0 || text[0] == '='
	case text[0] != '=' || text[1] != '?' || len(text) > maxCharset+4:
		return false
	}
	return bytes.Count(text, []byte("?")) < 3 && bytes.IndexByte(text, ' ') < 0
}

// encodedWord is the length of the character set and the encoding of a word.
func encodedWord(text []byte) int {
	charset := bytes.IndexByte(text[:min(len(text), maxCharset)], '?')
	if charset < 0 || charset+2 >= len(text) || text[charset+2] != '?' {
		return 0
	}
	return charset + 3
}

// Flags of bytes at the end of a line.
const (
	afterQuote = 1 << iota // may stand between a quote and the end of the line
	atEnd                  // may belong to the end of a line
)

var endFlags = func() (flags [256]uint8) {
	for _, c := range []byte(",+\\.") {
		flags[c] |= afterQuote
	}
	for _, c := range []byte(" \t\r|,+.'\"") {
		flags[c] |= atEnd
	}
	return flags
}()

func trimRight(text []byte, end int) int {
	for low := max(0, end-maxMargin); end > low; {
		switch c := text[end-1]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '|':
			end--
		case c >= 0x80 && end >= 3 && isFrame(text[end-3:end]):
			end -= 3
		default:
			return end
		}
	}
	return end
}

func trimLeft(text []byte, start int) int {
	for high := min(len(text), start+maxMargin); start < high; {
		switch c := text[start]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '|' || c == '>':
			start++
		case c == 0xe2 && start+3 <= len(text) && isFrame(text[start:start+3]):
			start += 3
		default:
			return start
		}
	}
	return start
}

// isFrame reports whether c is a character of which frames are drawn, from
// U+2500 to U+259F.
func isFrame(c []byte) bool { return c[0] == 0xe2 && (c[1] == 0x94 || c[1] == 0x95 || c[1] == 0x96) }
