package jsonstream

import (
	"bufio"
	"cmp"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// maxName bounds the literal of a name that is passed to skip.
const maxName = 4 << 10

// CopyMembers writes the members of the object that r holds, without its braces
// and the space around names and values. It leaves out the members that skip
// reports, and returns the number of the others. It may copy a member whose name
// is longer than 4 KiB without calling skip. The text must be valid JSON; a value
// other than an object has no members.
func CopyMembers(w io.Writer, r io.Reader, skip func(name string) bool) (members int, err error) {
	out := bufio.NewWriterSize(w, 64<<10) // a copier writes names and small values
	c := memberCopier{w: out, skip: skip}
	_, err = io.CopyBuffer(&c, struct{ io.Reader }{r}, make([]byte, 64<<10))
	if err := cmp.Or(err, out.Flush()); err != nil {
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
	withinLong        // a name of which the beginning is written
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
	case withinLong:
		return c.endName(p)
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
	c.name = append(c.name, p[:n]...)
	switch {
	case done:
		c.place = between
		name, err := jsontext.AppendUnquote(nil, c.name)
		if c.silent = err != nil || c.skip(string(name)); c.silent {
			return n, nil
		}
		c.name = append(c.name, ':')
	case len(c.name) > maxName:
		c.place, c.silent = withinLong, false
	default:
		return n, nil
	}
	if c.members++; c.members > 1 {
		c.name = slices.Insert(c.name, 0, ',')
	}
	_, err = c.w.Write(c.name)
	return n, err
}

// endName reads on in a long name.
func (c *memberCopier) endName(p []byte) (taken int, err error) {
	n, done := c.stringEnd(p)
	if _, err := c.w.Write(p[:n]); err != nil || !done {
		return n, err
	}
	c.place = between
	_, err = c.w.Write([]byte{':'})
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
