package redact

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// addEscapes adds value as it stands inside string literals of the languages
// a log is written by and for.
func (s *formSet) addEscapes(value []byte) {
	for _, style := range jsonStyles {
		s.addAppended(func(dst []byte) []byte { return style.append(dst, value) })
	}
	// JSON inside JSON, as a program logs an answer it was given.
	once := jsonStyles[0].append(nil, value)
	s.addAppended(func(dst []byte) []byte { return jsonStyles[0].append(dst, once) })

	for _, quote := range [...]byte{0, '\'', '"'} {
		for _, charset := range [...]pythonCharset{pythonText, pythonASCII, pythonBytes} {
			s.addAppended(func(dst []byte) []byte { return appendPython(dst, value, quote, charset) })
		}
	}
	s.addAppended(func(dst []byte) []byte { return unquoted(strconv.AppendQuote(dst, string(value)), len(dst)) })
	s.addAppended(func(dst []byte) []byte { return unquoted(strconv.AppendQuoteToASCII(dst, string(value)), len(dst)) })
	s.addShell(value)
	s.addHTML(value)
}

// addAppended adds what appendTo appends to the slice it is given.
func (s *formSet) addAppended(appendTo func([]byte) []byte) {
	start := len(s.arena)
	s.arena = appendTo(s.arena)
	s.commit(start)
}

// unquoted removes the quotes around literal[mark:].
func unquoted(literal []byte, start int) []byte {
	end := len(literal) - 1
	copy(literal[start:], literal[start+1:end])
	return literal[:end-1]
}

// jsonStyle is what one family of JSON writers escapes beyond what it must.
type jsonStyle struct {
	also   string // characters written as \u00XX
	slash  bool   // "/" as "\/"
	ascii  bool   // everything beyond ASCII as \uXXXX
	format string // of \uXXXX
}

var jsonStyles = [...]jsonStyle{
	{format: `\u%04x`},                                      // JavaScript, pydantic
	{format: `\u%04x`, also: "<>&\u2028\u2029"},             // Go
	{format: `\u%04x`, also: "\u2028\u2029"},                // Go without HTML escapes
	{format: `\u%04x`, ascii: true},                         // Python
	{format: `\u%04x`, ascii: true, slash: true},            // PHP
	{format: `\u%04x`, slash: true},                         // PHP, unescaped Unicode
	{format: `\u%04X`, ascii: true},                         // Java
	{format: `\u%04X`, ascii: true, also: "\"<>&'+`\u007f"}, // .NET
}

const hexDigits = "0123456789abcdef"

func (j jsonStyle) append(dst, value []byte) []byte {
	for len(value) > 0 {
		r, size := utf8.DecodeRune(value)
		switch short := bytes.IndexByte([]byte("\b\f\n\r\t\"\\"), value[0]); {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, value[0]) // not text: no writer agrees on it
		case bytes.ContainsRune([]byte(j.also), r):
			dst = fmt.Appendf(dst, j.format, r)
		case short >= 0:
			dst = append(dst, '\\', `bfnrt"\`[short])
		case r == '/' && j.slash:
			dst = append(dst, '\\', '/')
		case r < 0x20 || j.ascii && r >= 0x7f && r <= 0xffff && r != 0x7f:
			dst = fmt.Appendf(dst, j.format, r)
		case j.ascii && r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, j.format+j.format, high, low)
		default:
			dst = append(dst, value[:size]...)
		}
		value = value[size:]
	}
	return dst
}

// pythonCharset says what a Python literal shows as it is.
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

// addShell adds value as a shell command line holds it.
func (s *formSet) addShell(value []byte) {
	s.addReplaced(value, `'`, `'\''`)
	s.addReplaced(value, `'`, `'"'"'`) // Python's shlex.quote
	s.addBackslashed(value, func(c byte) bool { return bytes.IndexByte([]byte("\"\\$`"), c) >= 0 })
	s.addBackslashed(value, func(c byte) bool { return bytes.IndexByte([]byte("\"\\$`!"), c) >= 0 })
	s.addBackslashed(value, func(c byte) bool { // bash's printf %q, Ruby's shellescape
		return c < 0x80 && !isAlphanumeric(c) && bytes.IndexByte([]byte("_@%+=:,./-"), c) < 0
	})
	s.addBackslashed(value, func(c byte) bool { // bash 5 and zsh, which leave these
		return c < 0x80 && !isAlphanumeric(c) && bytes.IndexByte([]byte("_@%+=:./-"), c) < 0
	})
	for _, octal := range [...]bool{false, true} {
		s.addAppended(func(dst []byte) []byte { return appendANSIQuoted(dst, value, octal) })
	}
}

func (s *formSet) addReplaced(value []byte, old, with string) {
	if bytes.Contains(value, []byte(old)) {
		s.add(bytes.ReplaceAll(value, []byte(old), []byte(with)))
	}
}

func (s *formSet) addBackslashed(value []byte, special func(byte) bool) {
	start := len(s.arena)
	for _, c := range value {
		if special(c) {
			s.arena = append(s.arena, '\\')
		}
		s.arena = append(s.arena, c)
	}
	s.commit(start)
}

// appendANSIQuoted appends value as it stands inside $'…', with the bytes of
// other scripts as they are or in octal.
func appendANSIQuoted(dst, value []byte, octal bool) []byte {
	for _, c := range value {
		switch short := bytes.IndexByte([]byte("\a\b\x1b\f\n\r\t\v\\'"), c); {
		case short >= 0:
			dst = append(dst, '\\', `abEfnrtv\'`[short])
		case c < 0x20, c == 0x7f, c > 0x7f && octal:
			dst = fmt.Appendf(dst, `\%03o`, c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// htmlQuotes lists how HTML and XML writers put the double and the single
// quote, an empty string for one that stays.
var htmlQuotes = [...][2]string{
	{"", ""},
	{"&quot;", ""},
	{"&#34;", "&#39;"},
	{"&quot;", "&#39;"},
	{"&quot;", "&#x27;"},
	{"&quot;", "&#039;"},
	{"&quot;", "&apos;"},
	{"&#34;", ""},
}

// addHTML adds value as text and attributes of a page hold it.
func (s *formSet) addHTML(value []byte) {
	if !bytes.ContainsAny(value, `&<>"'`) {
		return
	}
	for _, quotes := range htmlQuotes {
		for _, gt := range [...]string{"&gt;", ">"} {
			start := len(s.arena)
			for _, c := range value {
				switch {
				case c == '&':
					s.arena = append(s.arena, "&amp;"...)
				case c == '<':
					s.arena = append(s.arena, "&lt;"...)
				case c == '>':
					s.arena = append(s.arena, gt...)
				case c == '"' && quotes[0] != "":
					s.arena = append(s.arena, quotes[0]...)
				case c == '\'' && quotes[1] != "":
					s.arena = append(s.arena, quotes[1]...)
				default:
					s.arena = append(s.arena, c)
				}
			}
			s.commit(start)
		}
	}
}
