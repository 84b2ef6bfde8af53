// Package jsonstream reads JSON texts of any size in constant memory: long
// strings too, which decoders hold as a whole.
package jsonstream

import (
	"errors"
	"io"
	"strings"
)

// ErrSyntax is the error of a text that is not one JSON value, or is nested
// deeper than encoding/json reads.
var ErrSyntax = errors.New("not a JSON document")

// maxDepth is the maximum of encoding/json.
const maxDepth = 10_000

// A state decides which bytes may come next.
type state uint8

const (
	value      state = iota
	firstValue       // or the end of the list
	firstName        // or the end of the object
	name             // behind a comma
	colon            // behind a name
	after            // behind a value
	inString         // or a name
	escape           // behind a backslash
	hex              // digits of \u
	literal          // the rest of true, false, null
	minus            // behind the sign of a number
	zero             // behind a leading zero
	integer          // digits
	point            // behind the decimal point
	fraction         // digits
	exponent         // behind e
	exponentSign
	exponentDigits
)

// A Checker checks the syntax of a text that comes in pieces. The zero value
// is ready.
type Checker struct {
	state   state
	isName  bool   // of the string
	objects []bool // the open containers: is it an object?
	rest    string // of a literal, still to come
	digits  int    // that are still to come in \u
	failed  bool
}

// Write takes the next piece. The error is ErrSyntax.
func (c *Checker) Write(p []byte) (int, error) {
	for i := 0; i < len(p) && !c.failed; {
		if c.state == inString {
			i += c.text(p[i:])
			continue
		}
		if c.step(p[i]) {
			i++
		}
	}
	if c.failed {
		return 0, ErrSyntax
	}
	return len(p), nil
}

// Close reports whether the text is complete.
func (c *Checker) Close() error {
	switch c.state {
	case after, zero, integer, fraction, exponentDigits:
		if len(c.objects) == 0 && !c.failed {
			return nil
		}
	default:
	}
	return ErrSyntax
}

// text reads on in a string.
func (c *Checker) text(p []byte) (read int) {
	for i, b := range p {
		switch {
		case b == '"':
			c.state = after
			if c.isName {
				c.state = colon
			}
			return i + 1
		case b == '\\':
			c.state = escape
			return i + 1
		case b < ' ':
			c.failed = true
			return i + 1
		}
	}
	return len(p)
}

// step takes a byte; it leaves the byte that ends a number.
func (c *Checker) step(b byte) (taken bool) {
	switch c.state {
	case escape:
		c.escaped(b)
	case hex:
		if c.digits--; c.digits == 0 {
			c.state = inString
		}
		c.failed = !strings.ContainsRune("0123456789abcdefABCDEF", rune(b))
	case literal:
		c.failed = b != c.rest[0]
		if c.rest = c.rest[1:]; c.rest == "" {
			c.state = after
		}
	case minus, zero, integer, point, fraction, exponent, exponentSign, exponentDigits:
		return c.number(b)
	default:
		if b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			c.structure(b)
		}
	}
	return true
}

func (c *Checker) escaped(b byte) {
	c.state = inString
	switch b {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
	case 'u':
		c.state, c.digits = hex, 4
	default:
		c.failed = true
	}
}

// structure takes a byte between strings, numbers and literals, or begins one.
func (c *Checker) structure(b byte) {
	switch {
	case c.state == colon:
		c.failed = b != ':'
		c.state = value
	case c.state == after:
		c.follow(b)
	case (c.state == firstValue && b == ']') || (c.state == firstName && b == '}'):
		c.close()
	case c.state == firstName || c.state == name:
		c.failed = b != '"'
		c.state, c.isName = inString, true
	default:
		c.begin(b)
	}
}

// follow takes the byte after a value.
func (c *Checker) follow(b byte) {
	isObject := len(c.objects) > 0 && c.objects[len(c.objects)-1]
	switch {
	case len(c.objects) == 0:
		c.failed = true
	case b == ',' && isObject:
		c.state = name
	case b == ',':
		c.state = value
	case b == '}' && isObject, b == ']' && !isObject:
		c.close()
	default:
		c.failed = true
	}
}

func (c *Checker) close() {
	c.objects = c.objects[:len(c.objects)-1]
	c.state = after
}

// begin takes the first byte of a value.
func (c *Checker) begin(b byte) {
	switch b {
	case '{', '[':
		c.state = firstValue
		if b == '{' {
			c.state = firstName
		}
		c.objects = append(c.objects, b == '{')
		c.failed = len(c.objects) > maxDepth
	case '"':
		c.state, c.isName = inString, false
	case 't':
		c.state, c.rest = literal, "true"[1:]
	case 'f':
		c.state, c.rest = literal, "false"[1:]
	case 'n':
		c.state, c.rest = literal, "null"[1:]
	case '-':
		c.state = minus
	case '0':
		c.state = zero
	default:
		c.state = integer
		c.failed = b < '1' || b > '9'
	}
}

// number continues a number, or ends it.
func (c *Checker) number(b byte) (taken bool) {
	if next, goes := c.afterDigit(b); goes {
		c.state = next
		return true
	}
	switch {
	case b == '.' && (c.state == zero || c.state == integer):
		c.state = point
	case (b == 'e' || b == 'E') && (c.state == zero || c.state == integer || c.state == fraction):
		c.state = exponent
	case (b == '+' || b == '-') && c.state == exponent:
		c.state = exponentSign
	case c.state == zero || c.state == integer || c.state == fraction || c.state == exponentDigits:
		c.state = after
		return false
	default:
		c.failed = true
	}
	return true
}

// afterDigit is the state behind a digit, if one may come.
func (c *Checker) afterDigit(b byte) (next state, goes bool) {
	if b < '0' || b > '9' {
		return 0, false
	}
	switch c.state {
	case minus:
		if b == '0' {
			return zero, true
		}
		return integer, true
	case integer, fraction, exponentDigits:
		return c.state, true
	case point:
		return fraction, true
	case exponent, exponentSign:
		return exponentDigits, true
	default:
		return 0, false
	}
}

// Check reads a text to its end. The error is ErrSyntax or that of the reader.
func Check(r io.Reader) error {
	var c Checker
	if _, err := io.CopyBuffer(&c, struct{ io.Reader }{r}, make([]byte, 64<<10)); err != nil {
		return err
	}
	return c.Close()
}
