package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/qhubctl/qhubctl/internal/environ"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// A KeySource is the place that the versions of a master key come from.
type KeySource interface {
	// Read returns the current keys.
	Read(ctx context.Context) (*Keyring, error)
	// String names the source for messages. It shows no key.
	String() string
}

// FileSource is a key file, as [OpenFile] makes it.
type FileSource string

// Read implements [KeySource].
func (f FileSource) Read(context.Context) (*Keyring, error) { return ReadFile(string(f)) }

func (f FileSource) String() string { return string(f) }

// textSource keeps a text in memory, which also holds its keys.
type textSource struct {
	name string
	text Plaintext
}

// FromEnvironment takes the keys in an environment variable, in the form of
// [FromText], and removes it from the environment of this process, so that no
// program which is started later inherits it.
func FromEnvironment(variable string) (KeySource, error) {
	value, ok := environ.LookupSecret(variable)
	if !ok || value == "" {
		return nil, fmt.Errorf("%w: the variable %s is not set", ErrKeyFormat, variable)
	}
	if err := os.Unsetenv(variable); err != nil {
		return nil, fmt.Errorf("remove the variable %s: %w", variable, err)
	}
	return &textSource{"the variable " + variable, plaintext.FromString(value)}, nil
}

func (s *textSource) Read(context.Context) (*Keyring, error) {
	ring, err := FromText(s.text.Reveal())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	return ring, nil
}

func (s *textSource) String() string { return s.name }

// CommandSource is a program and its arguments that prints the keys, in the
// form of [FromText]: a client of a key store. It is started without a shell.
// No message shows its standard error, or output that is not a key: either may
// be half a key.
type CommandSource []string

// commandTime is how long the program may take.
const commandTime = 30 * time.Second

// ErrCommand says that the program that prints the master key failed.
var ErrCommand = errors.New("the command for the master key failed")

// Read implements [KeySource].
func (c CommandSource) Read(ctx context.Context) (*Keyring, error) {
	if len(c) == 0 || c[0] == "" {
		return nil, fmt.Errorf("%w: there is none", ErrCommand)
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	command := environ.Command(ctx, c[0], c[1:]...)
	// A child of the program may still hold the pipe.
	command.WaitDelay = time.Second
	output := keyText{text: make([]byte, 0, maxKeyFile+1)}
	defer output.wipe()
	command.Stdout = &output
	err := command.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		return nil, fmt.Errorf("%w: %s gave no answer within %s", ErrCommand, c[0], commandTime)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &exit):
		return nil, fmt.Errorf("%w: %s ended with %s", ErrCommand, c[0], exit.ProcessState)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrCommand, err)
	case len(output.text) > maxKeyFile:
		return nil, fmt.Errorf("%w: %s printed too much for a master key", ErrCommand, c[0])
	}
	ring, err := FromText(output.text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c, err)
	}
	return ring, nil
}

func (c CommandSource) String() string {
	if len(c) == 0 {
		return "the command"
	}
	return "the command " + c[0]
}

// keyText takes what a program prints into memory that can be wiped: no
// buffer of io.Copy sees it.
type keyText struct{ text []byte }

// ReadFrom implements [io.ReaderFrom]. It reads and drops text beyond the room
// for keys, so that the program can end.
func (k *keyText) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.ReadFull(r, k.text[len(k.text):cap(k.text)])
	k.text = k.text[:len(k.text)+n]
	if err == nil {
		var dropped int64
		dropped, err = io.Copy(io.Discard, r)
		return int64(n) + dropped, err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return int64(n), err
}

// Write implements [io.Writer], which package exec asks for.
func (k *keyText) Write(p []byte) (int, error) {
	n, err := k.ReadFrom(bytes.NewReader(p))
	return int(n), err
}

func (k *keyText) wipe() { clear(k.text[:cap(k.text)]) }
