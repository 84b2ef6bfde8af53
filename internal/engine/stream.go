package engine

import (
	"bytes"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/panics"
	"github.com/qhubctl/qhubctl/internal/redact"
)

// maxLine is the length at which a line is cut into several.
const maxLine = 16 << 10

// A stream is standard output or standard error of an execution on its way to
// the logWriter. It is written to by one goroutine.
type stream struct {
	masked *redact.Writer
	lines  *lineWriter
	broken bool // by a panic
}

// stream makes a stream whose lines have a severity unless they name one.
func (lw *logWriter) stream(severity execution.Severity) *stream {
	lines := &lineWriter{logWriter: lw, severity: severity}
	return &stream{masked: lw.masker.Writer(lines), lines: lines}
}

// Write takes what the service prints. What a bug of ours keeps from being
// masked is not shown, nor what comes after it.
func (s *stream) Write(p []byte) (n int, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			what, trace := panics.Describe(cause)
			s.lines.logWriter.panicked(what, trace)
			s.broken, err = true, errPanicked
		}
	}()
	return s.masked.Write(p)
}

var errPanicked = errors.New("a panic has ended the log")

// close passes on what was held back: the last line may have no end.
func (s *stream) close() {
	if s.broken {
		return
	}
	_ = s.masked.Close() // a lineWriter does not fail
	s.lines.flush()
}

// A lineWriter cuts masked text into lines.
type lineWriter struct {
	logWriter *logWriter
	severity  execution.Severity
	partial   []byte
}

// Write never fails.
func (l *lineWriter) Write(p []byte) (int, error) {
	var entries []execution.LogEntry
	now := time.Now()
	for rest := p; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			l.partial = append(l.partial, rest...)
			rest = nil
		} else {
			l.partial = append(l.partial, rest[:end]...)
			rest = rest[end+1:]
		}
		for len(l.partial) > maxLine {
			cut := runeBoundary(l.partial, maxLine)
			entries = append(entries, l.entry(l.partial[:cut], now))
			l.partial = append(l.partial[:0], l.partial[cut:]...)
		}
		if end >= 0 {
			entries = append(entries, l.entry(bytes.TrimSuffix(l.partial, []byte{'\r'}), now))
			l.partial = l.partial[:0]
		}
	}
	if len(entries) > 0 {
		l.logWriter.add(entries)
	}
	return len(p), nil
}

// flush takes a last line without an end.
func (l *lineWriter) flush() {
	if len(l.partial) > 0 {
		l.logWriter.add([]execution.LogEntry{l.entry(bytes.TrimSuffix(l.partial, []byte{'\r'}), time.Now())})
		l.partial = nil
	}
}

// entry is a line as the store takes it: valid UTF-8 without NUL.
func (l *lineWriter) entry(line []byte, at time.Time) execution.LogEntry {
	text := strings.ToValidUTF8(string(line), "\uFFFD")
	text = strings.ReplaceAll(text, "\x00", "\uFFFD")
	return execution.LogEntry{Message: text, Severity: severityOf(text, l.severity), Timestamp: at}
}

// runeBoundary is the last place up to at where text can be cut without
// cutting a character.
func runeBoundary(text []byte, at int) int {
	for cut := at; cut > at-utf8.UTFMax; cut-- {
		if utf8.RuneStart(text[cut]) {
			return cut
		}
	}
	return at // no UTF-8 anyway
}
