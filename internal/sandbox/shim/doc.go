// Package shim is the first process of a sandboxed execution: this program,
// started again with the environment [Environment].
//
// It reads a [Program] from an inherited socket, carries out its steps, which
// build the sandbox, starts the service and stays as its init. It reaps the
// processes that the service leaves, and reports how the service ended. Package
// sandbox decides on the steps before; the shim only carries them out, in order,
// and stops at the first step that fails.
//
// It runs in an init function, and the package imports next to nothing:
// packages are initialised when those that they import are, by name. So the shim
// starts before most of this program, whose initialisation would delay every
// start of a service.
package shim

// Name is the name (argv[0]) of a shim in lists of processes.
const Name = "qhubctl-sandbox"

// variable makes this program a shim, or one that does nothing until the other
// end of its standard input is closed: that keeps a user namespace alive.
const (
	variable = "QHUBCTL_SANDBOX"
	asShim   = "shim"
	asHolder = "holder"
)

// Environment makes this program a shim with the smallest possible runtime: it
// runs for a moment, then waits. The runtime need not look for limits of its
// cgroup, and never frees memory. A shim that does more than wait needs two
// threads.
func Environment(threads int) []string {
	return []string{variable + "=" + asShim, "GOMAXPROCS=" + string('0'+rune(threads)), gcOff, noLooking}
}

// HoldEnvironment is the environment of a holder.
func HoldEnvironment() []string {
	return []string{variable + "=" + asHolder, "GOMAXPROCS=1", gcOff, noLooking}
}

const (
	gcOff     = "GOGC=off"
	noLooking = "GODEBUG=containermaxprocs=0,updatemaxprocs=0"
)

// ControlFD is the descriptor of the shim's end of the socket. The descriptors
// that steps name follow it.
const ControlFD = 3
