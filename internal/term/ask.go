package term

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// ErrNoTerminal is returned where a person would have to be asked and none is
// there.
var ErrNoTerminal = errors.New("there is no terminal to ask on")

// AskSecret asks for the value of a secret, which the terminal does not show.
// It returns the error of ctx when that ends first, with the terminal as it
// was.
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
	s.print(name + " (not shown): ")
	type answer struct {
		value []byte
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := term.ReadPassword(fd)
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
		// The reading goroutine ends with the program; echo must not.
		_ = term.Restore(fd, before)
		s.print("\n")
		return plaintext.Bytes{}, ctx.Err()
	}
}
