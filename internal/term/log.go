package term

import (
	"io"
	"unicode/utf8"
)

// Log is a writer to Err for the log of a service. It passes the log on unchanged,
// around a live progress line, even if Quiet is set.
func (s *Streams) Log() io.Writer { return logWriter{s} }

type logWriter struct{ streams *Streams }

func (w logWriter) Write(b []byte) (int, error) {
	w.streams.mu.Lock()
	defer w.streams.mu.Unlock()
	w.streams.clearLine()
	if w.streams.Terminal {
		if _, err := io.WriteString(w.streams.Err, w.quoted(b)); err != nil {
			return 0, err
		}
		return len(b), nil
	}
	return w.streams.Err.Write(b)
}

// quoted is the form of a piece of a log that a terminal shows. Bytes of a character
// that a later piece ends pass unchanged.
func (w logWriter) quoted(b []byte) string {
	end := len(b)
	for begin := max(0, end-utf8.UTFMax); begin < end; begin++ {
		if !utf8.FullRune(b[begin:]) && utf8.RuneStart(b[begin]) {
			end = begin
		}
	}
	begin := 0
	for begin < end && begin < utf8.UTFMax && !utf8.RuneStart(b[begin]) && b[begin] >= 0xa0 {
		begin++
	}
	return string(b[:begin]) + Quote(string(b[begin:end])) + string(b[end:])
}
