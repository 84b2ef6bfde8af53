package redact

import "io"

// Reader masks a stream on its way from another reader. It holds back as
// [Writer] does, and the text left at the end of the stream is returned before
// the end is reported.
type Reader struct {
	in     io.Reader
	writer *Writer
	masked buffer
	chunk  []byte
	err    error
}

// buffer takes what the writer passes on.
type buffer struct {
	text []byte
	read int
}

func (b *buffer) Write(p []byte) (int, error) {
	b.text = append(b.text, p...)
	return len(p), nil
}

// Reader returns a reader of what r holds, masked.
func (m *Masker) Reader(r io.Reader) *Reader {
	reader := &Reader{in: r}
	reader.writer = m.Writer(&reader.masked)
	return reader
}

// Reset discards the text held back and any error, and starts a new stream from
// in. It keeps the buffers, so a Reader can serve many streams in turn.
func (r *Reader) Reset(in io.Reader) {
	clear(r.chunk)
	r.masked.text, r.masked.read = r.masked.text[:0], 0
	r.writer.Reset(&r.masked)
	r.in, r.err = in, nil
}

// Read reads masked text. An error of the underlying reader, io.EOF included,
// is returned after all text that was read before it.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for r.masked.read == len(r.masked.text) {
		if r.err != nil {
			return 0, r.err
		}
		r.fill(len(p))
	}
	n := copy(p, r.masked.text[r.masked.read:])
	r.masked.read += n
	return n, nil
}

// fill reads once from the underlying reader.
func (r *Reader) fill(wish int) {
	r.masked.text, r.masked.read = r.masked.text[:0], 0
	if r.chunk == nil {
		r.chunk = make([]byte, min(max(wish, 512), 32<<10))
	}
	n, err := r.in.Read(r.chunk)
	if _, writeErr := r.writer.Write(r.chunk[:n]); writeErr != nil {
		r.err = writeErr
		return
	}
	if err != nil {
		r.err = err
		if closeErr := r.writer.Close(); closeErr != nil {
			r.err = closeErr
		}
		clear(r.chunk)
	}
}
