package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox/shim"
)

// self is this program, even if its file has been replaced since.
const self = "/proc/self/exe"

const (
	// setUpTime is how long a shim may take to build its sandbox.
	setUpTime = 30 * time.Second
	// killTime is how long a shim without a pid namespace may take to kill its
	// descendants, before it is killed itself.
	killTime = 2 * time.Second
)

// A Process is a command in its sandbox. Wait must be called, once; the other
// methods may be called by any goroutine.
type Process struct {
	machine *Machine
	cmd     *exec.Cmd
	control *os.File
	group   *group
	uid     uint32
	cpuTime time.Duration // the limit
	// separation keeps the executions apart that it forks; nil if it forks none.
	separation *Separation

	mu     sync.Mutex
	reaped bool // the system may have reused its process number
}

// A StartError says why a command could not be started, or not be sandboxed.
type StartError struct {
	Path string
	Err  error
}

func (e *StartError) Error() string { return fmt.Sprintf("cannot start %s: %v", e.Path, e.Err) }

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }

// Hint says where to look for the cause.
func (e *StartError) Hint() string {
	if _, ok := errors.AsType[*stepError](e.Err); ok {
		return "qhubctl doctor shows what this machine gives to confine services"
	}
	return "the program must lie in a folder of the system, or in one that the service may read"
}

// stepError is the error of a step that failed.
type stepError struct {
	layer layer
	step  shim.Step
	errno unix.Errno
}

func (e *stepError) Error() string {
	on := e.step.B
	if on == "" {
		on = e.step.A
	}
	if on == "" || e.step.Op == shim.OpFilter {
		return fmt.Sprintf("%s: %v", described[e.layer].name, e.errno)
	}
	return fmt.Sprintf("%s: %s: %v", described[e.layer].name, on, e.errno)
}

func (e *stepError) Unwrap() error {
	if e.errno == unix.EMFILE {
		return errOwnFiles
	}
	return e.errno
}

// errOwnFiles is EMFILE of a process in a sandbox, which has a separate limit of open
// files. It does not mean that this program has no descriptors left, and waiting
// does not help.
var errOwnFiles = errors.New("the limit of open files is too low to start it")

// Start runs the command of cmd in a sandbox. Of cmd it takes path, arguments,
// environment, folder and standard streams. The caller must not start cmd, before
// or afterwards. Start returns when the command runs.
func (m *Machine) Start(cmd *exec.Cmd, p Policy) (*Process, error) {
	if cmd.Err != nil {
		return nil, cmd.Err
	}
	if len(cmd.ExtraFiles) > 0 {
		return nil, &StartError{cmd.Path, errors.New("in a sandbox, nothing is open but the standard streams")}
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if !m.Network(p.Network) {
		return nil, &StartError{cmd.Path, fmt.Errorf("this machine cannot give a service the network %q: %s", string(p.Network), m.says[layerNetwork])}
	}
	c, path := &Process{machine: m, cmd: cmd, cpuTime: p.Limits.CPUTime}, cmd.Path
	if err := c.start(p); err != nil {
		c.release()
		return nil, &StartError{path, err}
	}
	return c, nil
}

func (c *Process) start(p Policy) error {
	m, cmd := c.machine, c.cmd
	b := &builder{machine: m, policy: p}
	b.program.Path, b.program.Args, b.program.Env, b.program.Dir = cmd.Path, cmd.Args, cmd.Env, cmd.Dir
	if cmd.Env == nil {
		b.program.Env = os.Environ()
	}
	switch {
	case p.Forks != "":
		var err error
		if c.separation, err = m.separate(p); err != nil {
			return err
		}
		c.separation.start(&b.program)
	case m.has(layerUser):
		id, err := m.ids.take()
		if err != nil {
			return err
		}
		c.uid, b.program.UID, b.program.GID = id, id, id
	}
	if l := p.Limits; len(m.groups.h.folders()) > 0 && (!m.has(layerProcesses) || l.Memory > 0 || l.Processes > 0 || l.CPU > 0 || l.CPUTime > 0) {
		var err error
		if c.group, err = m.groups.take(p.Limits); err != nil {
			return err
		}
	}
	if err := b.build(c.group); err != nil {
		return err
	}
	if c.separation != nil {
		c.separation.inTemp, c.separation.drafts = b.inTemp, b.drafts
	}
	if err := c.launch(b); err != nil {
		return err
	}
	report, err := c.report(time.Now().Add(setUpTime))
	if err == nil && report.Kind == shim.Started {
		return nil
	}
	c.Kill()
	_ = c.reap()
	return failureOf(b, report, err)
}

func failureOf(b *builder, report shim.Report, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("its sandbox ended before it began: %w", err)
	case report.Kind != shim.Failed:
		return nil
	case report.Step == shim.NotStarted && unix.Errno(report.Errno) == unix.EMFILE:
		return errOwnFiles
	case report.Step == shim.NotStarted:
		return unix.Errno(report.Errno)
	}
	step := b.program.Steps[report.Step]
	return &stepError{layer(step.Layer), step, unix.Errno(report.Errno)}
}

// try enters a sandbox and leaves it again.
func (m *Machine) try(p Policy, g *group) error {
	b := &builder{machine: m, policy: p}
	if m.has(layerUser) {
		id, err := m.ids.take()
		if err != nil {
			return err
		}
		defer m.ids.give(id)
		b.program.UID, b.program.GID = id, id
	}
	if err := b.build(g); err != nil {
		return err
	}
	c := &Process{machine: m, cmd: &exec.Cmd{}, group: g}
	if err := c.launch(b); err != nil {
		return err
	}
	report, err := c.report(time.Now().Add(setUpTime))
	if err != nil {
		c.Kill()
	}
	_ = c.cmd.Wait()
	_ = c.control.Close()
	return failureOf(b, report, err)
}

// launch turns the command into a shim, starts it and sends it its program.
func (c *Process) launch(b *builder) error {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	_ = unix.SetNonblock(ends[0], true) // so that reads wait, and can have a deadline
	c.control = os.NewFile(uintptr(ends[0]), "control")
	theirs := os.NewFile(uintptr(ends[1]), "control of the shim")
	defer func() { _ = theirs.Close() }()

	c.cmd.Path, c.cmd.Args, c.cmd.Env, c.cmd.Dir = self, []string{shim.Name}, shim.Environment(1), "/"
	c.cmd.ExtraFiles = append([]*os.File{theirs}, b.files...)
	attr := &syscall.SysProcAttr{Setpgid: true, Cloneflags: b.flags &^ unix.CLONE_NEWUSER}
	if b.flags&unix.CLONE_NEWUSER != 0 {
		userNamespace(attr)
	}
	if c.machine.has(layerProcesses) {
		attr.Pdeathsig = syscall.SIGKILL // kills all: else the descendants of a killed shim would live on
	} else {
		c.cmd.Env = shim.Environment(2) // it waits for the server, too
	}
	if c.group != nil && c.group.dir2 != nil {
		attr.UseCgroupFD, attr.CgroupFD = true, int(c.group.dir2.Fd())
	}
	c.cmd.SysProcAttr = attr
	if err := startTied(c.cmd); err != nil {
		return err
	}
	message := b.program.Append(nil)
	_, err = c.control.Write(message)
	clear(message) // it holds the environment
	if err != nil {
		c.Kill()
		_ = c.cmd.Wait()
		c.reaped = true
	}
	return err
}

// userNamespace gives the process no other user: the server's user stays the
// server's user, but may mount in private namespaces.
func userNamespace(attr *syscall.SysProcAttr) {
	attr.Cloneflags |= unix.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
	// It is not root there, so execve would drop them.
	attr.AmbientCaps = []uintptr{
		unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_SETPCAP,
		unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, // for overlays; see draftCapabilities
	}
}

// starts passes the commands to start to one OS thread that lives as long as the
// program: the kernel sends a death signal when the thread that forked ends, not
// when the program does.
var starts = sync.OnceValue(func() chan<- func() {
	queue := make(chan func())
	go startLoop(queue)
	return queue
})

func startLoop(queue <-chan func()) {
	runtime.LockOSThread()
	for start := range queue {
		start()
	}
}

func startTied(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	starts() <- func() { done <- startReadable(cmd) }
	return <-done
}

// startReadable starts a command. The map of a user namespace is a file in /proc that
// belongs to root while this process is protected from inspection, so it drops the
// protection for that moment. Sandboxed processes do not see this one anyway.
func startReadable(cmd *exec.Cmd) error {
	if cmd.SysProcAttr.Cloneflags&unix.CLONE_NEWUSER == 0 || os.Geteuid() == 0 {
		return cmd.Start()
	}
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err == nil && dumpable != 1 {
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
		defer func() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }()
	}
	return cmd.Start()
}

// Protect keeps other processes of the same user from reading the memory and
// descriptors of this one, and its memory from core dumps. A server calls it
// once, when it starts.
func Protect() error {
	if err := syscall.Setrlimit(unix.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return os.NewSyscallError("setrlimit", err)
	}
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

func (c *Process) report(deadline time.Time) (shim.Report, error) {
	if err := c.control.SetReadDeadline(deadline); err != nil {
		return shim.Report{}, err
	}
	return shim.ReadReport(c.control)
}

// Separation keeps the executions apart that the command forks; nil unless its
// policy has forks.
func (c *Process) Separation() *Separation { return c.separation }

// Pid is the number of the shim, which leads the group of the execution.
func (c *Process) Pid() int { return c.cmd.Process.Pid }

// Signal sends a signal to the processes of the execution that have not left
// its group.
func (c *Process) Signal(s syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped && c.cmd.Process != nil {
		_ = unix.Kill(-c.cmd.Process.Pid, s) // an ended process is fine
	}
}

// Stop sends a signal to the processes of the execution; os.Kill kills all.
func (c *Process) Stop(signal os.Signal) {
	if s, ok := signal.(syscall.Signal); ok && s != syscall.SIGKILL {
		c.Signal(s)
		return
	}
	c.Kill()
}

// Complete reports whether no process of the execution can outlive it.
func (c *Process) Complete() bool { return c.machine.has(layerProcesses) }

// Kill kills all processes of the execution.
func (c *Process) Kill() {
	if c.machine.has(layerProcesses) {
		c.Signal(unix.SIGKILL)
		return
	}
	// The shim knows the descendants, and must live to kill them.
	if raw, err := c.control.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) })
	}
	time.AfterFunc(killTime, func() {
		c.Signal(unix.SIGKILL)
	})
}

// Wait returns when all processes of the execution have ended. On a machine without
// lists of processes for each, it returns when they are out of reach.
func (c *Process) Wait() (Outcome, error) {
	report, err := c.report(time.Time{})
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, unix.ECONNRESET) {
		return Outcome{ExitCode: -1}, fmt.Errorf("cannot wait for the service: %w", err)
	}
	waitErr := c.reap()
	defer c.release()
	outcome := Outcome{ExitCode: -1}
	if c.group != nil {
		outcome.Reached = c.group.reached()
	}
	if report.Kind == shim.Ended {
		computed := time.Duration(report.Computed) * time.Microsecond
		if c.cpuTime > 0 && computed >= c.cpuTime && !slices.Contains(outcome.Reached, LimitCPUTime) {
			outcome.Reached = append(outcome.Reached, LimitCPUTime)
		}
		status := syscall.WaitStatus(report.Status)
		if status.Signaled() {
			outcome.Signal = unix.SignalName(status.Signal())
		} else {
			outcome.ExitCode = status.ExitStatus()
		}
		return outcome, nil
	}
	// A signal has killed the shim, and with it the service.
	if status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		outcome.Signal = unix.SignalName(status.Signal())
		return outcome, nil
	}
	return outcome, fmt.Errorf("the sandbox of the service ended without a word: %w", waitErr)
}

// reap keeps the process number until no caller signals it any more.
func (c *Process) reap() error {
	for {
		err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reaped = true
	return c.cmd.Wait()
}

// CPUTime is how long the processors have worked for the execution, until it
// has ended; 0 if no group counts it, as without a limit.
func (c *Process) CPUTime() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped || c.group == nil {
		return 0
	}
	return c.group.cpuTime()
}

func (c *Process) release() {
	if c.control != nil {
		_ = c.control.Close()
	}
	if c.group != nil {
		// No process outlives the init of a list of processes: no need to check.
		c.machine.groups.give(c.group, c.reaped && c.machine.has(layerProcesses))
	}
	if c.uid != 0 {
		c.machine.ids.give(c.uid)
	}
	if c.separation != nil {
		c.separation.end()
	}
}
