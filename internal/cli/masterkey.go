package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/shlex"
	"github.com/spf13/cobra"

	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/term"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// masterKey says where the master key of a served workspace comes from.
type masterKey struct {
	text   string
	source vault.KeySource // of the text; nil for the file in the folder of serve
}

func (k *masterKey) flags(command *cobra.Command) {
	command.Flags().StringVar(&k.text, "master-key", "",
		"where the key is that seals secrets: @FILE, env:VAR, or 'command:PROGRAM ARG...' that prints it (default: $"+
			vault.EnvironmentVariable+", else .qhub/serve/"+masterKeyName+")")
}

const masterKeyName = "master.key"

// find finds the source, and takes a key in the environment out of it before
// any other program is started.
func (k *masterKey) find() (err error) {
	kind, rest, _ := strings.Cut(k.text, ":")
	switch {
	case k.text == "":
		if os.Getenv(vault.EnvironmentVariable) != "" {
			k.source, err = vault.FromEnvironment(vault.EnvironmentVariable)
		}
	case strings.HasPrefix(k.text, "@") && len(k.text) > 1:
		var path string
		path, err = filepath.Abs(k.text[1:])
		k.source = vault.FileSource(path)
	case kind == "env" && rest != "":
		k.source, err = vault.FromEnvironment(rest)
	case kind == "command":
		var words []string
		if words, err = shlex.Split(rest); err != nil || len(words) == 0 {
			return usagef("--master-key: a program and its arguments are expected after command:, as a shell would read them")
		}
		k.source = vault.CommandSource(words)
	default:
		return usagef("--master-key takes @FILE, env:VAR or command:PROGRAM, not the key itself, which every user of this machine could read")
	}
	if err != nil {
		return &masterKeyError{err}
	}
	return nil
}

// in is the source for a folder of serve.
func (k *masterKey) in(dir string) vault.KeySource {
	if k.source == nil {
		return vault.FileSource(filepath.Join(dir, masterKeyName))
	}
	return k.source
}

// masterKeyError is a key that cannot be got.
type masterKeyError struct{ err error }

func (e *masterKeyError) Error() string { return "cannot get the master key: " + e.err.Error() }
func (e *masterKeyError) Unwrap() error { return e.err }
func (e *masterKeyError) Hint() string {
	switch {
	case errors.Is(e.err, vault.ErrCommand):
		return "run the command yourself to see what it says: here, that could be half a key; it has to print the key and end with 0"
	case errors.Is(e.err, vault.ErrKeyFormat):
		return "a key is a line VERSION:KEY, a number from 1 and 32 bytes in base64;\n" +
			`echo "1:$(head -c 32 /dev/urandom | base64)" makes one`
	case errors.Is(e.err, fs.ErrNotExist):
		return "`qhubctl serve` makes the file at its first start; or name another with --master-key"
	}
	return ""
}

// lostKeyError says that secrets are sealed by a key that is not there. What
// is sealed was not touched.
type lostKeyError struct {
	source     vault.KeySource
	executions int
	why        error
}

func (e *lostKeyError) Error() string {
	return fmt.Sprintf("the secrets of %s cannot be opened with the key from %s: %v", executionCount(e.executions), e.source, e.why)
}
func (e *lostKeyError) Unwrap() error { return e.why }
func (e *lostKeyError) Hint() string {
	return "nothing was changed: put the former key back, or name it with --master-key, and start again;\n" +
		"if it is lost for good, those executions are, too: delete the folder .qhub/serve, which forgets all executions"
}

func executionCount(n int) string {
	if n == 1 {
		return "1 execution"
	}
	return fmt.Sprintf("%d executions", n)
}

// errNoKeyFile is why secrets cannot be opened with a file that is not there.
var errNoKeyFile = errors.New("there is no such file")

// openKeyring gets the keys that seal what a store has. It makes a key only
// where nothing is sealed by a former one, and refuses keys that cannot open
// what is.
func openKeyring(ctx context.Context, streams *term.Streams, source vault.KeySource, executions store.Store) (*vault.Keyring, error) {
	ring, err := source.Read(ctx)
	if file, ok := source.(vault.FileSource); ok && errors.Is(err, fs.ErrNotExist) {
		if ring, err = newKeyring(ctx, file, executions); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, &masterKeyError{err}
	}
	use, err := store.FindKeyUse(ctx, executions, ring)
	if err != nil {
		return nil, fmt.Errorf("cannot look through the sealed secrets: %w", err)
	}
	if err := use.Err(); err != nil {
		return nil, &lostKeyError{source, len(use.Missing), err}
	}
	if n := len(use.Damaged); n > 0 {
		streams.Warn("the secrets of %s were changed, or moved, on the disk: they will fail; `qhubctl keys list` names them", executionCount(n))
	}
	ring.Watch(source)
	return ring, nil
}

// newKeyring makes the key file, if nothing is sealed yet.
func newKeyring(ctx context.Context, file vault.FileSource, executions store.Store) (*vault.Keyring, error) {
	use, err := store.FindKeyUse(ctx, executions, new(vault.Keyring))
	if err != nil {
		return nil, fmt.Errorf("cannot look through the sealed secrets: %w", err)
	}
	if n := use.Sealed(); n > 0 {
		return nil, &lostKeyError{file, n, errNoKeyFile}
	}
	ring, err := vault.OpenFile(string(file))
	if err != nil {
		return nil, &masterKeyError{err}
	}
	return ring, nil
}
