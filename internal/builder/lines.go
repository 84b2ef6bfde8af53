package builder

import (
	"bytes"
	"strings"
	"sync"
)

const (
	// maxLine bounds a line of a build log, maxLines how many there are.
	maxLine  = 4 << 10
	maxLines = 10_000
	// lastLines is how many lines a failure repeats.
	lastLines = 20
)

// A lineWriter passes text on, line by line, up to a number of lines. It is safe for concurrent use.
type lineWriter struct {
	say func(line string)

	mu      sync.Mutex
	rest    []byte
	skip    bool // the rest of a line that is too long
	count   int
	endings []string
}

func newLineWriter(say func(string)) *lineWriter { return &lineWriter{say: say} }

// Write implements [io.Writer]. It never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			w.add(p)
			break
		}
		w.add(p[:i])
		w.end()
		p = p[i+1:]
	}
	return n, nil
}

func (w *lineWriter) add(p []byte) {
	if room := maxLine - len(w.rest); len(p) > room {
		p, w.skip = p[:room], true
	}
	w.rest = append(w.rest, p...)
}

func (w *lineWriter) end() {
	line := strings.ToValidUTF8(strings.TrimRight(string(w.rest), "\r"), "\uFFFD")
	if w.skip {
		line += " …"
	}
	w.rest, w.skip = w.rest[:0], false
	if w.count++; strings.TrimSpace(line) != "" {
		w.endings = append(w.endings, line)
	}
	if len(w.endings) > lastLines {
		w.endings = w.endings[1:]
	}
	switch {
	case w.count < maxLines:
		w.say(line)
	case w.count == maxLines:
		w.say("The log is not continued: it has too many lines.")
	}
}

// flush ends a line without an end.
func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.end()
	}
}

// last are the last lines.
func (w *lineWriter) last() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.endings
}
