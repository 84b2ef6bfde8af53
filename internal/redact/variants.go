package redact

import (
	"bytes"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// addCases adds value in capital and in small letters, as names of variables,
// hosts and headers are written.
func (s *formSet) addCases(value []byte) {
	if len(value) < MinPart {
		return
	}
	s.addAppended(func(dst []byte) []byte { return append(dst, bytes.ToLower(value)...) })
	s.addAppended(func(dst []byte) []byte { return append(dst, bytes.ToUpper(value)...) })
}

// addAppended adds what appendTo appends to the slice it is given.
func (s *formSet) addAppended(appendTo func([]byte) []byte) {
	start := len(s.arena)
	s.arena = appendTo(s.arena)
	s.commit(start)
}

// addQuotes adds value with its quotes as shells, SQL and CSV write them, also in a
// command within a command. Forms and URLs write its spaces otherwise, and
// configuration files and templates double their marks. No view undoes these.
func (s *formSet) addQuotes(value []byte) {
	s.addReplaced(value, `'`, `'\''`)
	s.addReplaced(value, `'`, `'"'"'`)
	s.addReplaced(value, `'`, `'\''\'\'''\''`)
	s.addReplaced(value, `'`, nestedQuote)
	s.addReplaced(value, `'`, `''`)
	s.addReplaced(value, "%", "%%")
	s.addReplaced(value, "$", "$$")
	s.addReplaced(bytes.ReplaceAll(value, []byte("}"), []byte("}}")), "{", "{{")
	s.addReplaced(value, `"`, `""`)
	s.addReplaced(value, " ", "+")
	s.addReplaced(value, " ", "_")
}

// nestedQuote is the longest way to write a quote.
const nestedQuote = `'"'"'"'"'"'"'"'"'`

func (s *formSet) addReplaced(value []byte, old, with string) {
	if bytes.Contains(value, []byte(old)) {
		s.addAppended(func(dst []byte) []byte { return append(dst, bytes.ReplaceAll(value, []byte(old), []byte(with))...) })
	}
}

// addUndone adds value with what looks like an escape in it undone, for views
// undo it too.
func (s *formSet) addUndone(value []byte) {
	present := kind(0)
	for at, c := range value {
		var u unit
		if unitKind[c] != 0 && parseUnit(value, at, &u) == isUnit {
			present |= unitKind[c]
		}
	}
	for kinds := kind(1); kinds <= present; kinds++ {
		if kinds&^present == 0 {
			s.addAppended(func(dst []byte) []byte { return appendUndone(dst, value, kinds) })
		}
	}
}

// appendUndone appends value with the escapes of kinds undone.
func appendUndone(dst, value []byte, kinds kind) []byte {
	for at := 0; at < len(value); {
		var u unit
		if unitKind[value[at]]&kinds != 0 && parseUnit(value, at, &u) == isUnit {
			dst = append(dst, u.out[:u.n]...)
			at = u.end
			continue
		}
		dst = append(dst, value[at])
		at++
	}
	return dst
}

// addCharsets adds a value beyond ASCII in the other normal form of its
// letters, in Latin-1 and in UTF-16 and UTF-32. Where all of it is ASCII, the
// view without NULs finds the latter.
func (s *formSet) addCharsets(value []byte) {
	high := bytes.ContainsFunc(value, func(r rune) bool { return r >= utf8.RuneSelf })
	if !high || !utf8.Valid(value) {
		return
	}
	for _, form := range [...]norm.Form{norm.NFC, norm.NFD} {
		s.addAppended(func(dst []byte) []byte { return form.Append(dst, value...) })
	}
	// SQLite and many tables of letters know the case of ASCII alone.
	s.addAppended(func(dst []byte) []byte { return appendCase(dst, value, 'A', 'Z') })
	s.addAppended(func(dst []byte) []byte { return appendCase(dst, value, 'a', 'z') })
	// Servers read the bytes of headers as Latin-1.
	s.addAppended(func(dst []byte) []byte { return appendMisread(dst, value, false) })
	s.addAppended(func(dst []byte) []byte { return appendMisread(dst, value, true) })
	// Python's ascii() writes only what Latin-1 has as one byte.
	latin := appendLatin1(nil, value)
	if len(latin) >= MinLength {
		s.add(latin)
		s.addQuotes(latin)
		s.addHex(latin)
		for shift := range 3 {
			s.addBase64(latin, shift)
		}
	}
	clear(latin)
	if bytes.ContainsFunc(value, func(r rune) bool { return r > 0xff }) {
		for _, width := range [...]int{2, 4} {
			s.addAppended(func(dst []byte) []byte { return appendWide(dst, value, width, true) })
			s.addAppended(func(dst []byte) []byte { return appendWide(dst, value, width, false) })
		}
	}
}

// appendCase appends value with the letters of ASCII from first to last in the other
// case.
func appendCase(dst, value []byte, first, last byte) []byte {
	for _, c := range value {
		if first <= c && c <= last {
			c ^= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// appendMisread appends what a program writes that takes each byte of value as a
// character of Latin-1. A literal has escapes for those that do not print, which a view
// undoes to one byte.
func appendMisread(dst, value []byte, literal bool) []byte {
	for _, c := range value {
		if literal && !unicode.IsPrint(rune(c)) {
			dst = append(dst, c)
		} else {
			dst = utf8.AppendRune(dst, rune(c))
		}
	}
	return dst
}

func appendLatin1(dst, value []byte) []byte {
	for len(value) > 0 {
		r, size := utf8.DecodeRune(value)
		if r <= 0xff {
			dst = append(dst, byte(r))
		} else {
			dst = append(dst, value[:size]...)
		}
		value = value[size:]
	}
	return dst
}

// appendWide appends value in units of two or four bytes.
func appendWide(dst, value []byte, width int, little bool) []byte {
	for _, r := range string(value) {
		units := [2]rune{r}
		n := 1
		if width == 2 && r > 0xffff {
			units[0], units[1] = utf16.EncodeRune(r)
			n = 2
		}
		for _, unit := range units[:n] {
			for i := range width {
				if !little {
					i = width - 1 - i
				}
				dst = append(dst, byte(unit>>(8*i)))
			}
		}
	}
	return dst
}
