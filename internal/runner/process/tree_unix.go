//go:build unix

package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// treeMarker is a variable that every process of a tree inherits.
const treeMarker = "QHUBCTL_EXECUTION"

// tree is the processes of one execution: the group that pid leads, and what
// has left the group but carries the marker.
type tree struct {
	pid    int
	marker string
}

func (t tree) signal(signal os.Signal) {
	if s, ok := signal.(syscall.Signal); ok {
		_ = syscall.Kill(-t.pid, s) // gone already: fine
	}
}

func signalName(state *os.ProcessState) string {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return unix.SignalName(status.Signal())
	}
	return ""
}
