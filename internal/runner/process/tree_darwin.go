package process

import (
	"os/exec"
	"syscall"
	"time"
)

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func startTied(cmd *exec.Cmd) error { return cmd.Start() }

// KillOrphans does nothing: macOS shows the environment of a process only to its debugger.
// Children that leave the group survive here.
func (t Tree) KillOrphans() {}

// KillOrphansSince does nothing either.
func (t Tree) KillOrphansSince(time.Time) {}

// awaitExit cannot wait without reaping here.
func awaitExit(int) bool { return false }

func killTagged(...string) {}
