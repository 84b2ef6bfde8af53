package redact

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// ErrWithheld is returned by [Masker.Copy] for a file that holds a secret and
// is no text: masking would break it.
var ErrWithheld = errors.New("the file is not text and holds a secret; it is withheld")

const copyBlock = 64 << 10

// Copy copies a file, masked if it is text. One that is not text is copied as
// it is, or refused with ErrWithheld, before anything is written, if a form
// occurs in it. The file is read up to three times and never as a whole.
func (m *Masker) Copy(dst io.Writer, src io.ReadSeeker) error {
	text, err := isText(src)
	if err != nil {
		return err
	}
	if !text {
		clean, err := m.clean(src)
		if err != nil {
			return err
		}
		if !clean {
			return ErrWithheld
		}
	}
	if err := rewind(src); err != nil {
		return err
	}
	var from io.Reader = src
	if text {
		from = m.Reader(src)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{from}, make([]byte, copyBlock))
	return err
}

func rewind(src io.Seeker) error {
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("redact: %w", err)
	}
	return nil
}

// isText reports whether all of src is UTF-8 without NUL.
func isText(src io.ReadSeeker) (bool, error) {
	if err := rewind(src); err != nil {
		return false, err
	}
	buffer := make([]byte, copyBlock)
	kept := 0 // bytes of a character that the last block has cut
	for {
		n, err := src.Read(buffer[kept:])
		block := buffer[:kept+n]
		end := len(block)
		if err == nil {
			end = completeRunes(block)
		}
		if bytes.IndexByte(block, 0) >= 0 || !utf8.Valid(block[:end]) {
			return false, nil
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		kept = copy(buffer, block[end:])
	}
}

// completeRunes is the length of block without a character that is cut off at
// its end.
func completeRunes(block []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(block); back++ {
		if at := len(block) - back; utf8.RuneStart(block[at]) {
			if utf8.FullRune(block[at:]) {
				return len(block)
			}
			return at
		}
	}
	return len(block)
}

// clean reports whether no form occurs in src.
func (m *Masker) clean(src io.ReadSeeker) (bool, error) {
	if err := rewind(src); err != nil {
		return false, err
	}
	// The masked stream equals the file just when nothing is masked in it.
	compared := &comparer{}
	masked := m.Writer(compared)
	buffer := make([]byte, copyBlock)
	for !compared.differs {
		n, err := src.Read(buffer)
		compared.expect(buffer[:n])
		if _, failed := masked.Write(buffer[:n]); failed != nil {
			return false, failed
		}
		if errors.Is(err, io.EOF) {
			if failed := masked.Close(); failed != nil {
				return false, failed
			}
			return !compared.differs && len(compared.expected) == 0, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// comparer tells whether the text written to it is the expected text.
type comparer struct {
	expected []byte
	differs  bool
}

func (c *comparer) expect(b []byte) { c.expected = append(c.expected, b...) }

func (c *comparer) Write(b []byte) (int, error) {
	if !bytes.HasPrefix(c.expected, b) {
		c.differs = true
		return len(b), nil
	}
	// Moved to the front, so that the buffer stays as small as the text held.
	c.expected = append(c.expected[:0], c.expected[len(b):]...)
	return len(b), nil
}
