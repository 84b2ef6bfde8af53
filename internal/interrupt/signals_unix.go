//go:build unix

package interrupt

import (
	"os"
	"syscall"
)

// interrupts are the signals by which a user or the system ends a command.
var interrupts = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// Terminate asks a service to end where no user has pressed Ctrl-C.
var Terminate os.Signal = syscall.SIGTERM
