//go:build unix

package postgrestest

import (
	"os"
	"os/exec"
	"syscall"
)

// apart keeps Ctrl-C in a terminal from a server: it ends the test, which ends the server.
// The server of root runs as another user.
func apart(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: serverUser, Gid: serverUser}
	}
}
