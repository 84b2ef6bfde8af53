package forkserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/descriptors"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// coldError says why a service cannot be forked.
type coldError struct{ reason string }

func (e *coldError) Error() string { return e.reason }

var errGone = errors.New("the zygote has ended")

// A zygote is the process that is forked.
type zygote struct {
	process    *process.Process
	pid        int // of the process itself, not of its sandbox
	sb         *process.Sandbox
	separation *sandbox.Separation // of its forks; nil if there is none
	env        map[string]bool     // its variables, as NAME=value
	importDir  importDir
	control    *net.UnixConn
	imported   time.Duration
	memory     int64
	printed    [2]*recorder // the output of the import
	spares     chan *fork
	gone       chan struct{} // closed when it sends no more messages
	dead       chan struct{} // closed when all of its processes have ended
	settling   sync.WaitGroup
	closed     bool // end waits for settling, and no work is added

	mu       sync.Mutex
	forks    map[int]*fork // by number
	next     int
	running  int // executions
	retiring bool
}

// startZygote returns when the service is imported, or cannot be, or ctx ends.
func startZygote(ctx context.Context, o Options) (*zygote, error) {
	ours, theirs, err := socketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	z := &zygote{
		control: ours, printed: [2]*recorder{newRecorder(), newRecorder()},
		spares: make(chan *fork, o.Spares), gone: make(chan struct{}), dead: make(chan struct{}), forks: map[int]*fork{},
		sb: sandboxOf(o), env: map[string]bool{},
	}
	env := z.environment(o)
	for _, entry := range env.List() {
		z.env[entry] = true
	}
	if z.sb == nil {
		if z.importDir, err = newImportDir(); err != nil {
			return nil, errors.Join(err, ours.Close(), theirs.Close())
		}
		z.importDir.place(env)
	} else if folders, _ := z.scratch(); len(folders) > 0 && env["HOME"] == "" {
		env["HOME"] = filepath.Join(folders[0], "home") // the zygote makes this folder
	}
	z.process, err = process.Start(process.Command{
		Path: o.Python.Interpreter, Args: []string{filepath.Join(filepath.Dir(o.Python.Launcher), ZygoteFile)},
		Dir: o.Dir, Env: env.List(),
		Stdout: z.printed[0], Stderr: z.printed[1], Stdin: theirs, Sandbox: aroundItself(z.sb),
	}, nil)
	_ = theirs.Close() // so that our reads end with the process
	if err != nil {
		err = errors.Join(err, ours.Close(), z.importDir.remove())
		if z.sb != nil && !descriptors.Exhausted(err) {
			// Not tried without a sandbox: the service starts cold in one.
			err = &coldError{fmt.Sprintf("the zygote, the process that is forked, cannot be sandboxed: %v", err)}
		}
		return nil, err
	}
	z.separation = z.process.Separation()
	if err := z.readable(o); err != nil {
		z.end()
		return nil, err
	}
	release := context.AfterFunc(ctx, func() { z.process.Stop(os.Kill, 0) })
	err = z.load(o)
	if !release() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		z.end()
		return nil, err
	}
	z.memory = memoryOf(z.pid) // before forks share it
	go z.listen()
	for range o.Spares {
		z.addSpare()
	}
	return z, nil
}

// readable returns an error if only its owner may read something in the working folder,
// or in a data pool that is shown with it. Only a cold execution sees such files as
// its user's. The zygote checks imported files itself.
func (z *zygote) readable(o Options) error {
	if z.separation == nil {
		return nil
	}
	var places []string
	for _, shown := range z.sb.Policy.Shown {
		if _, err := os.Stat(filepath.Join(shown.From, "pyvenv.cfg")); err != nil {
			places = append(places, shown.From)
		}
	}
	if len(places) == 0 {
		places = []string{o.Dir}
	}
	for _, place := range places {
		if path := z.separation.Private(place); path != "" {
			return &coldError{fmt.Sprintf("the users of forks may not read %s: let all read it (chmod -R a+rX)", path)}
		}
	}
	return nil
}

// load has the zygote import the service.
func (z *zygote) load(o Options) error {
	order := map[string]any{"entrypoint": o.Python.Entrypoint, "finalize": o.Finalize}
	order["scratch"], order["private"] = z.scratch()
	if z.separation != nil {
		order["separation"] = z.separation.Plan()
	}
	text, err := json.Marshal(order)
	if err != nil {
		return err
	}
	if err := z.send(string(text)); err != nil {
		return fmt.Errorf("cannot start a zygote: %w", err)
	}
	first, err := z.answer()
	switch {
	case descriptors.Exhausted(err):
		return err
	case err != nil:
		// It died, or it was killed, for example because memory was short: the next
		// attempt may succeed.
		return errors.New("the zygote, the process that is forked, died while it imported the service")
	case first.Cold != "":
		return &coldError{first.Cold}
	case first.Ready == nil:
		return errors.New("a zygote did not answer as it should")
	}
	for _, r := range z.printed {
		<-r.complete
		if r.tooMuch {
			return &coldError{"importing the service prints too much to be repeated in the log of each execution"}
		}
	}
	z.imported = time.Duration(first.Ready.Seconds * float64(time.Second))
	return nil
}

func (z *zygote) ended(number int, how func(*fork)) {
	z.mu.Lock()
	f := z.forks[number]
	delete(z.forks, number)
	z.mu.Unlock()
	if f != nil {
		how(f)
		close(f.done)
	}
}

// lose handles the end of the zygote: the kernel ends its forks with it.
func (z *zygote) lose() {
	z.mu.Lock()
	z.retiring = true
	forks := z.forks
	z.forks = map[int]*fork{}
	z.mu.Unlock()
	for _, f := range forks {
		close(f.done)
	}
	close(z.gone)
}

// ask makes the zygote fork; await returns when the fork is there. With ahead, the fork
// prepares itself first, because no execution waits for it.
func (z *zygote) ask(ahead bool) (*fork, error) {
	if !z.enter() { // the resources for forks are being closed
		return nil, errGone
	}
	defer z.settling.Done()
	f, theirs, err := z.newChild()
	if theirs != nil {
		defer func() { _ = theirs.Close() }()
	}
	if err == nil {
		err = z.register(f, theirs, ahead)
	}
	if err != nil {
		f.reason = err.Error()
		close(f.done)
		f.release()
		f.settle()
		return nil, err
	}
	f.pipes.HandOver()
	return f, nil
}

// newChild makes the resources of a fork.
func (z *zygote) newChild() (f *fork, theirs *os.File, err error) {
	f = &fork{zygote: z, done: make(chan struct{})}
	if f.orders, theirs, err = socketPair(unix.SOCK_STREAM); err != nil {
		return f, nil, err
	}
	if f.pipes, err = process.OpenPipes(); err != nil {
		return f, theirs, err
	}
	if z.separation != nil {
		if f.user, err = z.separation.TakeUser(); err != nil {
			return f, theirs, err
		}
	}
	if z.sb != nil {
		f.group, err = z.sb.Machine.Group(z.sb.Policy.Limits)
	}
	return f, theirs, err
}

// register makes the zygote fork, and passes the fork its resources.
func (z *zygote) register(f *fork, socket *os.File, ahead bool) error {
	order := "fork "
	if ahead {
		order = "ahead "
	}
	files := []int{int(socket.Fd()), int(f.pipes.Stdout.Fd()), int(f.pipes.Stderr.Fd())}
	if f.group != nil {
		for _, list := range f.group.Lists() {
			files = append(files, int(list.Fd()))
		}
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.retiring {
		return errGone
	}
	z.next++
	if err := z.send(fmt.Sprintf("%s%d %d", order, z.next, f.user), files...); err != nil {
		return fmt.Errorf("cannot ask for a fork: %w", err)
	}
	z.forks[z.next] = f
	return nil
}

// enter makes end wait for the work that begins, until that calls settling.Done. It
// refuses work after the end.
func (z *zygote) enter() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	if !z.closed {
		z.settling.Add(1)
	}
	return !z.closed
}

// background runs a function that end waits for.
func (z *zygote) background(do func()) {
	if !z.enter() { // all forks have ended: there is nothing to wait for
		do()
		return
	}
	go func() {
		defer z.settling.Done()
		do()
	}()
}

// retire makes the zygote end after its executions.
func (z *zygote) retire() {
	z.mu.Lock()
	already := z.retiring
	z.retiring = true
	z.mu.Unlock()
	if already {
		return
	}
	_ = z.send("retire") // it may have ended already
	z.discardSpares()
}

// end frees the resources of the zygote after its end or a failed start.
func (z *zygote) end() {
	_ = z.control.Close()
	z.process.Stop(os.Kill, 0)
	_, _ = z.process.Wait()
	close(z.dead)
	z.discardSpares()
	z.mu.Lock()
	z.closed = true
	z.mu.Unlock()
	z.settling.Wait()
	_ = z.importDir.remove() // an error leaves temporary files to the system
}

// environment is the environment of the zygote: all variables that executions have in
// common, with the folders of each if those have the same paths for all.
func (z *zygote) environment(o Options) runner.Environment {
	env := o.Environment.Unplaced()
	if z.sb != nil {
		env.Place(runner.DirAt(sandbox.FolderAt))
		env["HOME"], env["TMPDIR"] = sandbox.HomeAt, sandbox.TempAt
	}
	return env
}

// done counts an execution that has ended.
func (z *zygote) done() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.running--
}

// orphans are the children that the zygote has not forked: the kernel gives it the
// processes that executions leave.
func (z *zygote) orphans() []int {
	pid := strconv.Itoa(z.pid)
	text, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		return nil
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	forks := map[int]bool{}
	for _, f := range z.forks {
		forks[f.pid] = true
	}
	var orphans []int
	for field := range strings.FieldsSeq(string(text)) {
		if child, err := strconv.Atoi(field); err == nil && !forks[child] {
			orphans = append(orphans, child)
		}
	}
	return orphans
}
