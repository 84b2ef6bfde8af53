package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"slices"
)

// addHex adds value in hexadecimal digits of either case.
func (s *formSet) addHex(value []byte) {
	start := len(s.arena)
	s.arena = hex.AppendEncode(s.arena, value)
	upper := len(s.arena)
	s.commit(start)
	start = len(s.arena)
	s.arena = append(s.arena, s.arena[upper-2*len(value):upper]...)
	for i, c := range s.arena[start:] {
		if c >= 'a' {
			s.arena[start+i] = c - ('a' - 'A')
		}
	}
	s.commit(start)
}

// addBase64 adds the forms of value inside a longer base64 text in which it
// stands at a position that is shift more than a multiple of three.
//
// Three such alignments are all there are, and they cover a value with
// anything before and after it: "user:" before a token, a line feed behind it.
// Digits that also hold bits of the unknown neighbours cannot be searched for
// and are left out; at the end of the text, where there is no neighbour, the
// last digit and the padding are known and are forms of their own.
func (s *formSet) addBase64(value []byte, shift int) {
	// Digits before first and from inner on hold bits of a neighbour.
	first := (8*shift + 5) / 6
	inner := 8 * (shift + len(value)) / 6
	whole := (8*(shift+len(value)) + 5) / 6

	if need := 4*len(value) + 16; cap(s.scratch) < need {
		s.scratch = moved(s.scratch, need)
	}
	s.scratch = append(s.scratch[:0], 0, 0)[:shift]
	s.scratch = append(s.scratch, value...)
	raw := len(s.scratch)
	s.scratch = base64.StdEncoding.AppendEncode(s.scratch, s.scratch)
	digits := s.scratch[raw:]
	s.addBase64Ends(digits, first, inner, whole)
	if bytes.ContainsAny(digits, "+/") {
		for i, c := range digits {
			switch c {
			case '+':
				digits[i] = '-'
			case '/':
				digits[i] = '_'
			}
		}
		s.addBase64Ends(digits, first, inner, whole)
	}
	clear(s.scratch)
}

// addBase64Ends adds the forms of one alignment and alphabet: continued by
// unknown bytes, at the end without padding, at the end with padding.
func (s *formSet) addBase64Ends(digits []byte, first, inner, whole int) {
	s.addWrapped(digits[:inner], first)
	if whole > inner {
		s.addWrapped(digits[:whole], first)
	}
	if len(digits) > whole {
		s.addWrapped(digits, first)
	}
}

// addWrapped adds digits[first:] in one line, and broken after every 64 (PEM,
// openssl) and 76 (MIME, base64) columns with either line ending.
func (s *formSet) addWrapped(digits []byte, first int) {
	s.add(digits[first:])
	for _, width := range [...]int{64, 76} {
		if len(digits) <= width {
			continue
		}
		for _, lineBreak := range [...]string{"\n", "\r\n"} {
			start := len(s.arena)
			line := first
			for chunk := range slices.Chunk(digits, width) {
				if line == 0 && len(s.arena) > start {
					s.arena = append(s.arena, lineBreak...)
				}
				s.arena = append(s.arena, chunk[line:]...)
				line = 0
			}
			s.commit(start)
		}
	}
}

// percentSafe lists, for the percent-encoders in use, the characters each
// leaves as they are beside letters, digits and "-_.".
var percentSafe = [...]string{
	"~",                   // RFC 3986 unreserved; Go's QueryEscape, Python's quote_plus
	"~/",                  // Python's quote
	"~!'()*",              // encodeURIComponent
	"~$&+:=@",             // Go's PathEscape
	"~$&+,/:;=@",          // Go's URL.Path
	"~$&+,;=",             // Go's user information
	"~!#$&'()*+,/:;=?@",   // encodeURI
	"~!#$&'()*+,/:;=?@[]", // curl and browsers in a path
	"*",                   // URLSearchParams, Java's URLEncoder
	"",                    // older encoders, which know no tilde
}

// addPercent adds value percent-encoded with digits of either case, and with a
// space as "+".
func (s *formSet) addPercent(value []byte) {
	var present byteSet
	for _, c := range value {
		present.add(c)
	}
	var done [len(percentSafe)]byteSet
	for i, characters := range percentSafe {
		// Most encoders differ in characters this value does not have.
		var safe byteSet
		for _, c := range []byte(characters) {
			if present.has(c) {
				safe.add(c)
			}
		}
		done[i] = safe
		if slices.Contains(done[:i], safe) {
			continue
		}
		for _, digits := range [...]string{"0123456789ABCDEF", "0123456789abcdef"} {
			s.addPercentAs(value, &safe, digits, false)
			if present.has(' ') {
				s.addPercentAs(value, &safe, digits, true)
			}
		}
	}
}

func (s *formSet) addPercentAs(value []byte, safe *byteSet, digits string, plus bool) {
	start := len(s.arena)
	for _, c := range value {
		switch {
		case isAlphanumeric(c), c == '-', c == '_', c == '.', safe.has(c):
			s.arena = append(s.arena, c)
		case c == ' ' && plus:
			s.arena = append(s.arena, '+')
		default:
			s.arena = append(s.arena, '%', digits[c>>4], digits[c&15])
		}
	}
	s.commit(start)
}
