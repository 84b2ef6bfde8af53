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

// ownGroup makes the process the leader of a separate group, so that a Ctrl-C at the
// terminal reaches it through us alone. It also ties its life to ours: even a SIGKILL of
// this program leaves no services behind.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// starts passes the commands to start to one OS thread that lives as long as the program:
// the kernel sends a death signal when the thread that forked ends, not when the program
// does.
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
		// Secrets are in the memory of the process, so it must not write a core file. In
		// a sandbox that is set before the process begins.
		_ = unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil) // it may have ended already
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

// KillOrphans kills processes of the tree that have left its group. They carry the tag in
// their initial environment block, in any place in the tree of processes. Only a sandbox
// stops a process that hides from this on purpose.
func (t Tree) KillOrphans() { killTagged(t.TagVariable) }

// KillOrphansSince is KillOrphans for a tree that began at a time.
func (t Tree) KillOrphansSince(began time.Time) {
	killAmong(func() numbers { return givenSince(t.Pid, began) }, t.TagVariable)
}

// killTagged kills all processes that carry one of the tags.
func killTagged(variables ...string) { killAmong(func() numbers { return all }, variables...) }

// numbers is a range of process numbers, from the first to the last.
type numbers struct{ first, last int }

var all = numbers{0, math.MaxInt}

// turn is a time in which no system uses up all process numbers.
const turn = time.Second

// givenSince are the numbers of processes that started after a process that began at a
// time. The system assigns them in order, and after the highest from the lowest again.
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

// killAmong kills all processes in a range of numbers that carry one of the tags.
func killAmong(given func() numbers, variables ...string) {
	for range 20 { // an orphan may fork during the search
		found, unsure := killMarkedOnce(given(), variables)
		switch {
		case found:
		case unsure:
			time.Sleep(time.Millisecond) //nolint:forbidigo // the system does not report the end of an exec
		default:
			return
		}
	}
}

// KillOrphansAmong is KillOrphans if only some processes can be orphans. It reports
// whether it has killed any.
func (t Tree) KillOrphansAmong(pids []int) (found bool) {
	for _, pid := range pids {
		found = kill(pid, []string{t.TagVariable}) || found
	}
	return found
}

// killMarkedOnce reports whether it has killed any, and whether there were processes in
// the middle of an exec: those show no environment for a moment, though their parent may
// believe that they run.
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

// isMarked checks the environment block of a process, whose entries end with NUL.
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

// isNew reports whether a process runs a program and is less than a second old.
func isNew(pid int) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if _, err := os.Readlink(filepath.Join(dir, "exe")); err != nil {
		return false // a kernel thread, or it has ended
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

// kill kills through a descriptor of the process, and only after a second check: another
// process may have its number meanwhile. It returns when the process has ended.
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

// awaitKilled returns when the process of the descriptor has ended, which makes the
// descriptor readable.
func awaitKilled(pidfd int) {
	deadline := time.Now().Add(killTime)
	for left := killTime; left > 0; left = time.Until(deadline) {
		ready := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, int(left.Milliseconds())); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
