// Package dotenv reads .env files, literally: a "$" in a value is a "$", since
// passwords have them. Values may stand in quotes and then span lines, as
// private keys do.
//
//	# a comment
//	SECRET_API_TOKEN=p$ssw0rd           # a comment, after white space
//	export SECRET_OTHER='literal: \n $HOME'
//	SECRET_KEY="-----BEGIN KEY-----
//	...
//	-----END KEY-----"
//	SECRET_LINES="two\nlines"           # \n \r \t \" \\ in double quotes
//
// Parse leaves out a line of another form, and reports it: other programs that read
// the file may know its meaning. Reports name the line, never its content.
package dotenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// A Variable of a file. Any value may be a secret.
type Variable struct {
	Name  string
	Value plaintext.Bytes
}

// An Error says on which line a file is broken.
type Error struct {
	File    string // empty if the text came from elsewhere
	Line    int
	Message string

	whole bool // the parser has passed the error
	fatal bool // the file is refused
}

func (e *Error) Error() string {
	file := e.File
	if file == "" {
		file = "line "
	} else {
		file += ":"
	}
	return fmt.Sprintf("%s%d: %s", file, e.Line, e.Message)
}

// ReadFile parses the file at path.
func ReadFile(path string) (variables []Variable, odd []*Error, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	defer clear(text)
	variables, odd, err = Parse(text)
	for _, line := range odd {
		line.File = path
	}
	if broken, ok := errors.AsType[*Error](err); ok {
		broken.File = path
	}
	return variables, odd, err
}

// Parse reads the text of a file. A name that is set twice appears twice, and
// the last one counts. The lines that are left out are odd, at most 100 of them. A
// value that no process can be given is an error. Parse keeps no part of text.
func Parse(text []byte) (variables []Variable, odd []*Error, err error) {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return nil, nil, &Error{Line: 1, Message: "the file " + plaintext.ErrUTF16.Error()}
	}
	p := parser{text: plaintext.TrimBOM(text), line: 1}
	for {
		p.skipBlank()
		if p.done() {
			return variables, odd, nil
		}
		begin, line := p.at, p.line
		variable, wrong := p.variable()
		if wrong == nil {
			variables = append(variables, variable)
			continue
		}
		if wrong.fatal {
			return nil, nil, wrong
		}
		if len(odd) < maxOdd {
			odd = append(odd, wrong)
		}
		if wrong.whole { // the rest belongs to it
			p.skipLine()
			continue
		}
		p.at, p.line = begin, line
		p.skipLine()
	}
}

const maxOdd = 100

type parser struct {
	text []byte
	at   int
	line int
}

func (p *parser) done() bool { return p.at >= len(p.text) }

// peek returns 0 at the end; Check refuses a NUL in the text.
func (p *parser) peek() byte {
	if p.done() {
		return 0
	}
	return p.text[p.at]
}

func (p *parser) next() byte {
	c := p.peek()
	p.at++
	if c == '\n' {
		p.line++
	}
	return c
}

func (p *parser) fail(line int, message string) *Error { return &Error{Line: line, Message: message} }

// skipBlank passes white space, line ends and comments.
func (p *parser) skipBlank() {
	for !p.done() {
		switch c := p.peek(); {
		case isSpace(c) || c == '\n':
			p.next()
		case c == '#':
			p.skipLine()
		default:
			return
		}
	}
}

func (p *parser) skipSpace() {
	for isSpace(p.peek()) {
		p.next()
	}
}

func (p *parser) skipLine() {
	for !p.done() && p.peek() != '\n' {
		p.next()
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

func isNameByte(c byte, first bool) bool {
	return c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || !first && c >= '0' && c <= '9'
}

func (p *parser) name() string {
	start := p.at
	for isNameByte(p.peek(), p.at == start) {
		p.next()
	}
	return string(p.text[start:p.at])
}

func (p *parser) variable() (Variable, *Error) {
	name := p.name()
	if name == "export" && isSpace(p.peek()) {
		p.skipSpace()
		name = p.name()
	}
	p.skipSpace()
	if name == "" || p.peek() != '=' {
		return Variable{}, p.fail(p.line, "expected NAME=value; names have letters, digits and _")
	}
	p.next()
	p.skipSpace()
	line := p.line
	value, err := p.value()
	if err != nil {
		return Variable{}, err
	}
	// Neither length nor lines count here: other variables may have more.
	if err := plaintext.Check(value); err != nil && !errors.Is(err, plaintext.ErrTooLarge) && !errors.Is(err, plaintext.ErrParts) {
		clear(value)
		wrong := p.fail(line, fmt.Sprintf("the value of %s %v", name, err))
		wrong.fatal = true
		return Variable{}, wrong
	}
	return Variable{Name: name, Value: plaintext.New(value)}, nil
}

func (p *parser) value() ([]byte, *Error) {
	switch p.peek() {
	case '\'':
		return p.quoted(false)
	case '"':
		return p.quoted(true)
	default:
		return p.bare(), nil
	}
}

// bare reads to the end of the line or to a comment after white space.
func (p *parser) bare() []byte {
	start := p.at
	end := start
	for !p.done() && p.peek() != '\n' {
		c := p.next()
		if c == '#' && isSpace(p.text[max(p.at-2, 0)]) {
			p.skipLine()
			break
		}
		if !isSpace(c) {
			end = p.at
		}
	}
	return bytes.Clone(p.text[start:end])
}

func (p *parser) quoted(escapes bool) ([]byte, *Error) {
	line, quote := p.line, p.next()
	value := []byte{}
	for {
		if p.done() {
			clear(value)
			return nil, p.fail(line, "the quote that opens here is never closed")
		}
		c := p.next()
		switch {
		case c == quote:
			return p.afterQuote(value)
		case c == '\\' && escapes:
			value = append(value, p.escape()...)
		case c == '\r' && p.peek() == '\n': // a line end of the file, not of the value
		default:
			value = append(value, c)
		}
	}
}

// escape reads the character after a backslash in double quotes. Unknown escapes
// stay unchanged, backslash included.
func (p *parser) escape() []byte {
	switch c := p.next(); c {
	case 'n':
		return []byte{'\n'}
	case 'r':
		return []byte{'\r'}
	case 't':
		return []byte{'\t'}
	case '"', '\\':
		return []byte{c}
	case 0:
		return []byte{'\\'}
	default:
		return []byte{'\\', c}
	}
}

func (p *parser) afterQuote(value []byte) ([]byte, *Error) {
	p.skipSpace()
	switch p.peek() {
	case '#':
		p.skipLine()
	case '\n':
	default:
		if !p.done() {
			clear(value)
			wrong := p.fail(p.line, "there is text after the closing quote")
			wrong.whole = true
			return nil, wrong
		}
	}
	return value, nil
}
