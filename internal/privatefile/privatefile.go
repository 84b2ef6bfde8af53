// Package privatefile opens files that hold secrets, and refuses those that
// other users can read.
package privatefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// ErrPermissions says that others than its owner may use a file.
var ErrPermissions = errors.New("the file can be read by others")

// Open opens a file for reading, unless others than its owner may use it: then
// the error wraps [ErrPermissions]. It examines the open file, as another one may
// take its name meanwhile.
func Open(path string) (*os.File, fs.FileInfo, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	// Windows has no such modes: a file is as private as its folder.
	if err == nil && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		err = fmt.Errorf("%w: %s has mode %04o; run: chmod 600 %s", ErrPermissions, path, info.Mode().Perm(), path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, info, nil
}

// Read reads at most limit bytes of a file that [Open] opens.
func Read(path string, limit int64) ([]byte, error) {
	file, _, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, limit))
}
