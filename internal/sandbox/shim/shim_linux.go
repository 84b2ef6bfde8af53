package shim

import (
	"errors"
	"syscall"
	"unsafe"
)

// exitFailed is the exit code of a shim that failed; the report says why.
const exitFailed = 125

func init() {
	// By a variable: package os, which has the arguments, is initialised late.
	as, _ := syscall.Getenv(variable)
	switch as {
	case asShim:
	case asHolder:
		hold()
	default:
		return
	}
	// The main goroutine stays on the main thread during initialisation.
	// It exits without running exit hooks: those of the race detector, for
	// example, would delay every start.
	syscall.Exit(run())
}

func hold() {
	var b [1]byte
	for {
		if n, err := syscall.Read(0, b[:]); n == 0 || (err != nil && !errors.Is(err, syscall.EINTR)) {
			syscall.Exit(0)
		}
	}
}

// control is the socket, read and written without the poller of the runtime.
type control struct{}

var errGone = errors.New("the server is gone")

func (control) Read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(ControlFD, b)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, errGone
		}
		return n, nil
	}
}

func tell(r Report) { _, _ = syscall.Write(ControlFD, r.encode()) }

func run() int {
	// The service inherits no open descriptor but 0, 1 and 2.
	if err := do(sysCloseRange, ControlFD, uintptr(^uint32(0)), closeRangeCloexec); err != nil {
		closeOnExec()
	}
	ignoreSignals()
	p, err := ReadProgram(control{})
	if err != nil {
		return exitFailed
	}
	subreaper := false
	umask := syscall.Umask(0) // restored for the files of the service
	var w walker
	for i := range p.Steps {
		if err := w.do(&p.Steps[i]); err != nil {
			tell(failure(i, err))
			return exitFailed
		}
		subreaper = subreaper || p.Steps[i].Op == OpSubreaper
	}
	syscall.Umask(umask)
	if p.Path == "" {
		tell(Report{Kind: Ended})
		return 0
	}
	pid, handle, err := start(p)
	if err != nil {
		tell(failure(NotStarted, err))
		return exitFailed
	}
	if p.Users != 0 {
		// Not before: only a process that may be inspected can write its maps
		// of the namespace.
		_ = do(syscall.SYS_PRCTL, prSetDumpable)
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
	errno := syscall.EINVAL
	_ = errors.As(err, &errno)
	return Report{Kind: Failed, Step: uint16(step), Errno: uint32(errno)}
}

// ignoreSignals drops signals to the group, which are for the service. The
// runtime does not know of it: os/signal would make it start goroutines, which
// takes longer than all the rest. Since it does not know, it gives the service,
// like any child, the default actions.
func ignoreSignals() {
	// The part of struct sigaction that is the same on all architectures.
	action := struct {
		handler uintptr
		rest    [15]uintptr
	}{handler: 1} // SIG_IGN
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		const sizeOfSet = 8
		//nolint:gosec // as the kernel wants it
		_ = do(syscall.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, sizeOfSet)
	}
}

func closeOnExec() {
	for fd := ControlFD; fd < 1024; fd++ {
		syscall.CloseOnExec(fd)
	}
}

// start returns the process number of the service, and a pidfd.
func start(p *Program) (pid, handle int, err error) {
	handle = -1
	attr := &syscall.ProcAttr{Dir: p.Dir, Env: p.Env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{PidFD: &handle}}
	if p.UID != 0 {
		attr.Sys.Credential = &syscall.Credential{Uid: p.UID, Gid: p.GID}
	}
	if p.Users != 0 {
		userNamespace(attr.Sys, p)
	}
	pid, err = syscall.ForkExec(p.Path, p.Args, attr)
	return pid, handle, err
}

// userNamespace makes the service start in a user namespace in which its users
// have the same numbers as outside.
func userNamespace(attr *syscall.SysProcAttr, p *Program) {
	uid, gid := int(p.UID), int(p.GID)
	if uid == 0 {
		uid, gid = syscall.Getuid(), syscall.Getgid()
	}
	attr.Cloneflags = syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: int(p.Users)}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: int(p.Users)}}
	attr.GidMappingsEnableSetgroups = p.UID != 0
	for capability := uintptr(0); capability < 64; capability++ {
		if p.Caps&(1<<capability) != 0 {
			attr.AmbientCaps = append(attr.AmbientCaps, capability)
		}
	}
}

// wait reaps all children until the service has ended, and adds up their
// computing time, in microseconds.
func wait(service int) (status syscall.WaitStatus, computed uint64) {
	for {
		var used syscall.Rusage
		// Not by a raw call: a runtime that believes that this thread computes
		// checks it a hundred times a second.
		pid, err := syscall.Wait4(-1, &status, 0, &used)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		computed += uint64(used.Utime.Nano()+used.Stime.Nano()) / 1000
		if err != nil || (pid == service && (status.Exited() || status.Signaled())) {
			return status, computed
		}
	}
}

// endWithServer ends the execution when the server closes the socket or has
// ended.
func endWithServer(handle int) {
	_, _ = (control{}).Read(make([]byte, 1))
	_ = do(sysPidfdSendSignal, uintptr(handle), uintptr(syscall.SIGKILL), 0, 0) // it may have ended: the rest is being killed
}
