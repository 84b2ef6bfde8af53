package shim

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The exit code of a shim that could not do its work; the report says why.
const exitFailed = 125

func init() {
	if len(os.Args) == 0 || os.Args[0] != Name {
		return
	}
	// The main goroutine stays on the main thread during initialisation.
	if len(os.Args) > 1 && os.Args[1] == holdArgument {
		hold()
	}
	// Nothing is to be done at the end, for which the race detector, for one,
	// would have everybody wait who starts a shim.
	syscall.Exit(run())
}

const holdArgument = "hold"

// HoldArgs are the arguments of a shim that does nothing until the other end
// of its standard input is closed: it keeps a user namespace alive.
func HoldArgs() []string { return []string{Name, holdArgument} }

func hold() {
	var b [1]byte
	for {
		if n, err := unix.Read(0, b[:]); n == 0 || (err != nil && err != unix.EINTR) {
			syscall.Exit(0)
		}
	}
}

// control is the socket, read and written without the poller of the runtime.
type control struct{}

func (control) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(ControlFD, b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, errGone
		}
		return n, nil
	}
}

var errGone = errors.New("the server is gone")

func tell(r Report) { _, _ = unix.Write(ControlFD, r.encode()) }

func run() int {
	// Nothing that was open here reaches the service but 0, 1 and 2.
	if err := unix.CloseRange(ControlFD, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		closeOnExec()
	}
	ignoreSignals()
	p, err := ReadProgram(control{})
	if err != nil {
		return exitFailed
	}
	subreaper := false
	var w walker
	for i := range p.Steps {
		if err := w.do(&p.Steps[i]); err != nil {
			tell(failure(i, err))
			return exitFailed
		}
		subreaper = subreaper || p.Steps[i].Op == OpSubreaper
	}
	if p.Path == "" {
		tell(Report{Kind: Ended})
		return 0
	}
	pid, handle, err := start(p)
	if err != nil {
		tell(failure(NotStarted, err))
		return exitFailed
	}
	*p = Program{} // its environment
	tell(Report{Kind: Started})
	if subreaper {
		go endWithServer(handle)
	}
	status, computed := wait(pid)
	if subreaper {
		endDescendants()
	}
	tell(Report{Kind: Ended, Status: uint32(status), Computed: computed})
	return 0 // and, in a pid namespace, all others with it
}

func failure(step int, err error) Report {
	errno := unix.EINVAL
	_ = errors.As(err, &errno)
	return Report{Kind: Failed, Step: uint16(step), Errno: uint32(errno)}
}

// ignoreSignals drops signals to the group, which are for the service. The
// runtime does not know of it: os/signal would have it start goroutines, which
// takes longer than all the rest. And as it does not know, it gives the
// service, like any child, the default actions.
func ignoreSignals() {
	// struct sigaction of the kernel, as far as it is the same everywhere.
	action := struct {
		handler uintptr
		rest    [15]uintptr
	}{handler: 1} // SIG_IGN
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		const sizeOfSet = 8
		//nolint:gosec // a system call that no package has
		_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, sizeOfSet, 0, 0)
	}
}

func closeOnExec() {
	for fd := ControlFD; fd < 1024; fd++ {
		unix.CloseOnExec(fd)
	}
}

// start returns the number of the service, and a descriptor of its process.
func start(p *Program) (pid, handle int, err error) {
	handle = -1
	attr := &syscall.ProcAttr{Dir: p.Dir, Env: p.Env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{PidFD: &handle}}
	if p.UID != 0 {
		attr.Sys.Credential = &syscall.Credential{Uid: p.UID, Gid: p.GID}
	}
	pid, err = syscall.ForkExec(p.Path, p.Args, attr)
	return pid, handle, err
}

// wait reaps all children until the service has ended, and adds up how long
// they have computed, in microseconds.
func wait(service int) (status syscall.WaitStatus, computed uint64) {
	for {
		var used syscall.Rusage
		pid, err := syscall.Wait4(-1, &status, 0, &used)
		if err == syscall.EINTR {
			continue
		}
		computed += uint64(used.Utime.Nano()+used.Stime.Nano()) / 1000
		if err != nil || (pid == service && (status.Exited() || status.Signaled())) {
			return status, computed
		}
	}
}

// endWithServer ends the execution when the server asks for it by closing the
// socket, or is gone.
func endWithServer(handle int) {
	_, _ = (control{}).Read(make([]byte, 1))
	_ = unix.PidfdSendSignal(handle, unix.SIGKILL, nil, 0) // ended already: the rest is being ended
}

// endDescendants kills and reaps until there is nobody left: the children of
// who is killed become ours. The kernel's list of children may miss some while
// others of them end, so it is asked again until there is none.
func endDescendants() {
	for pause := 500 * time.Microsecond; ; pause = min(2*pause, 20*time.Millisecond) {
		// Most leave nobody: whether there is anybody is asked before looking
		// into /proc, which takes long, and takes the kernel long after.
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if err == syscall.EINTR {
				continue
			}
			if err != nil {
				return
			}
			if pid == 0 {
				break
			}
		}
		for _, pid := range children() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(pause) //nolint:forbidigo // the kernel does not tell when a list is whole
	}
}

// children are those of all threads: orphans go to any of them.
func children() []int {
	var pids []int
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	for _, task := range tasks {
		list, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(list)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
