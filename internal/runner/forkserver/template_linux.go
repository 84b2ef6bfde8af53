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

	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// coldError says why a service cannot be forked.
type coldError struct{ reason string }

func (e *coldError) Error() string { return e.reason }

var errGone = errors.New("the template has ended")

// A template is the process that is forked.
type template struct {
	process  *process.Process
	pid      int // of the process itself, not of its cage
	shut     *process.Cage
	walls    *sandbox.Ruleset // nil if there are none
	env      map[string]bool  // the variables it has, as NAME=value
	common   *common          // nil if there is none
	control  *net.UnixConn
	imported time.Duration
	memory   int64
	printed  [2]*recorder // while it was imported
	standby  chan *fork
	gone     chan struct{} // closed when it says nothing more
	dead     chan struct{} // closed when all of its processes have ended
	settling sync.WaitGroup
	over     bool // end waits for what is settling, and nothing is added

	mu       sync.Mutex
	forks    map[int]*fork // by number
	next     int
	running  int // executions
	retiring bool
}

// startTemplate returns when the service is imported, or cannot be, or ctx
// ends.
func startTemplate(ctx context.Context, o Options) (*template, error) {
	ours, theirs, err := socketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	t := &template{
		control: ours, printed: [2]*recorder{newRecorder(), newRecorder()},
		standby: make(chan *fork, o.Standby), gone: make(chan struct{}), dead: make(chan struct{}), forks: map[int]*fork{},
		shut: shutIn(o), env: map[string]bool{},
	}
	env := o.Environment.Unplaced().List()
	for _, entry := range env {
		t.env[entry] = true
	}
	t.process, err = process.Start(process.Command{
		Path: o.Python.Interpreter, Args: []string{filepath.Join(filepath.Dir(o.Python.Launcher), TemplateFile)},
		Dir: o.Dir, Env: env,
		Stdout: t.printed[0], Stderr: t.printed[1], Stdin: theirs, Cage: aroundItself(t.shut),
	}, nil)
	_ = theirs.Close() // so that the end of the process ends what is read here
	if err != nil {
		err = errors.Join(err, ours.Close())
		if t.shut != nil {
			// It is not tried without: what cannot be shut in starts cold.
			err = &coldError{fmt.Sprintf("the process that is to be forked cannot be confined: %v", err)}
		}
		return nil, err
	}
	release := context.AfterFunc(ctx, func() { t.process.Stop(os.Kill, 0) })
	err = t.load(o)
	if !release() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		t.end()
		return nil, err
	}
	t.common, t.memory = t.openCommon(), memoryOf(t.pid) // before forks share it
	go t.listen()
	for range o.Standby {
		t.refill()
	}
	return t, nil
}

// load has the template import the service.
func (t *template) load(o Options) error {
	order := map[string]any{"entrypoint": o.Python.Entrypoint, "finalize": o.Finalize}
	if t.shut != nil {
		var err error
		if t.walls, err = t.shut.Machine.Ruleset(t.shut.Policy); err != nil {
			return &coldError{fmt.Sprintf("forks cannot be kept from each other: %v", err)}
		}
		if t.walls != nil {
			order["walls"] = t.walls.Paths()
		}
	}
	text, err := json.Marshal(order)
	if err != nil {
		return err
	}
	if err := t.send(string(text)); err != nil {
		return fmt.Errorf("cannot start a template: %w", err)
	}
	first, places, err := t.answer()
	switch {
	case err != nil:
		// By itself, or it was killed, such as where memory was short: it may
		// go better the next time.
		return errors.New("importing the service ended the process that was to be forked")
	case first.Cold != "":
		return &coldError{first.Cold}
	case first.Ready == nil:
		return errors.New("a template did not answer as it should")
	}
	if t.walls == nil {
		closeAll(places) // nobody has asked for them
	} else if err := t.walls.Open(first.Ready.Places, places); err != nil {
		return err
	}
	for _, r := range t.printed {
		<-r.complete
		if r.tooMuch {
			return &coldError{"importing the service prints too much to be repeated in the log of each execution"}
		}
	}
	t.imported = time.Duration(first.Ready.Seconds * float64(time.Second))
	return nil
}

func (t *template) ended(number int, how func(*fork)) {
	t.mu.Lock()
	f := t.forks[number]
	delete(t.forks, number)
	t.mu.Unlock()
	if f != nil {
		how(f)
		close(f.done)
	}
}

// lose is the end of the template: the system ends its forks with it.
func (t *template) lose() {
	t.mu.Lock()
	t.retiring = true
	forks := t.forks
	t.forks = map[int]*fork{}
	t.mu.Unlock()
	for _, f := range forks {
		close(f.done)
	}
	close(t.gone)
}

// ask has the template make a fork, which is there once it is awaited: one that
// prepares itself, where nobody waits for it.
func (t *template) ask(ahead bool) (*fork, error) {
	if !t.enter() { // what a fork is given is being closed
		return nil, errGone
	}
	defer t.settling.Done()
	f, theirs, err := t.conceive()
	if theirs != nil {
		defer func() { _ = theirs.Close() }()
	}
	if err == nil {
		err = t.register(f, theirs, ahead)
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

// conceive makes all that a fork is given.
func (t *template) conceive() (f *fork, theirs *os.File, err error) {
	f = &fork{template: t, done: make(chan struct{})}
	if f.orders, theirs, err = socketPair(unix.SOCK_STREAM); err != nil {
		return f, nil, err
	}
	if f.pipes, err = process.OpenPipes(); err != nil {
		return f, theirs, err
	}
	if t.walls != nil {
		if f.wall, err = t.walls.Wall(); err != nil {
			return f, theirs, err
		}
	}
	if t.shut != nil {
		f.group, err = t.shut.Machine.Group(t.shut.Policy.Limits)
	}
	return f, theirs, err
}

// register has the template make the fork, with what belongs to it.
func (t *template) register(f *fork, socket *os.File, ahead bool) error {
	order := "fork "
	if ahead {
		order = "ahead "
	}
	files := []int{int(socket.Fd()), int(f.pipes.Stdout.Fd()), int(f.pipes.Stderr.Fd())}
	if f.wall != nil {
		files = append(files, int(f.wall.File.Fd()))
	}
	if f.group != nil {
		for _, list := range f.group.Lists() {
			files = append(files, int(list.Fd()))
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.retiring {
		return errGone
	}
	t.next++
	if err := t.send(order+strconv.Itoa(t.next), files...); err != nil {
		return fmt.Errorf("cannot ask for a fork: %w", err)
	}
	t.forks[t.next] = f
	return nil
}

// enter has end wait for what begins, until it has called settling.Done; it may
// not begin when there is nothing left to end.
func (t *template) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.settling.Add(1)
	}
	return !t.over
}

// background does something that end waits for.
func (t *template) background(do func()) {
	if !t.enter() { // all forks have ended: there is nothing to wait for
		do()
		return
	}
	go func() {
		defer t.settling.Done()
		do()
	}()
}

// retire lets the template end when the executions have.
func (t *template) retire() {
	t.mu.Lock()
	already := t.retiring
	t.retiring = true
	t.mu.Unlock()
	if already {
		return
	}
	_ = t.send("retire") // gone already: fine
	t.dismiss()
}

// end frees what the template holds, once it is gone or is not to be.
func (t *template) end() {
	_ = t.control.Close()
	t.process.Stop(os.Kill, 0)
	_, _ = t.process.Wait()
	close(t.dead)
	t.dismiss()
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	t.settling.Wait()
	if t.walls != nil {
		t.walls.Close()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.common != nil {
		_ = t.common.root.Close()
	}
}

// strays are the children that the template has not made: what executions have
// left behind goes to it.
func (t *template) strays() []int {
	pid := strconv.Itoa(t.pid)
	text, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	forks := map[int]bool{}
	for _, f := range t.forks {
		forks[f.pid] = true
	}
	var strays []int
	for field := range strings.FieldsSeq(string(text)) {
		if child, err := strconv.Atoi(field); err == nil && !forks[child] {
			strays = append(strays, child)
		}
	}
	return strays
}
