package process

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// pipeMode lets every user write.
const pipeMode = 0o622

// openPipe makes a pipe whose other end is for a process. This program never waits for
// that end, so it is in blocking mode from the start.
func openPipe() (ours, theirs *os.File, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, fmt.Errorf("cannot make a pipe: %w", err)
	}
	if err := unix.SetNonblock(ends[0], true); err != nil {
		_, _ = unix.Close(ends[0]), unix.Close(ends[1])
		return nil, nil, fmt.Errorf("cannot make a pipe: %w", err)
	}
	// A process may open it by /dev/stdout, as another user. Only processes that it
	// could inspect find it there.
	if err := unix.Fchmod(ends[1], pipeMode); err != nil {
		_, _ = unix.Close(ends[0]), unix.Close(ends[1])
		return nil, nil, fmt.Errorf("cannot make a pipe: %w", err)
	}
	return os.NewFile(uintptr(ends[0]), "pipe"), os.NewFile(uintptr(ends[1]), "pipe"), nil
}
