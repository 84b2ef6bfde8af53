package engine

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/redact"
)

const (
	// defaultLog is how long a log may get where the service sets no bound.
	defaultLog = 64 << 20
	// lineCost is what a line counts beside its text: empty lines take room
	// too.
	lineCost = 32
	// maxPending is how much of a log may wait to be written. A service that
	// prints faster waits.
	maxPending = 1 << 20
	// urgent is how much of that is written without lingering.
	urgent = maxPending / 2
	// linger is how long lines are gathered after those before were written.
	linger = 50 * time.Millisecond
)

// A journal writes the log of one execution: masked, in batches, and so much
// of it as is allowed. The first line is written at once, what follows within
// a moment, so that the log is live and no line has a commit of its own.
type journal struct {
	masker *redact.Masker
	write  func([]execution.LogEntry) error
	failed func(lost int, err error)
	defect func(what, trace string)
	limit  int64
	// exceeded is called once, when more comes than the limit allows.
	exceeded func()

	wake   chan struct{} // a token: something is pending
	press  chan struct{} // a token: much is
	ending chan struct{} // closed: nothing more will come
	done   chan struct{}

	mu      sync.Mutex
	begun   bool      // the loop, with the first line: most print none
	room    sync.Cond // pending was taken
	pending []execution.LogEntry
	size    int   // of pending
	taken   int64 // of all so far
	full    bool

	// Of the loop alone: what could not be written, and why.
	lost  int
	cause error
}

// log is how long the log of an execution may get.
func (l Limits) log() int64 { return cmp.Or(l.Log, defaultLog) }

// openJournal begins the log of an execution. It must be closed.
func (e *Engine) openJournal(id execution.ID, masker *redact.Masker, limit int64, exceeded func()) *journal {
	j := newJournal(masker, limit)
	j.exceeded = exceeded
	j.write = func(entries []execution.LogEntry) error {
		_, err := e.store.AppendLog(e.ctx, id, entries...)
		return err
	}
	j.failed = func(lost int, err error) {
		e.log.Error("cannot write the log of an execution", "execution", id, "lines", lost, "error", err)
	}
	j.defect = func(what, trace string) {
		e.log.Error("a defect has ended the log of an execution", "execution", id, "panic", what, "stack", trace)
	}
	return j
}

func newJournal(masker *redact.Masker, limit int64) *journal {
	j := &journal{
		masker: masker, limit: limit, exceeded: func() {},
		wake: make(chan struct{}, 1), press: make(chan struct{}, 1), ending: make(chan struct{}), done: make(chan struct{}),
	}
	j.room.L = &j.mu
	return j
}

// close writes what is pending and ends the journal. Its streams are closed
// before.
func (j *journal) close() {
	close(j.ending)
	j.mu.Lock()
	begun := j.begun
	j.mu.Unlock()
	if begun {
		<-j.done
	}
	if j.cause != nil {
		j.failed(j.lost, j.cause)
	}
}

// say adds a line of the engine's own, whatever the limit.
func (j *journal) say(severity execution.Severity, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.append(execution.LogEntry{Message: j.masker.String(text), Severity: severity, Timestamp: time.Now()})
}

// append takes one line. The caller holds the lock.
func (j *journal) append(entry execution.LogEntry) {
	j.pending = append(j.pending, entry)
	j.size += len(entry.Message) + lineCost
	if !j.begun {
		j.begun = true
		go j.loop()
	}
	if len(j.pending) == 1 {
		give(j.wake)
	}
	if j.size >= urgent {
		give(j.press)
	}
}

// give leaves a token, unless one is there already.
func give(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// add takes masked lines, and waits while too much is pending.
func (j *journal) add(entries []execution.LogEntry) {
	if j.take(entries) {
		j.exceeded()
	}
}

// take tells whether the lines have filled the log.
func (j *journal) take(entries []execution.LogEntry) (filled bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, entry := range entries {
		for j.size >= maxPending {
			j.room.Wait()
		}
		if j.full {
			return filled
		}
		if j.taken += int64(len(entry.Message) + lineCost); j.taken > j.limit {
			j.full, filled = true, true
			entry.Message = fmt.Sprintf("the log has reached its limit of %d bytes: the execution is ended, and further lines are not kept", j.limit)
			entry.Severity = execution.Notice
		}
		j.append(entry)
	}
	return filled
}

func (j *journal) loop() {
	defer close(j.done)
	defer j.flush()
	for {
		select {
		case <-j.wake:
		case <-j.ending:
			return
		}
		j.flush()
		select {
		case <-time.After(linger):
		case <-j.press:
		case <-j.ending:
			return
		}
	}
}

// flush writes what is pending. What the store refuses is lost: a service must
// not stand still because its log cannot be kept.
func (j *journal) flush() {
	j.mu.Lock()
	entries := j.pending
	j.pending, j.size = nil, 0
	j.mu.Unlock()
	j.room.Broadcast()
	if len(entries) == 0 {
		return
	}
	if err := j.write(entries); err != nil {
		j.lost += len(entries)
		if j.cause == nil { // it would be the same again and again
			j.cause = err
			j.failed(j.lost, err)
		}
	}
}
