package engine

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/limits"
	"github.com/qhubctl/qhubctl/internal/redact"
)

const (
	// defaultLog is the limit of a log in bytes where the service sets none.
	defaultLog = 64 << 20
	// lineCost is added to the length of each line: empty lines take room too.
	lineCost = 32
	// maxPending is how many bytes of a log may wait to be written. A service that
	// prints faster is blocked.
	maxPending = 1 << 20
	// flushThreshold is how many pending bytes are written without delay.
	flushThreshold = maxPending / 2
	// flushInterval is how long the writer collects lines after each write.
	flushInterval = 50 * time.Millisecond
)

// A logWriter writes the log of one execution: masked, in batches, and up to its
// limit. It writes the first line at once and further lines within flushInterval,
// so that the log is live and many lines share one commit.
type logWriter struct {
	masker   func() *redact.Masker // may wait for it, and panics if there is none
	write    func([]execution.LogEntry) error
	failed   func(lost int, err error)
	panicked func(what, trace string)
	limit    int64
	// root is the folder of the service with a slash, which lines leave out.
	root string
	// exceeded is called once, when the log passes its limit.
	exceeded func()

	wake     chan struct{} // a token: something is pending
	flushNow chan struct{} // a token: much is
	closing  chan struct{} // closed: nothing more will come
	done     chan struct{}

	mu      sync.Mutex
	begun   bool      // the loop runs; it starts with the first line, as most services print none
	drained sync.Cond // signals that pending was emptied
	pending []execution.LogEntry
	size    int   // bytes in pending
	taken   int64 // bytes of all lines so far
	full    bool

	// Only the loop uses these: the number of lost lines, and the first error.
	lost  int
	cause error
}

// maxLog is the limit of the log of an execution in bytes.
func maxLog(l limits.Limits) int64 { return cmp.Or(l.Log, defaultLog) }

// openLogWriter opens the log of an execution. The caller closes it.
func (e *Engine) openLogWriter(id execution.ID, masker func() *redact.Masker, limit int64, exceeded func()) *logWriter {
	lw := newLogWriter(masker, limit)
	lw.exceeded = exceeded
	lw.write = func(entries []execution.LogEntry) error {
		_, err := e.store.AppendLog(e.ctx, id, entries...)
		return err
	}
	lw.failed = func(lost int, err error) {
		e.log.Error("cannot write the log of an execution", "execution", id, "lines", lost, "error", err)
	}
	lw.panicked = func(what, trace string) {
		e.log.Error("a panic has ended the log of an execution", "execution", id, "panic", what, "stack", trace)
	}
	return lw
}

// hideRoot has lines show paths below a folder as relative ones.
func (lw *logWriter) hideRoot(folder string) {
	if folder != "" {
		lw.root = folder + "/"
	}
}

func newLogWriter(masker func() *redact.Masker, limit int64) *logWriter {
	lw := &logWriter{
		masker: masker, limit: limit, exceeded: func() {},
		wake: make(chan struct{}, 1), flushNow: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
	}
	lw.drained.L = &lw.mu
	return lw
}

// close writes the pending lines and ends the logWriter. The caller closes its
// streams first.
func (lw *logWriter) close() {
	close(lw.closing)
	lw.mu.Lock()
	begun := lw.begun
	lw.mu.Unlock()
	if begun {
		<-lw.done
	}
	if lw.cause != nil {
		lw.failed(lw.lost, lw.cause)
	}
}

// notice adds a line of the engine itself, even beyond the limit.
func (lw *logWriter) notice(severity execution.Severity, text string) {
	lw.mu.Lock()
	defer lw.mu.Unlock()
	lw.append(execution.LogEntry{Message: lw.masker().String(text), Severity: severity, Timestamp: time.Now()})
}

// append adds one line to pending. The caller holds the lock.
func (lw *logWriter) append(entry execution.LogEntry) {
	lw.pending = append(lw.pending, entry)
	lw.size += len(entry.Message) + lineCost
	if !lw.begun {
		lw.begun = true
		go lw.loop()
	}
	if len(lw.pending) == 1 {
		notify(lw.wake)
	}
	if lw.size >= flushThreshold {
		notify(lw.flushNow)
	}
}

// notify sends a token, unless the channel already holds one.
func notify(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// add adds masked lines. It blocks while too much is pending.
func (lw *logWriter) add(entries []execution.LogEntry) {
	if lw.enqueue(entries) {
		lw.exceeded()
	}
}

// enqueue adds masked lines, and reports whether they have filled the log.
func (lw *logWriter) enqueue(entries []execution.LogEntry) (filled bool) {
	lw.mu.Lock()
	defer lw.mu.Unlock()
	for _, entry := range entries {
		for lw.size >= maxPending {
			lw.drained.Wait()
		}
		if lw.full {
			return filled
		}
		if lw.taken += int64(len(entry.Message) + lineCost); lw.taken > lw.limit {
			lw.full, filled = true, true
			entry.Message = fmt.Sprintf("the log has reached its limit of %d bytes: the execution is ended, and further lines are not kept", lw.limit)
			entry.Severity = execution.Notice
		}
		lw.append(entry)
	}
	return filled
}

func (lw *logWriter) loop() {
	defer close(lw.done)
	defer lw.flush()
	for {
		select {
		case <-lw.wake:
		case <-lw.closing:
			return
		}
		lw.flush()
		select {
		case <-time.After(flushInterval):
		case <-lw.flushNow:
		case <-lw.closing:
			return
		}
	}
}

// flush writes the pending lines. Lines that the store refuses are lost: a failing
// store must not block the service.
func (lw *logWriter) flush() {
	lw.mu.Lock()
	entries := lw.pending
	lw.pending, lw.size = nil, 0
	lw.mu.Unlock()
	lw.drained.Broadcast()
	if len(entries) == 0 {
		return
	}
	if err := lw.write(entries); err != nil {
		lw.lost += len(entries)
		if lw.cause == nil { // report the first error only: the next ones would repeat it
			lw.cause = err
			lw.failed(lw.lost, err)
		}
	}
}
