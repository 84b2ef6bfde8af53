package shape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a text: deeper ones serve only to exhaust the
// stack of a reader.
const maxDepth = 200

// checkText refuses texts that are not JSON or would take long to read. Its message repeats
// nothing of the text.
func checkText(text []byte) string {
	if !utf8.Valid(text) {
		return "is not valid UTF-8"
	}
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return fmt.Sprintf("is nested deeper than %d levels", maxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	if !json.Valid(text) {
		return "is not JSON" + syntaxAt(text)
	}
	return ""
}

func syntaxAt(text []byte) string {
	var syntax *json.SyntaxError
	err := json.Unmarshal(text, new(any))
	if !errors.As(err, &syntax) {
		return ""
	}
	before := text[:min(max(int(syntax.Offset)-1, 0), len(text))]
	if len(before) >= len(bytes.TrimRight(text, " \t\r\n"))-1 && bytes.Contains([]byte(syntax.Error()), []byte("end of JSON")) {
		return ": it ends too early"
	}
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf(": the error is in line %d, at byte %d", line, column)
}

// A scanner moves through a text that checkText has accepted, so it can rely on the
// grammar.
type scanner struct {
	text []byte
	pos  int
}

// peek is the first byte of the next token.
func (s *scanner) peek() byte {
	for {
		switch c := s.text[s.pos]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
			s.pos++
		default:
			return c
		}
	}
}

// string reads a string token, with its escapes resolved.
func (s *scanner) string() string {
	s.peek()
	start, escaped := s.pos, false
	for s.pos++; s.text[s.pos] != '"'; s.pos++ {
		if s.text[s.pos] == '\\' {
			escaped = true
			s.pos++
		}
	}
	s.pos++
	if !escaped {
		return string(s.text[start+1 : s.pos-1])
	}
	var plain string
	_ = json.Unmarshal(s.text[start:s.pos], &plain) // a valid token
	return plain
}

// number reads a number token.
func (s *scanner) number() string {
	s.peek()
	start := s.pos
	for s.pos < len(s.text) && bytes.IndexByte([]byte("+-.eE0123456789"), s.text[s.pos]) >= 0 {
		s.pos++
	}
	return string(s.text[start:s.pos])
}

// word reads true, false or null.
func (s *scanner) word() string {
	s.peek()
	start := s.pos
	for s.pos < len(s.text) && 'a' <= s.text[s.pos] && s.text[s.pos] <= 'z' {
		s.pos++
	}
	return string(s.text[start:s.pos])
}

// enter reads a brace or bracket; more reports whether another element
// follows, and reads the closing one if not.
func (s *scanner) enter() {
	s.peek()
	s.pos++
}

func (s *scanner) more() bool {
	if c := s.peek(); c == '}' || c == ']' {
		s.pos++
		return false
	}
	return true
}
