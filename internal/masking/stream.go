package masking

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"

	"github.com/qhubctl/qhubctl/internal/redact"
)

// sizes are those of the parts that a document is masked in.
type sizes struct {
	// window is how much of a document is in memory.
	window int
	// unit is the size up to which a list or object is masked as one value: half
	// a window. No secret is longer.
	unit int
	// group is how much of the elements of a longer one is masked at once.
	group int
}

var usual = sizes{window: 128 << 10, unit: 64 << 10, group: 32 << 10}

// block is how much is copied at once.
const block = 64 << 10

// A File is where [Stream] writes to. It reads what it has written once.
type File interface {
	io.ReadWriteSeeker
	Truncate(size int64) error
}

// Stream is [JSON] for a document of any size, in constant memory. The document
// must be valid. One in which nothing is masked is copied byte by byte.
// Where a secret spans elements of a list or object longer than 64 KiB, all of
// the document becomes the string "[redacted]".
func Stream(masker *redact.Masker, dst File, src io.ReadSeeker) (numbers int, err error) {
	return stream(masker, dst, src, usual)
}

func stream(masker *redact.Masker, dst File, src io.ReadSeeker, by sizes) (numbers int, err error) {
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return 0, fmt.Errorf("mask a result: %w", err)
	}
	s := &streamer{sizes: by, masker: masker, src: src, buffer: make([]byte, 0, by.window), out: bufio.NewWriterSize(dst, block)}
	defer s.wipe()
	if err := errors.Join(s.document(), s.out.Flush()); err != nil {
		return 0, fmt.Errorf("mask a result: %w", err)
	}
	clean, err := unchanged(masker, func(to io.Writer) error {
		if _, err := dst.Seek(0, io.SeekStart); err != nil {
			return err
		}
		_, err := io.CopyBuffer(to, struct{ io.Reader }{dst}, make([]byte, block))
		return err
	})
	if err != nil || clean {
		return s.numbers, err
	}
	if err := dst.Truncate(0); err != nil {
		return 0, err
	}
	if _, err := dst.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	_, err = io.WriteString(dst, `"`+redact.Mask+`"`)
	return 0, err
}

// unchanged reports whether masking changes nothing of the text that write
// writes.
func unchanged(masker *redact.Masker, write func(io.Writer) error) (bool, error) {
	var before, after maphash.Hash
	after.SetSeed(before.Seed())
	masked := masker.Writer(&after)
	err := errors.Join(write(io.MultiWriter(&before, masked)), masked.Close())
	return before.Sum64() == after.Sum64(), err
}

// streamer masks a document. Positions are those in buffer.
type streamer struct {
	sizes
	masker  *redact.Masker
	src     io.ReadSeeker
	buffer  []byte // a part of the document
	at      int    // where the rest begins
	offset  int64  // of buffer in the document
	ended   bool   // nothing follows it
	out     *bufio.Writer
	numbers int
	// open are offsets of lists and objects that are known to end behind seen.
	open []int64
	seen int64
	// wrapped is a group between brackets.
	wrapped []byte
}

// wipe clears the text that is in memory.
func (s *streamer) wipe() {
	clear(s.buffer[:cap(s.buffer)])
	clear(s.wrapped[:cap(s.wrapped)])
}

// fill moves the rest to the beginning and reads on.
func (s *streamer) fill() error {
	n := copy(s.buffer, s.buffer[s.at:])
	s.buffer, s.offset, s.at = s.buffer[:n], s.offset+int64(s.at), 0
	for len(s.buffer) < cap(s.buffer) && !s.ended {
		n, err := s.src.Read(s.buffer[len(s.buffer):cap(s.buffer)])
		s.buffer = s.buffer[:len(s.buffer)+n]
		switch {
		case errors.Is(err, io.EOF):
			s.ended = true
		case err != nil:
			return err
		}
	}
	return nil
}

// space copies space, and gives the byte behind it; 0 at the end.
func (s *streamer) space() (byte, error) {
	for {
		end := s.at
		for end < len(s.buffer) && isSpace(s.buffer[end]) {
			end++
		}
		s.emit(s.buffer[s.at:end])
		s.at = end
		if end < len(s.buffer) {
			return s.buffer[end], nil
		}
		if s.ended {
			return 0, nil
		}
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
}

// emit writes. The writer keeps its error.
func (s *streamer) emit(p []byte) { _, _ = s.out.Write(p) }

func (s *streamer) document() error {
	if _, err := s.space(); err != nil {
		return err
	}
	if err := s.value(); err != nil {
		return err
	}
	_, err := s.space()
	return err
}

// value masks the value at the beginning of the rest.
func (s *streamer) value() error {
	for tries := 0; ; tries++ {
		if s.isOpen() && s.seen-s.position() >= int64(s.unit) {
			return s.container()
		}
		if end, complete := s.scan(s.at, len(s.buffer), true); complete {
			return s.whole(end)
		}
		switch {
		case tries == 0 && !s.ended && s.at > 0:
			if err := s.fill(); err != nil {
				return err
			}
		case s.buffer[s.at] == '{' || s.buffer[s.at] == '[':
			return s.container()
		default:
			return s.long()
		}
	}
}

func (s *streamer) position() int64 { return s.offset + int64(s.at) }

// isOpen reports whether the value at the beginning of the rest is known to be
// long.
func (s *streamer) isOpen() bool {
	for len(s.open) > 0 && s.open[0] < s.position() {
		s.open = s.open[1:]
	}
	return len(s.open) > 0 && s.open[0] == s.position()
}

// whole masks a value that is in memory.
func (s *streamer) whole(end int) error {
	masked, err := s.mask(s.buffer[s.at:end])
	s.emit(masked)
	s.at = end
	return err
}

func (s *streamer) mask(text []byte) ([]byte, error) {
	if bytes.IndexByte(text, '\\') < 0 && !s.masker.Contains(text) {
		return text, nil
	}
	masked, numbers, err := JSON(s.masker, text)
	s.numbers += numbers
	return masked, err
}

// scan looks for the end of the first value from a place on, or of the last of
// several up to where group is full, in the buffer up to limit.
func (s *streamer) scan(from, limit int, one bool) (end int, complete bool) {
	sc := scanner{from: from, end: from, one: one, group: s.group}
	for at := from; at < limit; at++ {
		b := s.buffer[at]
		if b == '"' {
			if at = s.stringEnd(at, limit); at < 0 {
				break
			}
		}
		if sc.take(b, at) {
			return sc.end, true
		}
	}
	if one && s.ended && len(sc.starts) == 0 && limit == len(s.buffer) && s.buffer[from] != '"' {
		return limit, true // a number is all of the document
	}
	return s.cut(sc.end, limit, sc.starts, sc.end > from)
}

// scanner looks for the end of values.
type scanner struct {
	from, end int
	one       bool
	group     int
	starts    []int // of the lists and objects that are open
}

// take takes the byte at a place, or the string that ends there, and reports
// whether end is found.
func (sc *scanner) take(b byte, at int) (found bool) {
	switch b {
	case '"':
		if found = sc.one && len(sc.starts) == 0; found {
			sc.end = at + 1
		}
	case '{', '[':
		sc.starts = append(sc.starts, at)
	case '}', ']':
		if len(sc.starts) == 0 { // of the list or object around it
			sc.end = at
			return true
		}
		sc.starts = sc.starts[:len(sc.starts)-1]
		if found = sc.one && len(sc.starts) == 0; found {
			sc.end = at + 1
		}
	case ',':
		if len(sc.starts) == 0 {
			sc.end, found = at, sc.one
		}
	case ' ', '\t', '\r', '\n':
		if found = sc.one && len(sc.starts) == 0 && at > sc.from; found { // behind a number
			sc.end = at
		}
	}
	return found || !sc.one && sc.end > sc.from && at-sc.from >= sc.group
}

// cut is what a scan says that has reached the end of the buffer.
func (s *streamer) cut(end, limit int, starts []int, complete bool) (int, bool) {
	if limit == len(s.buffer) && len(starts) > 0 {
		s.open, s.seen = s.open[:0], s.offset+int64(limit)
		for _, start := range starts {
			s.open = append(s.open, s.offset+int64(start))
		}
	}
	return end, complete
}

// stringEnd is the place of the closing quote; -1 if it is behind limit.
func (s *streamer) stringEnd(at, limit int) int {
	for at++; at < limit; at++ {
		switch s.buffer[at] {
		case '\\':
			at++
		case '"':
			return at
		}
	}
	return -1
}

// container masks a long list or object, group by group.
func (s *streamer) container() error {
	isObject := s.buffer[s.at] == '{'
	s.emit(s.buffer[s.at : s.at+1])
	s.at++
	names := nameSet{}
	for {
		b, err := s.space()
		if err != nil {
			return err
		}
		switch b {
		case 0:
			return io.ErrUnexpectedEOF
		case ',':
			s.emit(s.buffer[s.at : s.at+1])
			s.at++
			continue
		case '}', ']':
			s.emit(s.buffer[s.at : s.at+1])
			s.at++
			return nil
		}
		if err := s.elements(isObject, names); err != nil {
			return err
		}
	}
}

// elements masks a group of elements, or one that is long.
func (s *streamer) elements(isObject bool, names nameSet) error {
	for tries := 0; ; tries++ {
		s.isOpen() // drops what lies behind
		limit := len(s.buffer)
		if len(s.open) > 0 && s.open[0]-s.offset < int64(limit) {
			limit = int(s.open[0] - s.offset)
		}
		end, complete := s.scan(s.at, limit, false)
		switch {
		case complete && isObject:
			return s.members(end, names)
		case complete:
			return s.list(end)
		case tries == 0 && limit == len(s.buffer) && !s.ended && s.at > 0:
			if err := s.fill(); err != nil {
				return err
			}
			continue
		case !isObject:
			return s.value()
		}
		if err := s.name(names); err != nil {
			return err
		}
		if _, err := s.space(); err != nil {
			return err
		}
		s.emit([]byte{':'})
		s.at++
		if _, err := s.space(); err != nil {
			return err
		}
		return s.value()
	}
}

// list masks elements of a list.
func (s *streamer) list(end int) error {
	s.wrapped = append(append(append(s.wrapped[:0], '['), s.buffer[s.at:end]...), ']')
	s.at = end
	masked, err := s.mask(s.wrapped)
	if err != nil {
		return err
	}
	if masked[0] == '[' {
		masked = masked[1 : len(masked)-1]
	}
	s.emit(masked)
	return nil
}

// members masks members of an object.
func (s *streamer) members(end int, names nameSet) error {
	s.wrapped = append(append(append(s.wrapped[:0], '{'), s.buffer[s.at:end]...), '}')
	numbers := s.numbers
	masked, err := s.mask(s.wrapped)
	if err != nil {
		return err
	}
	if len(masked) == len(s.wrapped) && &masked[0] == &s.wrapped[0] {
		s.emit(masked[1 : len(masked)-1])
		s.at = end
		return nil
	}
	// One by one: a name must not become that of an earlier group.
	s.numbers = numbers
	for s.at < end {
		if b := s.buffer[s.at]; isSpace(b) || b == ',' {
			s.emit(s.buffer[s.at : s.at+1])
			s.at++
			continue
		}
		if err := s.name(names); err != nil {
			return err
		}
		for s.buffer[s.at] == ':' || isSpace(s.buffer[s.at]) {
			s.emit(s.buffer[s.at : s.at+1])
			s.at++
		}
		last, _ := s.scan(s.at, end, true)
		if last == s.at {
			last = end // a number
		}
		if err := s.whole(last); err != nil {
			return err
		}
	}
	return nil
}

// name masks the name of a member.
func (s *streamer) name(names nameSet) error {
	end := s.stringEnd(s.at, len(s.buffer))
	if end < 0 {
		if err := s.fill(); err != nil {
			return err
		}
		if end = s.stringEnd(s.at, len(s.buffer)); end < 0 {
			return s.long()
		}
	}
	literal := s.buffer[s.at : end+1]
	s.at = end + 1
	var text string
	if err := json.Unmarshal(literal, &text); err != nil {
		return err
	}
	if masked := s.masker.String(text); masked != text {
		s.emit(quoted(names.unused(masked)))
		return nil
	}
	s.emit(literal)
	return nil
}

// nameSet are the masked names of an object, and how often each has come.
type nameSet map[string]int

func (n nameSet) unused(name string) string {
	n[name]++
	if n[name] == 1 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, n[name])
}

func isSpace(b byte) bool { return slices.Contains([]byte(" \t\r\n"), b) }
