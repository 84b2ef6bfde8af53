package process

import (
	"os"
	"os/exec"
	"syscall"
)

const treeMarker = "QHUBCTL_EXECUTION"

// tree is the process alone: Windows has no groups that a signal reaches.
type tree struct {
	pid    int
	marker string
}

func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

func startTied(cmd *exec.Cmd) error { return cmd.Start() }

// signal ends the process: there is no gentler way that works for all.
func (t tree) signal(os.Signal) {
	if p, err := os.FindProcess(t.pid); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}

func (t tree) killStrays() {}

func signalName(*os.ProcessState) string { return "" }

// awaitExit cannot wait without reaping here.
func awaitExit(int) bool { return false }

func killMarked(...string) {}
