//go:build unix

package term

import "golang.org/x/sys/unix"

// hideInput makes a terminal read lines and show no typed text.
func hideInput(fd int) error {
	state, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return err
	}
	state.Lflag &^= unix.ECHO
	state.Lflag |= unix.ICANON | unix.ISIG
	state.Iflag |= unix.ICRNL
	return unix.IoctlSetTermios(fd, setTermios, state)
}
