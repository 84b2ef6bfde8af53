package term

import "io"

// Log is a writer to Err for the log of a service: it is passed on as it is,
// around a live progress line, and whatever Quiet says.
func (s *Streams) Log() io.Writer { return logWriter{s} }

type logWriter struct{ streams *Streams }

func (w logWriter) Write(b []byte) (int, error) {
	w.streams.mu.Lock()
	defer w.streams.mu.Unlock()
	w.streams.clearLine()
	return w.streams.Err.Write(b)
}
