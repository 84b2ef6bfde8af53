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
	control  *net.UnixConn
	imported time.Duration
	printed  [2]*recorder // while it was imported
	standby  chan *fork
	gone     chan struct{} // closed when it says nothing more

	mu       sync.Mutex
	forks    map[int]*fork // by process id
	asked    map[int]*fork // by number, until they are made
	next     int
	retiring bool
}

// A message is what a template says.
type message struct {
	Ready *struct {
		Seconds float64 `json:"seconds"`
	} `json:"ready"`
	Cold   string `json:"cold"`
	Forked int    `json:"forked"`
	Failed int    `json:"failed"`
	Reason string `json:"reason"`
	Pid    int    `json:"pid"`
	Ended  int    `json:"ended"`
	Status uint32 `json:"status"`
}

// startTemplate returns when the service is imported, or cannot be, or ctx
// ends.
func startTemplate(ctx context.Context, o Options) (*template, error) {
	ours, theirs, err := socketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	printed := [2]*recorder{newRecorder(), newRecorder()}
	program := filepath.Join(filepath.Dir(o.Python.Launcher), TemplateFile)
	p, err := process.Start(process.Command{
		Path: o.Python.Interpreter, Args: []string{program}, Dir: o.Dir, Env: o.Environment.Unplaced().List(),
		Stdout: printed[0], Stderr: printed[1], Files: []*os.File{theirs},
	}, nil)
	_ = theirs.Close() // so that the end of the process ends what is read here
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	t := &template{
		process: p, control: ours, printed: printed, standby: make(chan *fork, o.Standby), gone: make(chan struct{}),
		forks: map[int]*fork{}, asked: map[int]*fork{},
	}
	release := context.AfterFunc(ctx, func() { p.Stop(os.Kill, 0) })
	first, err := t.load(o.Python.Entrypoint)
	if !release() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		t.end()
		return nil, err
	}
	t.imported = time.Duration(first.Ready.Seconds * float64(time.Second))
	go t.listen()
	for range o.Standby {
		t.refill()
	}
	return t, nil
}

func (t *template) load(entrypoint string) (message, error) {
	if err := t.send(map[string]any{"entrypoint": entrypoint}); err != nil {
		return message{}, fmt.Errorf("cannot start a template: %w", err)
	}
	first, err := t.receive()
	switch {
	case err != nil:
		return first, &coldError{"importing the service ended the process that was to be forked"}
	case first.Cold != "":
		return first, &coldError{first.Cold}
	case first.Ready == nil:
		return first, errors.New("a template did not answer as it should")
	}
	for _, r := range t.printed {
		<-r.complete
		if r.tooMuch {
			return first, &coldError{"importing the service prints too much to be repeated in the log of each execution"}
		}
	}
	return first, nil
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
	n, err := t.control.Read(buffer)
	if err == nil && n == 0 {
		err = errGone
	}
	if err == nil {
		err = json.Unmarshal(buffer[:n], &m)
	}
	return m, err
}

// listen hands on what the template says, to its end.
func (t *template) listen() {
	for {
		m, err := t.receive()
		if err != nil {
			t.lose()
			return
		}
		switch {
		case m.Pid != 0:
			t.forked(m)
		case m.Failed != 0:
			t.failed(m)
		case m.Ended != 0:
			t.ended(m)
		}
	}
}

func (t *template) forked(m message) {
	t.mu.Lock()
	f := t.asked[m.Forked]
	delete(t.asked, m.Forked)
	t.forks[m.Pid] = f
	t.mu.Unlock()
	f.made(m.Pid, nil)
}

func (t *template) failed(m message) {
	t.mu.Lock()
	f := t.asked[m.Failed]
	delete(t.asked, m.Failed)
	t.mu.Unlock()
	f.made(0, errors.New(m.Reason))
}

func (t *template) ended(m message) {
	t.mu.Lock()
	f := t.forks[m.Ended]
	delete(t.forks, m.Ended)
	t.mu.Unlock()
	if f != nil {
		f.end(unix.WaitStatus(m.Status), true)
	}
}

// lose is the end of the template: the system ends its forks with it.
func (t *template) lose() {
	t.mu.Lock()
	t.retiring = true
	asked, forks := t.asked, t.forks
	t.asked, t.forks = map[int]*fork{}, map[int]*fork{}
	t.mu.Unlock()
	for _, f := range asked {
		f.made(0, errGone)
	}
	for _, f := range forks {
		f.end(0, false)
	}
	close(t.gone)
}

// ask has the template make a fork, which is ready or not when its channel
// ready is closed.
func (t *template) ask() (*fork, error) {
	ours, theirs, err := socketPair(unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }()
	f := &fork{orders: ours, ready: make(chan struct{}), done: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.retiring {
		return nil, errors.Join(errGone, ours.Close())
	}
	t.next++
	t.asked[t.next] = f
	if err := t.send(map[string]any{"fork": t.next}, int(theirs.Fd())); err != nil {
		delete(t.asked, t.next)
		return nil, errors.Join(fmt.Errorf("cannot ask for a fork: %w", err), ours.Close())
	}
	return f, nil
}

// take gives a fork that nobody else has: one that stands by, or a new one.
func (t *template) take() (*fork, error) {
	for {
		select {
		case f := <-t.standby:
			t.refill()
			if f.hasEnded() {
				f.discard()
				continue
			}
			return f, nil
		default:
		}
		f, err := t.ask()
		if err != nil {
			return nil, err
		}
		<-f.ready
		if f.failure != nil {
			f.discard()
			return nil, f.failure
		}
		return f, nil
	}
}

// refill makes one more fork stand by.
func (t *template) refill() {
	if cap(t.standby) == 0 {
		return
	}
	f, err := t.ask()
	if err != nil {
		return // the next take makes its own
	}
	go func() {
		<-f.ready
		if f.failure != nil || !t.stand(f) {
			f.discard()
		}
	}()
}

// stand has a fork stand by, unless nobody will take it.
func (t *template) stand(f *fork) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.retiring {
		return false
	}
	select {
	case t.standby <- f:
		return true
	default:
		return false
	}
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
	for {
		select {
		case f := <-t.standby:
			f.discard()
		default:
			return
		}
	}
}

// end frees what the template holds, once it is gone or is not to be.
func (t *template) end() {
	_ = t.control.Close()
	t.process.Stop(os.Kill, 0)
	_, _ = t.process.Wait()
}

// strays are the children that the template has not made: what executions have
// left behind goes to it.
func (t *template) strays() []int {
	pid := strconv.Itoa(t.process.Pid())
	text, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var strays []int
	for field := range strings.FieldsSeq(string(text)) {
		if child, err := strconv.Atoi(field); err == nil && t.forks[child] == nil {
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
