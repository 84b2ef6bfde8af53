package forkserver

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// A notice is the message that a fork sends at its end: the exit code of its
// interpreter, which has nothing left to do, and the file of a small result.
type notice struct {
	code int
	sent *runner.SentFile
}

// The notice is a code, a number in sentNames, and the length of the content,
// before the content. See interpreterexit.py.
const (
	noticeHead = 6
	maxSent    = 16 << 10
)

var sentNames = []string{"", runner.ResultJSON, runner.ResultText}

// exitNotice waits for the notice of a fork, because the system takes as long to free
// its memory as a short service takes to run. The notice counts if no other process of
// the execution is left. The process does nothing afterwards, and is killed.
func (e *execution) exitNotice() (n notice, ok bool) {
	if n, ok = e.fork.notice(); !ok || !e.fork.group.Last() {
		return n, false
	}
	e.signal(os.Kill)
	return n, true
}

// notice waits for the notice of a fork until it has ended.
func (f *fork) notice() (n notice, ok bool) {
	received := make(chan struct{})
	defer close(received)
	go func() {
		select {
		case <-received:
		case <-f.done: // without a notice, though a child of it may have the socket
			_ = f.orders.SetReadDeadline(time.Unix(1, 0))
		}
	}()
	return readNotice(untilDeadline{f.orders})
}

// lastNotice is the notice of a fork that has ended.
func (e *execution) lastNotice() (n notice) {
	n, _ = readNotice(nonblocking{e.fork.orders})
	return n
}

// untilDeadline waits for the bytes of a connection. After the deadline it still
// reads the available ones, which package net does not.
type untilDeadline struct{ conn *net.UnixConn }

func (r untilDeadline) Read(text []byte) (int, error) {
	n, err := r.conn.Read(text)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nonblocking(r).Read(text)
	}
	return n, err
}

// nonblocking reads the available bytes of a connection, also after its deadline.
type nonblocking struct{ conn *net.UnixConn }

func (r nonblocking) Read(text []byte) (n int, err error) {
	raw, err := r.conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Control(func(fd uintptr) {
		n, _, err = unix.Recvfrom(int(fd), text, unix.MSG_DONTWAIT)
	})
	if err = errors.Join(failed, err); n <= 0 && err == nil {
		err = io.EOF
	}
	return max(0, n), err
}

// readNotice reads a notice. If a service sends other bytes in its place, they become
// at most a file of its output.
func readNotice(from io.Reader) (n notice, ok bool) {
	buffer := make([]byte, 1024)
	got, err := io.ReadAtLeast(from, buffer, noticeHead)
	if err != nil {
		return n, false
	}
	n.code = int(buffer[0])
	kind, length := int(buffer[1]), int(binary.BigEndian.Uint32(buffer[2:noticeHead]))
	if kind == 0 {
		return n, true
	}
	if kind >= len(sentNames) || length > maxSent {
		return n, false
	}
	content := make([]byte, length)
	read := copy(content, buffer[noticeHead:got])
	clear(buffer[:got]) // a result may hold secrets
	if _, err := io.ReadFull(from, content[read:]); err != nil {
		return n, false
	}
	n.sent = &runner.SentFile{Name: sentNames[kind], Content: content}
	return n, true
}

// finishEarly ends an execution that has sent its exit notice. Gone reports the end of
// its process.
func (e *execution) finishEarly(n notice) process.Outcome {
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
	return process.Outcome{ExitCode: n.code, Complete: true, Sent: n.sent}
}

// Gone is closed when an execution whose end Wait has reported has no process left; it
// is nil if none was left then.
func (e *execution) Gone() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gone
}

// leave frees the place for the next execution.
func (e *execution) leave() {
	e.zygote.done()
	e.release.Do(e.program.release)
}
