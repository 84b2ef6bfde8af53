//go:build !linux

package sandbox

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// A Machine knows which layers this machine has: none, on this system.
type Machine struct{}

// Detect finds nothing here.
func Detect(Options) *Machine { return &Machine{} }

// Close gives back what the machine holds.
func (m *Machine) Close() {}

// Confines reports whether commands can be started in sandboxes at all.
func (m *Machine) Confines() bool { return false }

// Layers lists the missing sandbox.
func (m *Machine) Layers() []Layer {
	return []Layer{{
		Name: "sandbox", Says: "qhubctl cannot confine services on " + runtime.GOOS + ", only on Linux",
		Exposes: "a service can do what its user can: read files and memory of the server, and use up the machine",
	}}
}

// Home is where an execution finds its home, here the folder outside.
func (m *Machine) Home(outside string) string { return outside }

// A Separation keeps executions apart that are forked in one sandbox.
type Separation struct{}

// Separation is nil.
func (c *Process) Separation() *Separation { return nil }

// RequireForks fails as Require does.
func (m *Machine) RequireForks() error { return m.Require() }

// Network reports whether this machine can provide a policy's network.
func (m *Machine) Network(n Network) bool { return n == NetworkFull }

// IsExecution is false here: executions run as the server's user.
func (m *Machine) IsExecution(uint32) bool { return false }

// HasUsers is false here.
func (m *Machine) HasUsers() bool { return false }

// HasOwnRoot is false here.
func (m *Machine) HasOwnRoot() bool { return false }

// MachineMemory is not known here.
func MachineMemory() int64 { return 0 }

// DefaultLimits are none here.
func DefaultLimits() Limits { return Limits{} }

// Protect does nothing here.
func Protect() error { return nil }

// A Process is a command in its sandbox.
type Process struct{}

// Start fails with [errors.ErrUnsupported].
func (m *Machine) Start(*exec.Cmd, Policy) (*Process, error) {
	return nil, errors.ErrUnsupported
}

// Pid is the number of the process.
func (c *Process) Pid() int { return 0 }

// Stop does nothing.
func (c *Process) Stop(os.Signal) {}

// Complete reports whether no process of the execution can outlive it.
func (c *Process) Complete() bool { return false }

// CPUTime is 0.
func (c *Process) CPUTime() time.Duration { return 0 }

// CPUSeconds is a time as the system limits that of each process.
func CPUSeconds(time.Duration) uint64 { return 0 }

// Wait fails with [errors.ErrUnsupported].
func (c *Process) Wait() (Outcome, error) { return Outcome{}, errors.ErrUnsupported }

// HasDrafts is false here.
func (m *Machine) HasDrafts() bool { return false }

// SystemFolders are none here.
func SystemFolders() []string { return nil }
