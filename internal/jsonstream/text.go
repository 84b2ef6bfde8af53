package jsonstream

import (
	"errors"
	"io"
	"unicode/utf8"
)

// ErrNotUTF8 is the error of [CheckText] for a text that is not UTF-8.
var ErrNotUTF8 = errors.New("not UTF-8")

// CheckText is [Check] for a text that must be UTF-8, too.
func CheckText(r io.Reader) error {
	var syntax Checker
	var text utf8Checker
	if _, err := io.CopyBuffer(io.MultiWriter(&syntax, &text), struct{ io.Reader }{r}, make([]byte, 64<<10)); err != nil {
		return err
	}
	if len(text.rest) > 0 {
		return ErrNotUTF8
	}
	return syntax.Close()
}

// utf8Checker checks text that comes in pieces.
type utf8Checker struct{ rest []byte }

func (u *utf8Checker) Write(p []byte) (int, error) {
	written := len(p)
	for len(u.rest) > 0 && len(p) > 0 && !utf8.FullRune(u.rest) {
		u.rest, p = append(u.rest, p[0]), p[1:]
	}
	if len(u.rest) > 0 && utf8.FullRune(u.rest) {
		if !utf8.Valid(u.rest) {
			return 0, ErrNotUTF8
		}
		u.rest = u.rest[:0]
	}
	end := len(p)
	for back := 1; back < utf8.UTFMax && back <= len(p); back++ {
		if at := len(p) - back; utf8.RuneStart(p[at]) {
			if !utf8.FullRune(p[at:]) {
				end = at
			}
			break
		}
	}
	if !utf8.Valid(p[:end]) {
		return 0, ErrNotUTF8
	}
	u.rest = append(u.rest, p[end:]...)
	return written, nil
}
