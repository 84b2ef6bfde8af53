package engine

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/panics"
	"github.com/qhubctl/qhubctl/internal/redact"
)

const (
	// maxLine is the length at which a line is cut into several.
	maxLine = 16 << 10
	// liveAfter is how long the log waits for the rest of a line before it shows the
	// beginning as a line. Progress dots are an example.
	liveAfter = time.Second
	// wholeAfter is how long it waits for the rest of a line that the service has ended:
	// masking holds that rest back.
	wholeAfter = 10 * liveAfter
	// block is the smallest size of the buffers in which programs collect output.
	block = 4096
)

// A stream carries the standard output or standard error of an execution to the
// logWriter. Only one goroutine may write to it.
type stream struct {
	masked *redact.Writer // nil before the first text
	lines  *lineWriter
	broken bool // a panic has ended it
}

// stream makes a stream. Lines that name no severity get the given one.
func (lw *logWriter) stream(severity execution.Severity) *stream {
	return &stream{lines: &lineWriter{logWriter: lw, severity: severity}}
}

// Write takes the output of the service. If masking panics, the stream drops the
// text and all that follows, as it could show a secret.
func (s *stream) Write(p []byte) (n int, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			what, trace := panics.Describe(cause)
			s.lines.logWriter.panicked(what, trace)
			s.broken, err = true, errPanicked
		}
	}()
	// The masker passes text on in pieces of other lengths.
	if s.masked == nil {
		s.masked = s.lines.logWriter.masker().Writer(s.lines)
	}
	s.lines.expect(len(p) > 0 && len(p)%block == 0, bytes.HasSuffix(p, []byte{'\n'}))
	return s.masked.Write(p)
}

var errPanicked = errors.New("a panic has ended the log")

// close writes the text that was held back: the last line may have no line end.
func (s *stream) close() {
	if !s.broken && s.masked != nil {
		_ = s.masked.Close() // a lineWriter does not fail
	}
	s.lines.close(!s.broken)
}

// A lineWriter cuts masked text into lines at line ends, and at carriage returns,
// which progress bars use to overwrite themselves. It must be closed.
type lineWriter struct {
	logWriter *logWriter
	severity  execution.Severity

	mu      sync.Mutex
	partial []byte
	timer   *time.Timer // shows the partial line; nil before the first one
	waiting bool        // the timer runs
	begun   bool        // the beginning of the line was shown
	more    bool        // a program that buffers its output has cut the line at the end of a block
	whole   bool        // the service has ended the line
	closed  bool
}

// Write cuts text into lines. It never fails.
func (l *lineWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var entries []execution.LogEntry
	now := time.Now()
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		entries = l.add(entries, line, now)
		if ended && (!l.begun || len(l.partial) > 0) {
			entries = append(entries, l.entry(bytes.TrimSuffix(l.partial, []byte{'\r'}), now))
			l.partial = l.partial[:0]
		}
		if ended && l.waiting {
			l.waiting = !l.timer.Stop()
		}
		l.begun = l.begun && !ended
		rest = after
	}
	if len(entries) > 0 {
		l.logWriter.add(entries)
	}
	if !l.more {
		l.await()
	}
	return len(p), nil
}

// expect says whether more of the line follows the next text for certain, and whether
// the service has ended its line there.
func (l *lineWriter) expect(more, whole bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.more, l.whole = more, whole
}

// add adds text without a line end to the partial line. A carriage return at the end
// stays there: the next text decides whether it is part of a line end.
func (l *lineWriter) add(entries []execution.LogEntry, text []byte, now time.Time) []execution.LogEntry {
	for len(text) > 0 {
		part, after, returned := bytes.Cut(text, []byte{'\r'})
		if n := len(l.partial); len(part) > 0 && n > 0 && l.partial[n-1] == '\r' {
			entries = l.progress(entries, now)
		}
		l.partial = append(l.partial, part...)
		for len(l.partial) > maxLine {
			cut := runeBoundary(l.partial, maxLine)
			entries = append(entries, l.entry(l.partial[:cut], now))
			l.partial = append(l.partial[:0], l.partial[cut:]...)
		}
		if n := len(l.partial); returned && (n == 0 || l.partial[n-1] != '\r') {
			l.partial = append(l.partial, '\r')
		}
		text = after
	}
	return entries
}

// progress turns the partial line into a line, unless it is empty.
func (l *lineWriter) progress(entries []execution.LogEntry, now time.Time) []execution.LogEntry {
	if line := bytes.TrimSuffix(l.partial, []byte{'\r'}); len(line) > 0 {
		entries = append(entries, l.entry(line, now))
	}
	l.partial = l.partial[:0]
	return entries
}

// await starts the timer that shows a partial line if no more text follows.
func (l *lineWriter) await() {
	if len(l.partial) == 0 || l.waiting {
		return
	}
	l.waiting = true
	after := liveAfter
	if l.whole {
		after = wholeAfter
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(after, l.show)
		return
	}
	l.timer.Reset(after)
}

func (l *lineWriter) show() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = false
	if l.closed || len(l.partial) == 0 {
		return
	}
	end := wholeRunes(l.partial) // the rest of the last character may still come
	if end == 0 {
		return
	}
	rest := slices.Clone(l.partial[end:])
	l.partial, l.begun = l.partial[:end], true
	l.flush()
	l.partial = append(l.partial, rest...)
}

// close writes the last line without a line end, if it is whole.
func (l *lineWriter) close(whole bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	if whole {
		l.flush()
	}
}

// flush writes the partial line as a line.
func (l *lineWriter) flush() {
	if entries := l.progress(nil, time.Now()); len(entries) > 0 {
		l.logWriter.add(entries)
	}
}

// entry makes a log entry of a line in the form that the store accepts: valid UTF-8
// without NUL.
func (l *lineWriter) entry(line []byte, at time.Time) execution.LogEntry {
	text := strings.ToValidUTF8(string(line), "\uFFFD")
	text = strings.ReplaceAll(text, "\x00", "\uFFFD")
	if l.logWriter.root != "" {
		text = strings.ReplaceAll(text, l.logWriter.root, "")
	}
	return execution.LogEntry{Message: text, Severity: severityOf(text, l.severity), Timestamp: at}
}

// wholeRunes returns the length of text without an incomplete character at its end.
func wholeRunes(text []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(text); back++ {
		at := len(text) - back
		if utf8.RuneStart(text[at]) {
			if !utf8.FullRune(text[at:]) {
				return at
			}
			break
		}
	}
	return len(text)
}

// runeBoundary returns the last position up to at that does not split a character.
func runeBoundary(text []byte, at int) int {
	for cut := at; cut > at-utf8.UTFMax; cut-- {
		if utf8.RuneStart(text[cut]) {
			return cut
		}
	}
	return at // the text is not UTF-8
}
