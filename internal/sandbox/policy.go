package sandbox

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/limits"
)

// A Policy lists the files, the network and the resources that one execution may
// use. Paths are absolute; where a path lies in another's folder, the deeper one
// counts.
type Policy struct {
	// Writable are the folders for the result of the execution. If it runs as
	// another user, they are given to that user with all files in them, and so
	// are all files in Inputs, except for files with several names.
	Writable []string
	// Inputs are folders of the execution that it reads and does not write.
	Inputs []string
	// Scratch are folders that end with the execution, such as its home. In a
	// private root folder they are in memory, empty at first, and each as large
	// as Limits.Temp; else they are like Writable.
	Scratch []string
	// Readable are the folders and files that the service needs beside the
	// system's programs: its code, its interpreter, its data.
	Readable []string
	// Shown are folders and files that are shown at another path, or from the disk
	// inside a folder that is shown from elsewhere. No other file that lies at or
	// below their paths on the disk is shown, even if Readable has it.
	Shown []Shown
	// Hidden must not be reached though it lies in a readable folder, or in
	// one of the system. A hidden file stays hidden if another one takes its
	// name, or the name of its folder, while the execution runs.
	Hidden []string
	// Network is the network that it reaches; the zero value is all.
	Network Network
	Limits  Limits
	// GPUs is how many of the machine's GPUs it may use; see [GPUs].
	GPUs int
	// Home is the one folder of Scratch that is the home of the execution's
	// user: in a private root folder it is at [HomeAt].
	Home string
	// Forks is for a command that forks executions which are kept from each
	// other by [Separation]: the folder below which each gets one.
	Forks string
}

// OwnAt is the place of private folders in a private root folder: the home of an
// execution at HomeAt and, for forks, its folder at FolderAt, because they are made
// before its name is known. Forks have their TMPDIR at TempAt.
const (
	OwnAt    = "/run/service"
	HomeAt   = OwnAt + "/home"
	FolderAt = OwnAt + "/execution"
	TempAt   = "/tmp"
)

// Shown is the folder or file From, which an execution sees at the path At,
// read-only. If At lies below another one, that one holds a mount point.
type Shown struct {
	At, From string
	// Drafts lets the execution write at At. What it writes is in memory, as much
	// as Limits.Temp says, and ends with it; From never changes. It takes
	// [Machine.HasDrafts], without which At is read-only.
	Drafts bool
}

// ShowLive adds a folder to the readable ones, directly from the disk, even if it
// lies in one that is shown from elsewhere.
func (p *Policy) ShowLive(path string) {
	live := Shown{At: path, From: path}
	switch {
	case !p.showsOther(path):
		p.Readable = append(slices.Clip(p.Readable), path)
	case !slices.Contains(p.Shown, live):
		p.Shown = append(slices.Clip(p.Shown), live)
	}
}

// ShowsLive reports whether the policy shows a folder directly from the disk already.
func (p *Policy) ShowsLive(path string) bool {
	return slices.Contains(p.Readable, path) || slices.Contains(p.Shown, Shown{At: path, From: path})
}

// CanShow reports whether executions can see a folder directly from the disk. They
// cannot if they have private folders in it, as in /tmp or /.
func CanShow(dir string) bool {
	return !slices.ContainsFunc([]string{TempAt, OwnAt, "/dev", "/proc"}, func(private string) bool { return within(private, dir) })
}

// showsOther reports whether the policy may show another file at a path than the disk has.
func (p *Policy) showsOther(path string) bool {
	return slices.ContainsFunc(p.Shown, func(s Shown) bool { return within(path, s.At) })
}

func within(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir) && path[len(dir)] == '/'
}

// Network is the network that an execution reaches.
type Network string

// The networks.
const (
	// NetworkFull is the network of the server.
	NetworkFull Network = ""
	// NetworkLoopback is a separate loopback interface.
	NetworkLoopback Network = "loopback"
	// NetworkNone is no network.
	NetworkNone Network = "none"
)

// Limits are those of an execution. A sandbox enforces Memory, Processes, CPU,
// CPUTime, OpenFiles, FileSize and Temp; zero is no limit, except in Temp. If all
// processes together exceed CPUTime, the [Outcome] says so, and meanwhile
// [Process.CPUTime], if the machine has cgroups that count.
type Limits = limits.Limits

const defaultTemp = 64 << 20

// check finds settings that contradict each other.
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

// The limits that an Outcome can report.
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
	// Reached are the limits that the execution reached, even if it did not end
	// by that.
	Reached []string
}
