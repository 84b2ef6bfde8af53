package redact

import (
	"bytes"
	"encoding/binary"
)

// endsInPair reports whether text ends in hexadecimal digits with separators
// between them, the last of which is a whole pair.
func endsInPair(text []byte) bool {
	n := len(text)
	return n >= 3 && digitFlags[text[n-1]]&digitFlags[text[n-2]]&isHex != 0 && (!isAlphanumeric(text[n-3]) || text[n-3]|0x20 == 'x') && endsInPairs(text)
}

func beginsWithPair(text []byte) bool {
	if len(text) > 2 && text[0] == '0' && text[1]|0x20 == 'x' {
		text = text[2:]
	}
	return len(text) >= 3 && digitFlags[text[0]]&digitFlags[text[1]]&isHex != 0 && !isAlphanumeric(text[2])
}

// endsInPairs reports whether text ends in hexadecimal digits with separators
// between them.
func endsInPairs(text []byte) bool {
	digits, separators := 0, 0
	for i := len(text) - 1; i >= 0 && i >= len(text)-12; i-- {
		switch c := text[i]; {
		case digitFlags[c]&isHex != 0:
			digits++
		case isAlphanumeric(c) && c|0x20 != 'x', unitKind[c] != 0:
			return false
		default:
			separators++
		}
	}
	return separators >= 2 && digits >= 3
}

// beginsInDigits reports whether text begins with a line of digits, or enough
// of them.
func beginsInDigits(text []byte) bool {
	n := leadingDigits(text)
	if n == minJoined || n == len(text) {
		return n > 0
	}
	if n == 0 {
		return false
	}
	n = trimLeft(text, n)
	return n == len(text) || bytes.IndexByte([]byte("\n\\\"',+="), text[n]) >= 0
}

// leadingDigits is the number of digits with which text begins, up to minJoined.
func leadingDigits(text []byte) int {
	n := 0
	for n < len(text) && n < minJoined && digitFlags[text[n]]&isDigit != 0 {
		n++
	}
	return n
}

// showsDigits reports whether text is long enough to say whether it begins in
// digits.
func showsDigits(text []byte) bool {
	n := leadingDigits(text)
	return n == minJoined || n < len(text) && (n == 0 || trimLeft(text, n) < cutFrame(text))
}

// endsInDigits reports whether text ends in enough base64 digits to be joined
// with more of them.
func endsInDigits(text []byte) bool {
	low := len(text) - minJoined
	if low < 0 || notDigits(text[low:]) {
		return false
	}
	for i := len(text) - 1; i >= low; i-- {
		if digitFlags[text[i]]&isDigit == 0 {
			return false
		}
	}
	return true
}

// notDigits reports whether one of minJoined bytes is less than all digits: a space, a
// quote, a line end.
func notDigits(text []byte) bool {
	a, b := binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[8:])
	return ((a-eachByte*'+')&^a|(b-eachByte*'+')&^b)&(eachByte*0x80) != 0
}

// eachByte has a one in each byte.
const eachByte = 0x0101010101010101

// endsInText reports whether text ends in enough base64 or hexadecimal digits
// to be joined with more of them, and they may stand for text.
func endsInText(text []byte) bool {
	low := len(text) - minJoined
	if low < 0 || notDigits(text[low:]) {
		return false
	}
	digits := text[low:]
	a, b := flagsOf(digits), flagsOf(digits[8:])
	if a&b&(eachByte*isDigit) != eachByte*isDigit {
		return false
	}
	// Groups of four digits that are text, by their first ones: three in a row begin
	// with one of the first five.
	first := a >> 3 & (a>>12 | b<<52) & (a>>21 | b<<43) & eachByte
	last := b >> 3 & (b >> 12) & (b >> 21) & eachByte
	if first&(first>>32|last<<32)&last&0x0101010101 != 0 {
		return true
	}
	// Six pairs of hexadecimal digits are twelve digits.
	a, b = a>>6&eachByte, b>>6&eachByte
	for _, shift := range [...]uint{8, 16, 32} {
		a, b = a&(a>>shift|b<<(64-shift)), b&(b>>shift)
	}
	return a&(a>>32|b<<32)&0x0101010101 != 0 && (looksLikeHexText(digits) || looksLikeHexText(digits[1:]))
}

// flagsOf are the flags of eight digits.
func flagsOf(d []byte) uint64 {
	d = d[:8:8]
	return uint64(digitFlags[d[0]]) | uint64(digitFlags[d[1]])<<8 | uint64(digitFlags[d[2]])<<16 | uint64(digitFlags[d[3]])<<24 |
		uint64(digitFlags[d[4]])<<32 | uint64(digitFlags[d[5]])<<40 | uint64(digitFlags[d[6]])<<48 | uint64(digitFlags[d[7]])<<56
}
