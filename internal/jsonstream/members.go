package jsonstream

import (
	"errors"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// maxName is how long the literal of a member's name may be.
const maxName = 1 << 20

// errLongName is the error of an object with a longer one.
var errLongName = errors.New("the name of a member is too long")

// CopyMembers writes the members of the object that r holds, without its
// braces and the space around names and values, and without the members that
// skip reports, and counts them. The text must be valid JSON. Another value
// than an object has no members.
func CopyMembers(w io.Writer, r io.Reader, skip func(name string) bool) (members int, err error) {
	c := memberCopier{w: w, skip: skip}
	if _, err := io.CopyBuffer(&c, struct{ io.Reader }{r}, make([]byte, 64<<10)); err != nil {
		return c.members, err
	}
	if c.place != ended {
		return c.members, io.ErrUnexpectedEOF
	}
	return c.members, nil
}

// The places of a memberCopier.
const (
	outside    = iota // of the object
	before            // a name, or the end
	within            // a name
	between           // name and value
	structured        // in a list or object
	quoted            // in a string
	plain             // in a number or literal
	ended
)

type memberCopier struct {
	w    io.Writer
	skip func(string) bool

	place   int
	depth   int  // of lists and objects in the value
	escaped bool // the last byte was a backslash
	inText  bool // in a string of a structured value
	silent  bool // the member is left out
	name    []byte
	members int
}

// Write takes the next piece of the text.
func (c *memberCopier) Write(p []byte) (int, error) {
	for i := 0; i < len(p); {
		n, err := c.take(p[i:])
		if err != nil {
			return i, err
		}
		i += n
	}
	return len(p), nil
}

// take takes some of p, which is not empty.
func (c *memberCopier) take(p []byte) (taken int, err error) {
	switch b := p[0]; c.place {
	case structured, quoted, plain:
		n := c.valueEnd(p)
		if c.silent {
			return n, nil
		}
		return c.w.Write(p[:n])
	case within:
		return c.readName(p)
	case outside:
		switch b {
		case ' ', '\t', '\r', '\n':
		case '{':
			c.place = before
		default:
			c.place = ended
		}
	case before:
		switch b {
		case '"':
			c.name, c.place = append(c.name[:0], b), within
		case '}':
			c.place = ended
		}
	case between:
		switch b {
		case ' ', '\t', '\r', '\n', ':':
		case '{', '[':
			c.place = structured
			return 0, nil
		case '"':
			c.place = quoted
			if !c.silent {
				_, err = c.w.Write(p[:1])
			}
		default:
			c.place = plain
			return 0, nil
		}
	}
	return 1, err
}

// readName reads on in a name, and begins the member behind it.
func (c *memberCopier) readName(p []byte) (taken int, err error) {
	n, done := c.stringEnd(p)
	if c.name = append(c.name, p[:n]...); len(c.name) > maxName {
		return 0, errLongName
	}
	if !done {
		return n, nil
	}
	c.place = between
	name, err := jsontext.AppendUnquote(nil, c.name)
	if c.silent = err != nil || c.skip(string(name)); c.silent {
		return n, nil
	}
	c.name = append(c.name, ':')
	if c.members++; c.members > 1 {
		c.name = slices.Insert(c.name, 0, ',')
	}
	_, err = c.w.Write(c.name)
	return n, err
}

// stringEnd is how much of p belongs to the string that is being read.
func (c *memberCopier) stringEnd(p []byte) (n int, done bool) {
	for i, b := range p {
		switch {
		case c.escaped:
			c.escaped = false
		case b == '\\':
			c.escaped = true
		case b == '"':
			return i + 1, true
		}
	}
	return len(p), false
}

// valueEnd is how much of p belongs to the value that is being read.
func (c *memberCopier) valueEnd(p []byte) int {
	switch c.place {
	case quoted:
		n, done := c.stringEnd(p)
		if done {
			c.place = before
		}
		return n
	case plain:
		for i, b := range p {
			switch b {
			case ' ', '\t', '\r', '\n', ',', '}':
				c.place = before
				return i
			}
		}
		return len(p)
	}
	for i := 0; i < len(p); i++ {
		if c.inText {
			n, done := c.stringEnd(p[i:])
			c.inText = !done
			i += n - 1
			continue
		}
		switch p[i] {
		case '"':
			c.inText = true
		case '{', '[':
			c.depth++
		case '}', ']':
			if c.depth--; c.depth == 0 {
				c.place = before
				return i + 1
			}
		}
	}
	return len(p)
}
