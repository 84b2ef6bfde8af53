package process

import (
	"io"
	"os"
	"sync"
	"time"
)

// drainTime is how long output is read after the process has ended and its
// tree is killed: a pipe may have been handed to a process out of our reach.
const drainTime = 2 * time.Second

// Pipes carry what a process prints: Drain, or Abandon, once the process has
// its ends; Finish when it has ended.
type Pipes struct {
	// Stdout and Stderr are the ends of the process, in blocking mode.
	Stdout, Stderr *os.File

	ours    [2]*os.File
	sinks   [2]io.Writer
	copying sync.WaitGroup
}

// OpenPipes makes pipes whose output goes to these writers, from one goroutine
// each.
func OpenPipes(stdout, stderr io.Writer) (*Pipes, error) {
	p := &Pipes{sinks: [2]io.Writer{stdout, stderr}}
	var err error
	if p.ours[0], p.Stdout, err = os.Pipe(); err != nil {
		return nil, err
	}
	if p.ours[1], p.Stderr, err = os.Pipe(); err != nil {
		_, _ = p.ours[0].Close(), p.Stdout.Close()
		return nil, err
	}
	return p, nil
}

// Abandon gives all up: there is no process.
func (p *Pipes) Abandon() {
	for _, file := range []*os.File{p.Stdout, p.Stderr, p.ours[0], p.ours[1]} {
		_ = file.Close()
	}
}

// Drain closes the ends of the process here, and begins to read. Each writer
// gets a text first that was printed before.
func (p *Pipes) Drain(stdout, stderr []byte) {
	_, _ = p.Stdout.Close(), p.Stderr.Close()
	for i, before := range [2][]byte{stdout, stderr} {
		p.copying.Go(func() {
			if len(before) > 0 {
				_, _ = p.sinks[i].Write(before) // one that fails takes nothing later, too
			}
			drain(p.sinks[i], p.ours[i])
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
func drain(sink io.Writer, pipe io.Reader) {
	if f, ok := sink.(*firstLine); ok {
		defer f.close()
	}
	if _, err := io.Copy(sink, pipe); err != nil {
		_, _ = io.Copy(io.Discard, pipe)
	}
}
