//go:build unix

package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Tree is the processes of one execution: the group that Pid leads, and processes with
// the tag that have left the group.
type Tree struct {
	Pid         int
	TagVariable string
}

// Signal reaches the group, or the process alone if it has not made the group yet.
func (t Tree) Signal(signal os.Signal) {
	if s, ok := signal.(syscall.Signal); ok {
		if syscall.Kill(-t.Pid, s) != nil {
			_ = syscall.Kill(t.Pid, s) // an ended process is fine
		}
	}
}

func signalName(state *os.ProcessState) string {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return unix.SignalName(status.Signal())
	}
	return ""
}
