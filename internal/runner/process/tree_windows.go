package process

import (
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A Tree is the process alone: Windows has no groups that a signal reaches.
type Tree struct {
	Pid         int
	TagVariable string
}

func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

func startTied(cmd *exec.Cmd) error { return cmd.Start() }

// Signal kills the process: no gentler way works for all.
func (t Tree) Signal(os.Signal) {
	if p, err := os.FindProcess(t.Pid); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}

// KillOrphans does nothing: this system offers no way to find them.
func (t Tree) KillOrphans() {}

// KillOrphansSince does nothing either.
func (t Tree) KillOrphansSince(time.Time) {}

func signalName(*os.ProcessState) string { return "" }

// awaitExit cannot wait without reaping here.
func awaitExit(int) bool { return false }

func killTagged(...string) {}
