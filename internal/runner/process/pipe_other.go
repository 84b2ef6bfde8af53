//go:build !linux

package process

import "os"

// openPipe makes a pipe whose other end is for a process.
func openPipe() (ours, theirs *os.File, err error) { return os.Pipe() }
