package process

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

const (
	// drainTime is how long the end of the output is waited for after the process
	// has ended and its tree is killed: a pipe may have been handed to a process
	// out of our reach.
	drainTime = 2 * time.Second
	// maxLeftover is how much is read after that of what is in the pipe already,
	// which is what the process has printed where nothing else has it: the largest
	// pipe that an ordinary user can make.
	maxLeftover = 1 << 20
	drainBuffer = 32 << 10
)

// Pipes carry what a process prints: Drain, or Abandon, once the process has
// its ends; Finish when it has ended.
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

// HandOver closes the ends of the process here: it has them.
func (p *Pipes) HandOver() { _, _ = p.Stdout.Close(), p.Stderr.Close() }

// Abandon gives all up: there is no process, or no caller needs its
// output.
func (p *Pipes) Abandon() {
	for _, file := range []*os.File{p.Stdout, p.Stderr, p.ours[0], p.ours[1]} {
		_ = file.Close()
	}
}

// Drain begins to read: what the process prints goes to the writers, to each
// from one goroutine, after what was printed before.
func (p *Pipes) Drain(stdout, stderr io.Writer, before [2][]byte) {
	for i, sink := range [2]io.Writer{stdout, stderr} {
		p.copying.Go(func() {
			if len(before[i]) > 0 {
				_, _ = sink.Write(before[i]) // one that fails takes nothing later, too
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

// drain reads a pipe to its end, even where the sink fails: a service must not
// block, or die of a broken pipe, because nobody can take its log.
func drain(sink io.Writer, pipe *os.File) {
	if f, ok := sink.(*firstLine); ok {
		defer f.close()
	}
	// A buffer of our own, as what is in it may be secret and is wiped.
	buffer := drainBuffers.Get().(*[drainBuffer]byte) //nolint:forcetypeassert // there is nothing else in it
	used, left := 0, maxLeftover
	defer func() {
		clear(buffer[:used])
		drainBuffers.Put(buffer)
	}()
	for left > 0 {
		n, err := pipe.Read(buffer[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// The machine, or the sink, may have been too slow for all of it.
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
