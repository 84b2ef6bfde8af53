//go:build unix

package interrupt

import (
	"os"
	"syscall"
)

// interrupts are the signals that a user or the system sends to end a command.
var interrupts = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// Terminate asks a service to end if no user has pressed Ctrl-C.
var Terminate os.Signal = syscall.SIGTERM
