package forkserver

import (
	"os"
	"time"

	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// exitNotice waits for the word of a fork that it ends, and with which code: its
// interpreter has nothing left to do, and the system takes as long to free its
// memory as a short service takes to run. The word counts if nothing else of the
// execution is left, and is the last thing that the process does: it is killed.
func (e *execution) exitNotice() (code int, ok bool) {
	if e.fork.group == nil || !e.zygote.hasTime(0) {
		return 0, false
	}
	received := make(chan struct{})
	go func() {
		select {
		case <-received:
		case <-e.fork.done: // without a word, though a child of it may have the socket
			_ = e.fork.orders.SetReadDeadline(time.Unix(1, 0))
		}
	}()
	var notice [1]byte
	n, _ := e.fork.orders.Read(notice[:])
	close(received)
	if n != 1 || !e.fork.group.Last() {
		return 0, false
	}
	e.signal(os.Kill)
	return int(notice[0]), true
}

// finishEarly ends an execution that has sent its exit notice. Gone tells of that of
// its process.
func (e *execution) finishEarly(code int) process.Outcome {
	e.Finish()
	gone := make(chan struct{})
	e.mu.Lock()
	e.gone = gone
	e.mu.Unlock()
	e.zygote.background(func() {
		defer close(gone)
		e.fork.settle()
		e.leave()
	})
	e.fork.pipes.Finish()
	e.program.succeeded()
	return process.Outcome{ExitCode: code, Complete: true}
}

// Gone is closed when no process is left of an execution whose end Wait has told
// before; nil if there was none left then.
func (e *execution) Gone() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gone
}

// leave makes room for the next execution.
func (e *execution) leave() {
	e.zygote.done()
	e.release.Do(e.program.release)
}
