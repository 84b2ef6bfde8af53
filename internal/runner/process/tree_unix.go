//go:build unix

package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Tree is the processes of one execution: the group that pid leads, and what
// has left the group but carries the marker.
type Tree struct {
	Pid         int
	TagVariable string
}

// Signal reaches the group, or the process alone that has not made it yet.
func (t Tree) Signal(signal os.Signal) {
	if s, ok := signal.(syscall.Signal); ok {
		if syscall.Kill(-t.Pid, s) != nil {
			_ = syscall.Kill(t.Pid, s) // gone already: fine
		}
	}
}

func signalName(state *os.ProcessState) string {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return unix.SignalName(status.Signal())
	}
	return ""
}
