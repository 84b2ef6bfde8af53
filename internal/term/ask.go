package term

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// ErrNoTerminal is returned if the program would have to ask a person and has no
// terminal.
var ErrNoTerminal = errors.New("there is no terminal to ask on")

// AskSecret asks for the value of a secret, which the terminal does not show.
// It returns the error of ctx when that ends first, with the terminal
// restored.
func (s *Streams) AskSecret(ctx context.Context, name string) (plaintext.Bytes, error) {
	file, ok := s.In.(*os.File)
	if !s.Interactive || !ok {
		return plaintext.Bytes{}, ErrNoTerminal
	}
	fd := int(file.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return plaintext.Bytes{}, fmt.Errorf("cannot use the terminal: %w", err)
	}
	// Before the prompt: a user who sees that may type, or paste, at once.
	if err := hideInput(fd); err != nil {
		return plaintext.Bytes{}, fmt.Errorf("cannot use the terminal: %w", err)
	}
	defer func() { _ = term.Restore(fd, before) }()
	s.print(name + " (not shown): ")
	type answer struct {
		value []byte
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := readLine(file)
		answered <- answer{value, err}
	}()
	select {
	case a := <-answered:
		s.print("\n")
		if a.err != nil {
			return plaintext.Bytes{}, fmt.Errorf("cannot read the secret %s: %w", name, a.err)
		}
		return plaintext.New(a.value), nil
	case <-ctx.Done():
		// The reading goroutine ends with the program.
		s.print("\n")
		return plaintext.Bytes{}, ctx.Err()
	}
}

// readLine reads to the end of a line, and no byte further. term.ReadPassword
// would change the terminal at another time, maybe after it was restored.
func readLine(r io.Reader) ([]byte, error) {
	// Room for the most that a terminal takes at once: growing would leave copies.
	line := make([]byte, 0, 4096)
	for next := make([]byte, 1); ; {
		n, err := r.Read(next)
		switch {
		case n > 0 && next[0] == '\n':
			return bytes.TrimSuffix(line, []byte("\r")), nil
		case n > 0:
			line = append(line, next[0])
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		case err != nil:
			clear(line)
			return nil, err
		}
	}
}
