package redact

import (
	"html"
	"unicode/utf16"
	"unicode/utf8"
)

// A kind is one way to write a byte otherwise. Kinds are bits of a set.
type kind uint8

const (
	percent   kind = 1 << iota // %2F, %u0041
	backslash                  // \n, \", \x2f, \057, \u002f, \u{2f}, \U0000002f
	entity                     // &amp; &#47; &#x2f;
	quoted                     // =2F, and = at the end of a line
)

// maxUnit is the length of the longest escape.
const maxUnit = 34

// unitKind is the kind of the escapes that begin with a byte, 0 for none.
var unitKind = [256]kind{'%': percent, '\\': backslash, '&': entity, '=': quoted}

// A unit is an escape: the bytes out[:n] written in another way, up to end.
type unit struct {
	end int
	out [4]byte
	n   int
}

// What parsing an escape says.
const (
	noUnit = iota
	isUnit
	cutUnit // the text ends within it, if it is one
)

// parseUnit reads the escape that begins at text[at] with an introducer of one
// of kinds.
func parseUnit(text []byte, at int, u *unit) int {
	switch text[at] {
	case '%':
		if at+1 < len(text) && text[at+1]|0x20 == 'u' {
			return parseHexUnit(text, at, at+2, 4, 4, u)
		}
		return parseByteUnit(text, at+1, u)
	case '=':
		return parseQuoted(text, at, u)
	case '&':
		return parseEntity(text, at, u)
	default:
		return parseBackslash(text, at, u)
	}
}

// hexValue is the value of a hexadecimal digit, or 0xff.
var hexValue = func() (table [256]uint8) {
	for i := range table {
		table[i] = 0xff
	}
	for i := range 10 {
		table['0'+i] = uint8(i)
	}
	for i := range 6 {
		table['a'+i], table['A'+i] = uint8(10+i), uint8(10+i)
	}
	return table
}()

// parseByteUnit reads two hexadecimal digits.
func parseByteUnit(text []byte, at int, u *unit) int {
	if at+2 > len(text) {
		if at == len(text) || hexValue[text[at]] < 16 {
			return cutUnit
		}
		return noUnit
	}
	high, low := hexValue[text[at]], hexValue[text[at+1]]
	if high|low > 15 {
		return noUnit
	}
	u.end, u.n = at+2, 1
	u.out[0] = high<<4 | low
	return isUnit
}

// parseHexUnit reads a character of low to high hexadecimal digits that begin
// at digits. The escape begins at start.
func parseHexUnit(text []byte, start, digits, low, high int, u *unit) int {
	r, at := rune(0), digits
	for ; at < len(text) && at < digits+high && hexValue[text[at]] < 16; at++ {
		r = r<<4 | rune(hexValue[text[at]])
	}
	if at == len(text) && at < digits+high {
		return cutUnit
	}
	if at < digits+low || r > utf8.MaxRune {
		return noUnit
	}
	u.end = at
	if utf16.IsSurrogate(r) {
		return parseSurrogate(text, start, digits, r, u)
	}
	u.n = utf8.EncodeRune(u.out[:], r)
	return isUnit
}

// parseSurrogate reads the second half of a pair, which is written as the
// first.
func parseSurrogate(text []byte, start, digits int, first rune, u *unit) int {
	prefix := text[start:digits]
	next := u.end
	for i, c := range prefix {
		if next+i == len(text) {
			return cutUnit
		}
		if text[next+i] != c {
			return noUnit
		}
	}
	second, at := rune(0), next+len(prefix)
	for end := at + 4; at < end; at++ {
		if at == len(text) {
			return cutUnit
		}
		if hexValue[text[at]] > 15 {
			return noUnit
		}
		second = second<<4 | rune(hexValue[text[at]])
	}
	r := utf16.DecodeRune(first, second)
	if r == utf8.RuneError {
		return noUnit
	}
	u.end, u.n = at, utf8.EncodeRune(u.out[:], r)
	return isUnit
}

// shortEscape is the byte that a letter stands for behind a backslash.
var shortEscape = [256]byte{
	'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f', 'v': '\v', 'a': '\a', 'e': 0x1b, 'E': 0x1b,
}

func parseBackslash(text []byte, at int, u *unit) int {
	if at+1 == len(text) {
		return cutUnit
	}
	c := text[at+1]
	switch {
	case c == 'x':
		return parseByteEscape(text, at, u)
	case c == 'u' && at+2 < len(text) && text[at+2] == '{':
		return parseBraced(text, at+3, u)
	case c == 'u':
		return orItself(parseHexUnit(text, at, at+2, 4, 4, u), c, at, u)
	case c == 'U':
		return orItself(parseHexUnit(text, at, at+2, 8, 8, u), c, at, u)
	case '0' <= c && c <= '7':
		return parseOctal(text, at+1, u)
	case c == '\n' || c == '\r':
		return noUnit // a line that goes on: see joins
	case c >= utf8.RuneSelf:
		u.end, u.n = at+1, 0 // only the backslash goes
		return isUnit
	}
	u.end, u.n, u.out[0] = at+2, 1, c
	if short := shortEscape[c]; short != 0 {
		u.out[0] = short
	}
	return isUnit
}

// orItself takes a letter that begins no escape as itself.
func orItself(parsed int, c byte, at int, u *unit) int {
	if parsed == noUnit {
		u.end, u.n, u.out[0] = at+2, 1, c
		return isUnit
	}
	return parsed
}

// parseByteEscape reads \x and one or two digits.
func parseByteEscape(text []byte, at int, u *unit) int {
	switch {
	case at+2 == len(text):
		return cutUnit
	case hexValue[text[at+2]] > 15:
		u.end, u.n, u.out[0] = at+2, 1, 'x'
		return isUnit
	case at+3 == len(text):
		return cutUnit
	case hexValue[text[at+3]] > 15:
		u.end, u.n, u.out[0] = at+3, 1, hexValue[text[at+2]]
		return isUnit
	}
	return parseByteUnit(text, at+2, u)
}

// parseBraced reads the digits of \u{…} and the brace.
func parseBraced(text []byte, at int, u *unit) int {
	r, digits := rune(0), 0
	for ; at < len(text) && hexValue[text[at]] < 16 && digits < 8; at++ {
		r = r<<4 | rune(hexValue[text[at]])
		digits++
	}
	switch {
	case at == len(text):
		return cutUnit
	case text[at] != '}' || digits == 0 || r > utf8.MaxRune || r < 0:
		return noUnit
	}
	u.end, u.n = at+1, utf8.EncodeRune(u.out[:], r)
	return isUnit
}

func parseOctal(text []byte, at int, u *unit) int {
	value, digits := 0, 0
	for ; digits < 3 && at < len(text) && '0' <= text[at] && text[at] <= '7'; at++ {
		value = value<<3 | int(text[at]-'0')
		digits++
	}
	if digits < 3 && at == len(text) {
		return cutUnit
	}
	u.end, u.n, u.out[0] = at, 1, byte(value)
	return isUnit
}

// parseQuoted reads an escape of quoted-printable text.
func parseQuoted(text []byte, at int, u *unit) int {
	rest := at + 1
	for rest < len(text) && (text[rest] == ' ' || text[rest] == '\t') && rest < at+8 {
		rest++
	}
	switch {
	case rest == len(text):
		return cutUnit
	case text[rest] == '\n':
		u.end, u.n = rest+1, 0
		return isUnit
	case text[rest] == '\r':
		if rest+1 == len(text) {
			return cutUnit
		}
		if text[rest+1] == '\n' {
			u.end, u.n = rest+2, 0
			return isUnit
		}
		return noUnit
	}
	return parseByteUnit(text, at+1, u)
}

// parseEntity reads an entity of HTML or XML with its semicolon.
func parseEntity(text []byte, at int, u *unit) int {
	end := at + 1
	if end < len(text) && text[end] == '#' {
		return parseCharacter(text, at+2, u)
	}
	for end < len(text) && end < at+maxUnit && isAlphanumeric(text[end]) {
		end++
	}
	switch {
	case end == len(text):
		return cutUnit
	case text[end] != ';' || end == at+1:
		return noUnit
	}
	if c := shortEntity(text[at+1 : end]); c != 0 {
		u.end, u.n, u.out[0] = end+1, 1, c
		return isUnit
	}
	name := string(text[at : end+1])
	decoded := html.UnescapeString(name)
	if decoded == name || len(decoded) > len(u.out) {
		return noUnit
	}
	u.end, u.n = end+1, copy(u.out[:], decoded)
	return isUnit
}

// shortEntity is the byte of one of the five entities of XML, or 0.
func shortEntity(name []byte) byte {
	switch string(name) {
	case "amp":
		return '&'
	case "quot":
		return '"'
	case "lt":
		return '<'
	case "gt":
		return '>'
	case "apos":
		return '\''
	}
	return 0
}

// parseCharacter reads the digits of a numeric entity.
func parseCharacter(text []byte, at int, u *unit) int {
	base, r, digits := rune(10), rune(0), 0
	if at < len(text) && text[at]|0x20 == 'x' {
		base = 16
		at++
	}
	for ; at < len(text) && digits < 10; at++ {
		v := rune(hexValue[text[at]])
		if v >= base {
			break
		}
		if r = r*base + v; r > utf8.MaxRune {
			return noUnit
		}
		digits++
	}
	switch {
	case at == len(text):
		return cutUnit
	case text[at] != ';' || digits == 0:
		return noUnit
	}
	u.end, u.n = at+1, utf8.EncodeRune(u.out[:], r)
	return isUnit
}
