package sandbox

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/limits"
)

// A Policy is what one execution may see, reach and use up. Folders and files
// are named by absolute paths; where a path lies in another's folder, the
// deeper one counts.
type Policy struct {
	// Writable are the folders in which the execution leaves its result. Where
	// it runs as another user, they are given to that one, and so is all that
	// lies in Inputs.
	Writable []string
	// Inputs are folders of the execution that it reads and does not write.
	Inputs []string
	// Scratch are folders of the execution that nobody reads after it, such as
	// its home: in a private root folder they are in memory, empty at first,
	// and as large as Limits.Temp says, each; else they are like Writable.
	Scratch []string
	// Readable is what the service needs beside the system's programs: its
	// code, its interpreter, its data.
	Readable []string
	// Shown are folders and files that are shown at another path, or that stay
	// as they are on the disk inside a folder that is shown from elsewhere.
	// Nothing else that lies at or below their paths on the disk is shown,
	// whatever Readable says of it.
	Shown []Shown
	// Hidden must not be reached though it lies in a readable folder, or in
	// one of the system. A hidden file stays hidden when another one takes its
	// name, or its folder's name, while the execution runs.
	Hidden []string
	// Network is what it reaches of the network; the zero value is all.
	Network Network
	Limits  Limits
	// GPUs is how many of the machine's GPUs it may use; see [GPUs].
	GPUs int
	// Home is the one folder of Scratch that is the home of the execution's
	// user: in a root folder of its own it is at [HomeAt].
	Home string
	// Forks is for a command that forks executions which are kept from each
	// other by [Separation]: the folder below which each gets one.
	Forks string
}

// OwnAt is where executions in a private root folder find their home, and, if
// they are forked, their folder, because they are made before its name is known.
// These have their TMPDIR at TempAt.
const (
	OwnAt    = "/run/service"
	HomeAt   = OwnAt + "/home"
	FolderAt = OwnAt + "/execution"
	TempAt   = "/tmp"
)

// Shown is the folder or file From as an execution sees it: at the path At, and
// read-only. Where At lies below another one, that one holds a mount point.
type Shown struct {
	At, From string
	// Drafts lets the execution write at At. What it writes is in memory, as much
	// as Limits.Temp says, and ends with it; From never changes. It takes
	// [Machine.HasDrafts], without which At is read-only.
	Drafts bool
}

// ShowLive adds a folder to what the execution reads, as it lies on the disk,
// also where it lies in one that is shown from elsewhere.
func (p *Policy) ShowLive(path string) {
	live := Shown{At: path, From: path}
	switch {
	case !p.showsOther(path):
		p.Readable = append(slices.Clip(p.Readable), path)
	case !slices.Contains(p.Shown, live):
		p.Shown = append(slices.Clip(p.Shown), live)
	}
}

// ShowsLive tells whether ShowLive has nothing to add for a folder.
func (p *Policy) ShowsLive(path string) bool {
	return slices.Contains(p.Readable, path) || slices.Contains(p.Shown, Shown{At: path, From: path})
}

// CanShow tells whether executions can be shown a folder as it lies on the disk,
// and not one in which they have private folders, such as /tmp or /.
func CanShow(dir string) bool {
	return !slices.ContainsFunc([]string{TempAt, OwnAt, "/dev", "/proc"}, func(private string) bool { return within(private, dir) })
}

// showsOther tells whether something else may be shown where a path lies.
func (p *Policy) showsOther(path string) bool {
	return slices.ContainsFunc(p.Shown, func(s Shown) bool { return within(path, s.At) })
}

func within(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}

// Network is what an execution reaches of the network.
type Network string

// The networks.
const (
	// NetworkFull is the network of the server.
	NetworkFull Network = ""
	// NetworkLoopback is a loopback interface of the execution's own.
	NetworkLoopback Network = "loopback"
	// NetworkNone is nothing.
	NetworkNone Network = "none"
)

// Limits are those of an execution. A sandbox holds Memory, Processes, CPU,
// CPUTime, OpenFiles, FileSize and Temp; zero is no limit, except in Temp. That all
// processes together have taken more than CPUTime, the [Outcome] tells, and
// meanwhile [Sandboxed.CPUTime], where the machine has cgroups that count.
type Limits = limits.Limits

const defaultTemp = 64 << 20

// check finds what would not mean what its writer thinks.
func (p *Policy) check() error {
	forks := []string{p.Forks}
	if p.Forks == "" {
		forks = nil
	}
	shown := make([]string, 0, 2*len(p.Shown))
	for _, s := range p.Shown {
		shown = append(shown, s.At, s.From)
	}
	for _, list := range [][]string{p.Writable, p.Inputs, p.Scratch, p.Readable, p.Hidden, forks, shown} {
		for _, path := range list {
			if !filepath.IsAbs(path) || filepath.Clean(path) != path {
				return fmt.Errorf("sandbox: %q is not an absolute path in its shortest form", path)
			}
		}
	}
	switch p.Network {
	case NetworkFull, NetworkLoopback, NetworkNone:
	default:
		return fmt.Errorf("sandbox: unknown network %q", string(p.Network))
	}
	l := p.Limits
	if l.Memory < 0 || l.Processes < 0 || l.CPU < 0 || l.CPUTime < 0 || l.OpenFiles < 0 || l.FileSize < 0 || l.Temp < 0 {
		return errors.New("sandbox: a limit is negative")
	}
	return nil
}

// The limits that can be told to have been reached.
const (
	LimitMemory    = "memory"
	LimitProcesses = "processes"
	LimitCPUTime   = "cpu-time"
)

// An Outcome is how an execution ended.
type Outcome struct {
	// ExitCode is the code the service gave itself; -1 if a signal ended it.
	ExitCode int
	// Signal names the signal that ended it; empty if none did.
	Signal string
	// Reached are the limits that the execution ran into, whether it ended by
	// that or not.
	Reached []string
}
