//go:build unix

package process

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// readLeftover reads the content of a pipe, whose deadline is over, without waiting; it
// returns [io.EOF] if there is none.
func readLeftover(pipe *os.File, buffer []byte) (n int, err error) {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlled := raw.Control(func(fd uintptr) {
		n, err = unix.Read(int(fd), buffer)
		for errors.Is(err, unix.EINTR) {
			n, err = unix.Read(int(fd), buffer)
		}
	})
	if controlled != nil || err != nil || n <= 0 {
		return 0, io.EOF
	}
	return n, nil
}
