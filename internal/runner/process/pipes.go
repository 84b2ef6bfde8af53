package process

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

const (
	// drainTime is how long Finish waits for the end of the output after the process
	// has ended and its tree is killed: a process out of our reach may still have
	// the pipe.
	drainTime = 2 * time.Second
	// maxLeftover bounds the output that is read from the pipe after that. It is
	// the largest pipe that an ordinary user can make, so no output of the process
	// itself is lost.
	maxLeftover = 1 << 20
	drainBuffer = 32 << 10
)

// Pipes carry the output of a process. Call Drain, or Abandon, once the process has its
// ends, and Finish when it has ended.
type Pipes struct {
	// Stdout and Stderr are the ends of the process, in blocking mode.
	Stdout, Stderr *os.File

	ours    [2]*os.File
	copying sync.WaitGroup
}

// OpenPipes makes the pipes of a process.
func OpenPipes() (*Pipes, error) {
	p := &Pipes{}
	var err error
	if p.ours[0], p.Stdout, err = openPipe(); err != nil {
		return nil, err
	}
	if p.ours[1], p.Stderr, err = openPipe(); err != nil {
		_, _ = p.ours[0].Close(), p.Stdout.Close()
		return nil, err
	}
	return p, nil
}

// HandOver closes the ends of the process here, once the process has them.
func (p *Pipes) HandOver() { _, _ = p.Stdout.Close(), p.Stderr.Close() }

// Abandon closes all pipes: there is no process, or no caller needs its output.
func (p *Pipes) Abandon() {
	for _, file := range []*os.File{p.Stdout, p.Stderr, p.ours[0], p.ours[1]} {
		_ = file.Close()
	}
}

// Drain begins to read: the output of the process goes to the writers, to each from one
// goroutine, after the given earlier output.
func (p *Pipes) Drain(stdout, stderr io.Writer, before [2][]byte) {
	for i, sink := range [2]io.Writer{stdout, stderr} {
		p.copying.Go(func() {
			if len(before[i]) > 0 {
				_, _ = sink.Write(before[i]) // a sink that fails now fails later, too
			}
			drain(sink, p.ours[i])
		})
	}
}

// Finish returns when all output has been written. The process has ended.
func (p *Pipes) Finish() {
	deadline := time.Now().Add(drainTime)
	for _, r := range p.ours {
		_ = r.SetReadDeadline(deadline)
	}
	p.copying.Wait()
	for _, r := range p.ours {
		_ = r.Close()
	}
}

// drain reads a pipe to its end, even if the sink fails: a service must not block, or die
// of a broken pipe, because its log cannot be written.
func drain(sink io.Writer, pipe *os.File) {
	if f, ok := sink.(*firstLine); ok {
		defer f.close()
	}
	// Our buffer, because it may hold secrets and must be wiped.
	buffer := drainBuffers.Get().(*[drainBuffer]byte) //nolint:forcetypeassert // it holds no other type
	used, left := 0, maxLeftover
	defer func() {
		clear(buffer[:used])
		drainBuffers.Put(buffer)
	}()
	for left > 0 {
		n, err := pipe.Read(buffer[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// The machine, or the sink, may have been too slow to read all of it.
			n, err = readLeftover(pipe, buffer[:min(left, drainBuffer)])
			left -= n
		}
		used = max(used, n)
		if n > 0 {
			if _, failed := sink.Write(buffer[:n]); failed != nil {
				break
			}
		}
		if err != nil {
			return
		}
	}
	_, _ = io.Copy(io.Discard, pipe)
}

var drainBuffers = sync.Pool{New: newDrainBuffer}

func newDrainBuffer() any { return new([drainBuffer]byte) }
