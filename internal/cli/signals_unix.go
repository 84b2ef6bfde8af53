//go:build unix

package cli

import (
	"os"
	"syscall"
)

// interrupts are the signals by which a user or the system ends a command.
var interrupts = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// terminate asks a service to end where nobody has pressed Ctrl-C.
var terminate os.Signal = syscall.SIGTERM
