package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// MasterKeyName is the file of the master key in the folder of a server.
const MasterKeyName = "master.key"

// KeySource returns the source of a folder's master key: the given one, or the file in
// the folder if none is given.
func KeySource(given vault.KeySource, dir string) vault.KeySource {
	if given == nil {
		return vault.FileSource(filepath.Join(dir, MasterKeyName))
	}
	return given
}

// A MasterKeyError is the error of a master key that cannot be read.
type MasterKeyError struct{ Err error }

func (e *MasterKeyError) Error() string { return "cannot get the master key: " + e.Err.Error() }
func (e *MasterKeyError) Unwrap() error { return e.Err }

// Hint says how to provide a key.
func (e *MasterKeyError) Hint() string {
	switch {
	case errors.Is(e.Err, vault.ErrCommand):
		return "run the command yourself to see what it says: here, that could be half a key; it has to print the key and end with 0"
	case errors.Is(e.Err, vault.ErrKeyFormat):
		return "a key is a line VERSION:KEY, a number from 1 and 32 bytes in base64;\n" +
			`echo "1:$(head -c 32 /dev/urandom | base64)" makes one`
	case errors.Is(e.Err, fs.ErrNotExist):
		return "`qhubctl serve` makes the file at its first start; or name another with --master-key"
	}
	return ""
}

// lostKeyError says that the key which sealed some secrets is missing. The sealed
// secrets are unchanged.
type lostKeyError struct {
	source     vault.KeySource
	executions int
	why        error
}

func (e *lostKeyError) Error() string {
	return fmt.Sprintf("the secrets of %s cannot be opened with the key from %s: %v", ExecutionCount(e.executions), e.source, e.why)
}
func (e *lostKeyError) Unwrap() error { return e.why }
func (e *lostKeyError) Hint() string {
	return "nothing was changed: put the former key back, or name it with --master-key, and start again;\n" +
		"if it is lost for good, so is all that it sealed: a new data folder begins with a new key"
}

// ExecutionCount formats a number of executions for people.
func ExecutionCount(n int) string {
	if n == 1 {
		return "1 execution"
	}
	return fmt.Sprintf("%d executions", n)
}

// errNoKeyFile is the reason for a lostKeyError if the key file is missing.
var errNoKeyFile = errors.New("there is no such file")

// openKeyring reads the keys that seal the secrets in a store. It makes a key only if
// the store has no sealed secrets. It refuses keys that do not open the secrets in
// the store.
func openKeyring(ctx context.Context, reporter Reporter, source vault.KeySource, executions store.Sealed) (*vault.Keyring, error) {
	ring, err := source.Read(ctx)
	if file, ok := source.(vault.FileSource); ok && errors.Is(err, fs.ErrNotExist) {
		if ring, err = newKeyring(ctx, file, executions); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, &MasterKeyError{err}
	}
	use, err := store.FindKeyUse(ctx, executions, ring)
	if err != nil {
		return nil, fmt.Errorf("cannot read the sealed secrets: %w", err)
	}
	if err := use.Err(); err != nil {
		return nil, &lostKeyError{source, len(use.Missing), err}
	}
	if n := len(use.Damaged); n > 0 {
		reporter.Warn("the secrets of %s were changed, or moved, on the disk: they will fail; `qhubctl keys list` names them", ExecutionCount(n))
	}
	ring.Watch(source)
	return ring, nil
}

// newKeyring makes the key file, if the store has no sealed secrets.
func newKeyring(ctx context.Context, file vault.FileSource, executions store.Sealed) (*vault.Keyring, error) {
	use, err := store.FindKeyUse(ctx, executions, new(vault.Keyring))
	if err != nil {
		return nil, fmt.Errorf("cannot read the sealed secrets: %w", err)
	}
	if n := use.Sealed(); n > 0 {
		return nil, &lostKeyError{file, n, errNoKeyFile}
	}
	ring, err := vault.OpenFile(string(file))
	if err != nil {
		return nil, &MasterKeyError{err}
	}
	return ring, nil
}
