package masking

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/qhubctl/qhubctl/internal/redact"
)

// long masks a string or number that does not fit in memory. It is read twice,
// the first time to see whether anything has to be masked.
func (s *streamer) long() error {
	start := s.position()
	isText := s.buffer[s.at] == '"'
	var end int64
	clean, err := unchanged(s.masker, func(to io.Writer) (err error) {
		if !isText {
			end, err = s.token(start, isText, to)
			return err
		}
		text := &unquoter{out: to}
		end, err = s.token(start, isText, text)
		return errors.Join(err, text.close())
	})
	if err != nil {
		return err
	}
	switch {
	case clean:
		if isText {
			s.emit([]byte{'"'})
		}
		_, err = s.token(start, isText, s.out)
		if isText {
			s.emit([]byte{'"'})
		}
	case isText:
		s.emit([]byte{'"'})
		masked := s.masker.Writer(&quoter{out: s.out})
		text := &unquoter{out: masked}
		_, err = s.token(start, isText, text)
		err = errors.Join(err, text.close(), masked.Close())
		s.emit([]byte{'"'})
	default:
		s.numbers++
		s.emit(quoted(redact.Mask))
	}
	if err != nil {
		return err
	}
	s.buffer, s.at, s.offset, s.ended = s.buffer[:0], 0, end, false
	_, err = s.src.Seek(end, io.SeekStart)
	return err
}

// token copies a string without its quotes, or a number, and gives its end.
func (s *streamer) token(start int64, isText bool, to io.Writer) (end int64, err error) {
	if isText {
		start++
	}
	if _, err := s.src.Seek(start, io.SeekStart); err != nil {
		return 0, err
	}
	buffer := make([]byte, block)
	escaped := false
	for end = start; ; {
		n, err := s.src.Read(buffer)
		part := buffer[:n]
		for i, b := range part {
			switch {
			case escaped:
				escaped = false
			case isText && b == '\\':
				escaped = true
			case isText && b == '"':
				_, err = to.Write(part[:i])
				return end + int64(i) + 1, err
			case !isText && bytes.IndexByte([]byte(" \t\r\n,]}"), b) >= 0:
				_, err = to.Write(part[:i])
				return end + int64(i), err
			}
		}
		if _, err := to.Write(part); err != nil {
			return 0, err
		}
		end += int64(n)
		if err != nil {
			if errors.Is(err, io.EOF) && !isText {
				return end, nil
			}
			return 0, err
		}
	}
}

// unquoter writes the text that the inside of a string stands for.
type unquoter struct {
	out io.Writer
	// escape is an escape that is not complete: of a character outside the basic
	// plane there are two.
	escape []byte
	done   []byte
}

func (u *unquoter) Write(p []byte) (int, error) {
	u.done = u.done[:0]
	for _, b := range p {
		u.take(b)
	}
	_, err := u.out.Write(u.done)
	return len(p), err
}

// close writes an escape without its second half.
func (u *unquoter) close() error {
	u.done = u.done[:0]
	if len(u.escape) > 0 {
		u.decode(len(u.escape))
	}
	_, err := u.out.Write(u.done)
	return err
}

func (u *unquoter) take(b byte) {
	if n := len(u.escape); n == 6 && b != '\\' || n == 7 && b != 'u' {
		u.decode(6)
	}
	if len(u.escape) == 0 && b != '\\' {
		u.done = append(u.done, b)
		return
	}
	u.escape = append(u.escape, b)
	switch n := len(u.escape); {
	case n == 2 && b != 'u', n == 6 && !isHighSurrogate(u.escape):
		u.decode(n)
	case n == 12 && isHighSurrogate(u.escape[6:]):
		u.decode(6)
	case n == 12:
		u.decode(n)
	}
}

// isHighSurrogate reports whether an escape is the first half of a character.
func isHighSurrogate(escape []byte) bool {
	return bytes.IndexByte([]byte("dD"), escape[2]) >= 0 && bytes.IndexByte([]byte("89abAB"), escape[3]) >= 0
}

// decode decodes the first n bytes of the escape.
func (u *unquoter) decode(n int) {
	var text string
	if json.Unmarshal(append(append([]byte{'"'}, u.escape[:n]...), '"'), &text) != nil {
		text = string(utf8.RuneError)
	}
	u.done = append(u.done, text...)
	u.escape = append(u.escape[:0], u.escape[n:]...)
}

// quoter writes text as the inside of a string.
type quoter struct {
	out  io.Writer
	done []byte
}

func (q *quoter) Write(p []byte) (int, error) {
	q.done = q.done[:0]
	for _, b := range p {
		if b == '"' || b == '\\' || b < ' ' {
			escaped := quoted(string(rune(b)))
			q.done = append(q.done, escaped[1:len(escaped)-1]...)
			continue
		}
		q.done = append(q.done, b)
	}
	_, err := q.out.Write(q.done)
	return len(p), err
}

// quoted is a text as a JSON string.
func quoted(text string) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string and a buffer cannot fail
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
