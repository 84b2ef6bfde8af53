package process

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Binary is a service that is a program, such as one in Go. It gets its secrets in its
// environment, and describes itself when it is started with the argument --describe.
type Binary struct {
	// Path of the program.
	Path string
	// patience is for tests; zero is describeTime.
	patience time.Duration
}

// describeTime is how long a program may take to describe itself. A program that is no
// service may never end.
const describeTime = 30 * time.Second

// Files is the program itself.
func (b Binary) Files() []string { return absolute(b.Path) }

// Start only keeps the command, unless the program must describe itself: a binary takes
// its secrets when it starts.
func (b Binary) Start(c Command, describe bool) (Execution, error) {
	c.Path = b.Path
	e := &binaryExecution{command: c, patience: cmp.Or(b.patience, describeTime)}
	if !describe {
		return e, nil
	}
	e.document = &limitedBuffer{full: make(chan struct{})}
	c.Args = []string{"--describe"}
	e.log = c.Stdout
	c.Stdout = e.document
	var err error
	e.current, err = Start(c, nil)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// binaryExecution is up to two processes, one after the other: the first describes, the
// second runs.
type binaryExecution struct {
	command  Command
	log      io.Writer
	document *limitedBuffer
	patience time.Duration

	mu      sync.Mutex
	current *Process
	stopped bool
}

func (e *binaryExecution) process() *Process {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current
}

func (e *binaryExecution) Describe(ctx context.Context) ([]byte, error) {
	p := e.process()
	limited, cancel := context.WithTimeout(ctx, e.patience)
	defer cancel()
	waited := make(chan struct{})
	go func() {
		select {
		case <-limited.Done():
		case <-e.document.full:
		case <-waited:
			return
		}
		p.Stop(os.Kill, 0)
	}()
	_, err := p.Wait()
	close(waited)
	e.mu.Lock()
	e.current = nil
	e.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case e.document.overfull:
		return nil, fmt.Errorf("%w: what it printed instead is longer than %d MiB", ErrNotDescribed, maxDescription>>20)
	case limited.Err() != nil:
		return nil, fmt.Errorf("%w: it was ended after %s", ErrNotDescribed, e.patience)
	case err != nil:
		return nil, err
	case len(bytes.TrimSpace(e.document.text)) == 0:
		return nil, ErrNotDescribed
	}
	printed, document := findDescription(e.document.text)
	if len(printed) > 0 && e.log != nil {
		_, _ = e.log.Write(printed) // the description matters, an error here does not
	}
	return document, nil
}

// findDescription separates a description from the output before and after it. If it
// finds none, it returns the whole output as the description.
func findDescription(text []byte) (printed, document []byte) {
	const first = `"schemaVersion"`
	for at := bytes.LastIndex(text, []byte(first)); at >= 0; at = bytes.LastIndex(text[:at], []byte(first)) {
		begin := bytes.LastIndexByte(text[:at], '{')
		if begin < 0 || len(bytes.TrimSpace(text[begin+1:at])) > 0 {
			continue // not the first member
		}
		decoder := json.NewDecoder(bytes.NewReader(text[begin:]))
		var found json.RawMessage
		if decoder.Decode(&found) == nil {
			after := text[begin+int(decoder.InputOffset()):]
			return slices.Concat(text[:begin], bytes.TrimLeft(after, "\n")), found
		}
	}
	return nil, bytes.TrimSpace(text)
}

// Run starts the process that runs, unless the execution was stopped: a cancelled
// execution never starts.
func (e *binaryExecution) Run(secrets []Secret) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return nil
	}
	if err := CheckSecrets(secrets); err != nil {
		return err
	}
	p, err := Start(e.command, secrets)
	if errors.Is(err, syscall.E2BIG) {
		return fmt.Errorf("cannot start %s: its environment is larger than this system allows; a secret may be too long to be given in a variable", e.command.Path)
	}
	if err != nil {
		return err
	}
	e.current = p
	return nil
}

// Finish does nothing: a process that describes ends without it.
func (e *binaryExecution) Finish() {}

func (e *binaryExecution) Stop(signal os.Signal, grace time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	if e.current != nil {
		e.current.Stop(signal, grace)
	}
}

// Wait reports the outcome of the process that ran, or a failure if none has run.
func (e *binaryExecution) Wait() (Outcome, error) {
	p := e.process()
	if p == nil {
		return Outcome{ExitCode: -1}, nil
	}
	return p.Wait()
}

// CPUTime is that of the process that runs.
func (e *binaryExecution) CPUTime() time.Duration {
	if p := e.process(); p != nil {
		return p.CPUTime()
	}
	return 0
}

// limitedBuffer keeps the output up to the size of a description, and fails from then
// on.
type limitedBuffer struct {
	text     []byte
	overfull bool
	full     chan struct{} // closed when it is
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if len(b.text)+len(p) > maxDescription {
		if !b.overfull {
			b.overfull, b.text = true, nil
			close(b.full)
		}
		return 0, errors.New("the description of the service is too long")
	}
	b.text = append(b.text, p...)
	return len(p), nil
}
