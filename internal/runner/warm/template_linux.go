package warm

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
)

// coldError says why a service cannot be forked.
type coldError struct{ reason string }

func (e *coldError) Error() string { return e.reason }

var errGone = errors.New("the template has ended")

// maxPacket bounds a message of a template.
const maxPacket = 64 << 10

// A template is the process that is forked.
type template struct {
	process  *process.Process
	pid      int // of the process itself, not of its cage
	shut     *process.Cage
	common   *common // nil if there is none
	control  *net.UnixConn
	imported time.Duration
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

// A message is what a template says.
type message struct {
	Ready *struct {
		Seconds float64 `json:"seconds"`
	} `json:"ready"`
	Cold   string `json:"cold"`
	Failed int    `json:"failed"`
	Reason string `json:"reason"`
	Ended  int    `json:"ended"`
	Status uint32 `json:"status"`
	pid    int    // of who has sent it
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
		standby: make(chan *fork, o.Standby), gone: make(chan struct{}), dead: make(chan struct{}), forks: map[int]*fork{}, shut: shutIn(o),
	}
	t.process, err = process.Start(process.Command{
		Path: o.Python.Interpreter, Args: []string{filepath.Join(filepath.Dir(o.Python.Launcher), TemplateFile)},
		Dir: o.Dir, Env: o.Environment.Unplaced().List(),
		Stdout: t.printed[0], Stderr: t.printed[1], Stdin: theirs, Cage: t.shut,
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
	err = t.load(o.Python.Entrypoint)
	if !release() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		t.end()
		return nil, err
	}
	t.common = t.openCommon()
	go t.listen()
	for range o.Standby {
		t.refill()
	}
	return t, nil
}

// load has the template import the service.
func (t *template) load(entrypoint string) error {
	order := map[string]any{"entrypoint": entrypoint}
	if t.shut != nil {
		walls, err := t.shut.Machine.Ruleset(t.shut.Policy)
		if err != nil {
			return &coldError{fmt.Sprintf("forks cannot be kept from each other: %v", err)}
		}
		order["walls"] = walls
	}
	if err := t.send(order); err != nil {
		return fmt.Errorf("cannot start a template: %w", err)
	}
	first, err := t.receive()
	switch {
	case err != nil:
		return &coldError{"importing the service ended the process that was to be forked"}
	case first.Cold != "":
		return &coldError{first.Cold}
	case first.Ready == nil:
		return errors.New("a template did not answer as it should")
	}
	for _, r := range t.printed {
		<-r.complete
		if r.tooMuch {
			return &coldError{"importing the service prints too much to be repeated in the log of each execution"}
		}
	}
	t.imported, t.pid = time.Duration(first.Ready.Seconds*float64(time.Second)), first.pid
	return nil
}

func (t *template) send(order map[string]any, files ...int) error {
	text, err := json.Marshal(order)
	if err != nil {
		return err
	}
	_, _, err = t.control.WriteMsgUnix(text, unix.UnixRights(files...), nil)
	return err
}

func (t *template) receive() (message, error) {
	var m message
	buffer := make([]byte, maxPacket)
	n, pid, err := receiveFrom(t.control, buffer)
	if err == nil {
		err = json.Unmarshal(buffer[:n], &m)
	}
	m.pid = pid
	return m, err
}

// listen hands on what the template says, to its end.
func (t *template) listen() {
	for {
		m, err := t.receive()
		switch {
		case err != nil:
			t.lose()
			return
		case m.Failed != 0:
			t.ended(m.Failed, func(f *fork) { f.reason = m.Reason })
		case m.Ended != 0:
			t.ended(m.Ended, func(f *fork) { f.status, f.known = unix.WaitStatus(m.Status), true })
		}
	}
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

// ask has the template make a fork, which is there once it is awaited.
func (t *template) ask() (*fork, error) {
	ours, theirs, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }()
	f := &fork{template: t, orders: ours, done: make(chan struct{})}
	files := []int{int(theirs.Fd())}
	if t.shut != nil {
		if f.group, err = t.shut.Machine.Group(t.shut.Policy.Limits); err != nil {
			return nil, errors.Join(err, ours.Close())
		}
		if f.group != nil {
			for _, list := range f.group.Lists() {
				files = append(files, int(list.Fd()))
			}
		}
	}
	if err := t.register(f, files); err != nil {
		f.reason = err.Error()
		close(f.done)
		f.settle()
		return nil, errors.Join(err, ours.Close())
	}
	return f, nil
}

func (t *template) register(f *fork, files []int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.retiring {
		return errGone
	}
	t.next++
	if err := t.send(map[string]any{"fork": t.next}, files...); err != nil {
		return fmt.Errorf("cannot ask for a fork: %w", err)
	}
	t.forks[t.next] = f
	return nil
}

// background does something that end waits for.
func (t *template) background(do func()) {
	t.mu.Lock()
	over := t.over
	if !over {
		t.settling.Add(1)
	}
	t.mu.Unlock()
	if over { // all forks have ended: there is nothing to wait for
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
	_ = t.send(map[string]any{"retire": true}) // gone already: fine
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

// socketPair makes connected sockets: ours for this program, theirs to be
// handed to a process, in blocking mode.
func socketPair(kind int) (ours *net.UnixConn, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	if err := unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		_, _ = unix.Close(pair[0]), unix.Close(pair[1])
		return nil, nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	file := os.NewFile(uintptr(pair[0]), "template")
	defer func() { _ = file.Close() }() // FileConn has a copy of it
	theirs = os.NewFile(uintptr(pair[1]), "template")
	conn, err := net.FileConn(file)
	ours, ok := conn.(*net.UnixConn)
	if err != nil || !ok {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// receiveFrom reads, and tells the number of the process that has written. The
// kernel knows it, as it counts here, whatever is in the message.
func receiveFrom(conn *net.UnixConn, buffer []byte) (n, pid int, err error) {
	control := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	n, size, _, _, err := conn.ReadMsgUnix(buffer, control)
	if err == nil && n == 0 {
		err = errGone
	}
	if err != nil {
		return n, 0, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:size])
	if err != nil {
		return n, 0, err
	}
	for _, m := range messages {
		if sender, err := unix.ParseUnixCredentials(&m); err == nil {
			pid = int(sender.Pid)
		}
	}
	if pid < 2 {
		return n, pid, errors.New("a template is out of sight")
	}
	return n, pid, nil
}
