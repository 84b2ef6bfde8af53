package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Binary is a service that is a program of its own, such as one in Go. It gets
// its secrets in its environment, and describes itself when it is asked to
// with the argument --describe.
type Binary struct {
	// Path of the program.
	Path string
}

// Start only notes the command, unless the program is to describe itself: a
// binary takes its secrets when it starts.
func (b Binary) Start(c Command, describe bool) (Execution, error) {
	c.Path = b.Path
	e := &binaryExecution{command: c}
	if !describe {
		return e, nil
	}
	e.document = &limitedBuffer{}
	c.Args = []string{"--describe"}
	c.Stdout = e.document
	var err error
	e.current, err = Start(c, nil)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// binaryExecution is up to two processes after each other: one that describes,
// one that runs.
type binaryExecution struct {
	command  Command
	document *limitedBuffer

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
	done := make(chan error, 1)
	go func() {
		_, err := p.Wait()
		done <- err
	}()
	select {
	case <-ctx.Done():
		p.Stop(os.Kill, 0)
		<-done //nolint:errcheck // it was killed
		e.forget()
		return nil, ctx.Err()
	case err := <-done:
		e.forget()
		if err != nil {
			return nil, err
		}
	}
	if len(e.document.text) == 0 {
		return nil, ErrNotDescribed
	}
	return bytes.TrimSpace(e.document.text), nil
}

func (e *binaryExecution) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current = nil
}

func (e *binaryExecution) Run(secrets []Secret) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return errors.New("the execution was stopped before it began")
	}
	p, err := Start(e.command, secrets)
	if err != nil {
		return err
	}
	e.current = p
	return nil
}

// Finish has nothing to end: a describing process ends by itself.
func (e *binaryExecution) Finish() {}

func (e *binaryExecution) Stop(signal os.Signal, grace time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	if e.current != nil {
		e.current.Stop(signal, grace)
	}
}

func (e *binaryExecution) Wait() (Outcome, error) {
	p := e.process()
	if p == nil {
		return Outcome{}, nil
	}
	return p.Wait()
}

// limitedBuffer keeps what is written to it, up to the size of a description.
type limitedBuffer struct{ text []byte }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if len(b.text)+len(p) > maxDescription {
		return 0, fmt.Errorf("the description of the service is longer than %d MiB", maxDescription>>20)
	}
	b.text = append(b.text, p...)
	return len(p), nil
}
