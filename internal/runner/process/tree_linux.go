package process

import (
	"bytes"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/descriptors"
)

// ownGroup makes the process the leader of a group of its own, so that a
// Ctrl-C at the terminal reaches it through us alone, and ties its life to
// ours: not even a kill -9 of this program leaves services behind.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// starts carries the commands to start to one OS thread that lives as long as
// the program: the kernel sends a death signal when the thread that forked
// ends, not when the program does.
var starts = sync.OnceValue(func() chan<- func() {
	queue := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range queue {
			start()
		}
	}()
	return queue
})

func startTied(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	starts() <- func() { done <- cmd.Start() }
	err := <-done
	if err == nil {
		// Secrets are in the memory of the process: no file gets a copy of
		// that. In a sandbox it is so before the process begins.
		_ = unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil) // it has ended already
	}
	return err
}

// awaitExit returns when the process has ended, and leaves it to be reaped;
// false if it cannot.
func awaitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}

// KillOrphans ends processes of the tree that have left its group. They carry
// the marker in the environment block they were started with, wherever in the
// tree of processes they are now. A process that hides from this on purpose
// is a matter for a sandbox.
func (t Tree) KillOrphans() { killTagged(t.TagVariable) }

// KillOrphansSince is KillStrays for a tree that began at a time.
func (t Tree) KillOrphansSince(began time.Time) {
	killAmong(func() numbers { return givenSince(t.Pid, began) }, t.TagVariable)
}

// killTagged ends all processes that carry one of the markers.
func killTagged(variables ...string) { killAmong(func() numbers { return all }, variables...) }

// numbers are those of processes, from the first to the last.
type numbers struct{ first, last int }

var all = numbers{0, math.MaxInt}

// turn is a time in which no system gives out all numbers of processes once.
const turn = time.Second

// givenSince are the numbers that processes have got which came after one that
// began at a time. They are given out in turn, from the lowest again after the
// highest.
func givenSince(pid int, began time.Time) numbers {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil || time.Since(began) > turn {
		return all
	}
	last, err := strconv.Atoi(string(bytes.TrimSpace(text[bytes.LastIndexByte(text, ' ')+1:])))
	if err != nil || last < pid {
		return all
	}
	return numbers{pid, last}
}

// killAmong ends all processes with some numbers that carry one of the markers.
func killAmong(given func() numbers, variables ...string) {
	for range 20 { // an orphan may fork while it is looked for
		found, unsure := killMarkedOnce(given(), variables)
		switch {
		case found:
		case unsure:
			time.Sleep(time.Millisecond) //nolint:forbidigo // nothing tells that an exec is over
		default:
			return
		}
	}
}

// KillOrphansAmong is KillStrays for where they can only be some processes. It
// reports whether it has ended any.
func (t Tree) KillOrphansAmong(pids []int) (found bool) {
	for _, pid := range pids {
		found = kill(pid, []string{t.TagVariable}) || found
	}
	return found
}

// killMarkedOnce reports whether it has killed any, and whether there were
// processes in the middle of an exec: those show no environment for a moment,
// when whoever started them may think that they run.
func killMarkedOnce(given numbers, variables []string) (found, unsure bool) {
	var names []string
	err := descriptors.RetryBriefly(func() error {
		dir, err := os.Open("/proc")
		if err != nil {
			return err
		}
		names, err = dir.Readdirnames(-1)
		return errors.Join(err, dir.Close())
	})
	if err != nil {
		return false, false
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() || pid < given.first || pid > given.last {
			continue
		}
		switch marked, empty := isMarked(pid, variables); {
		case marked:
			found = kill(pid, variables) || found
		case empty:
			unsure = unsure || isNew(pid)
		}
	}
	return found, unsure
}

// isMarked looks at the environment block of a process, whose entries end
// with NUL.
func isMarked(pid int, variables []string) (marked, empty bool) {
	var environ []byte
	err := descriptors.RetryBriefly(func() (err error) {
		environ, err = os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
		return err
	})
	if err != nil {
		return false, false
	}
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if bytes.HasPrefix(entry, []byte(tagName+"=")) {
			return slices.Contains(variables, string(entry)), false
		}
	}
	return false, len(environ) == 0
}

// isNew reports whether a process runs a program and has been there for less
// than a second.
func isNew(pid int) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if _, err := os.Readlink(filepath.Join(dir, "exe")); err != nil {
		return false // of the kernel, or it has ended
	}
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	var now unix.Timespec
	if err != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return false
	}
	const ticks, startField = 100, 19 // a second in this file; the field's number after the name
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= startField {
		return false
	}
	started, err := strconv.ParseInt(string(fields[startField]), 10, 64)
	return err == nil && now.Nano()/int64(time.Second/ticks)-started < ticks
}

// kill kills through a descriptor of the process, and only after another look:
// its number may have gone to another process meanwhile. It returns when the
// process has ended.
func kill(pid int, variables []string) bool {
	var fd int
	err := descriptors.RetryBriefly(func() (err error) {
		fd, err = unix.PidfdOpen(pid, 0)
		return err
	})
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	if marked, _ := isMarked(pid, variables); !marked || unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) != nil {
		return false
	}
	awaitKilled(fd)
	return true
}

// killTime is how long a killed process may take to end.
const killTime = 2 * time.Second

// awaitKilled returns when the process of the descriptor has ended, which then
// reads as ready.
func awaitKilled(pidfd int) {
	deadline := time.Now().Add(killTime)
	for left := killTime; left > 0; left = time.Until(deadline) {
		ready := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, int(left.Milliseconds())); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
