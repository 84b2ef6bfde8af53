package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
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

// addPairs adds a value in pairs of hexadecimal digits, if these are too few for the view
// that undoes them.
func (s *formSet) addPairs(value []byte) {
	if 3*len(value)-1 >= minSpan {
		return
	}
	defer func(spaced bool) { s.spaced = spaced }(s.spaced) // printers break no such lines
	for _, digits := range [...]string{hexDigits, "0123456789ABCDEF"} {
		for _, separator := range [...]byte{':', ' ', '-'} {
			s.addAppended(func(dst []byte) []byte {
				for i, c := range value {
					if i > 0 {
						dst = append(dst, separator)
					}
					dst = append(dst, digits[c>>4], digits[c&15])
				}
				return dst
			})
		}
	}
}

// addBase64 adds the forms of value inside a longer base64 text in which it
// stands at a position that is shift more than a multiple of three.
//
// Three such alignments are all there are, and they cover a value with
// anything before and after it: "user:" before a token, a line feed behind it.
// Digits that also hold bits of the unknown neighbours cannot be searched for
// and are left out; at the end of the text, where there is no neighbour, the
// last digit and the padding are known and are separate forms.
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
	s.add(digits[first:inner])
	if whole > inner {
		s.add(digits[first:whole])
	}
	if len(digits) > whole {
		s.add(digits[first:])
	}
}
