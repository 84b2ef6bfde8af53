package warm

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/runner/process"
)

// A fork of a template that waits for its order.
type fork struct {
	orders  *net.UnixConn
	ready   chan struct{} // closed when it is made, or cannot be
	pid     int
	failure error

	done   chan struct{} // closed when it has ended
	status unix.WaitStatus
	known  bool // the status is: the template has told it
}

func (f *fork) made(pid int, err error) {
	f.pid, f.failure = pid, err
	close(f.ready)
}

func (f *fork) end(status unix.WaitStatus, known bool) {
	f.status, f.known = status, known
	close(f.done)
}

func (f *fork) hasEnded() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// discard lets a fork go that is not needed: without an order it ends.
func (f *fork) discard() { _ = f.orders.Close() }

// execution is a fork that runs the service, or, if it was lost before it
// began, a cold process in its place.
type execution struct {
	program  *Program
	template *template
	fork     *fork
	command  process.Command
	tree     process.Tree
	release  sync.Once

	mu      sync.Mutex
	pipes   *process.Pipes
	cold    process.Execution
	stopped bool
}

// execution takes a fork for a command.
func (t *template) execution(p *Program, c process.Command) (process.Execution, error) {
	f, err := t.take()
	if err != nil {
		return nil, err
	}
	return &execution{
		program: p, template: t, fork: f, command: c,
		tree: process.Tree{Pid: f.pid, Marker: process.Marker(c.Mark)},
	}, nil
}

func (e *execution) Describe(context.Context) ([]byte, error) {
	return nil, errors.New("a fork does not describe its service")
}

func (e *execution) Finish() { e.fork.discard() }

// Run sends the order. A fork that has ended before it took it is replaced,
// unless it was stopped.
func (e *execution) Run(secrets []process.Secret) error {
	defer e.fork.discard()
	if e.isStopped() {
		return nil // as for any program that is stopped early, Wait tells
	}
	pipes, err := process.OpenPipes(e.command.Stdout, e.command.Stderr)
	if err != nil {
		return fmt.Errorf("cannot start an execution: %w", err)
	}
	// Stop must be able to end this, so nothing is locked meanwhile.
	if err = e.send(secrets, pipes); err == nil {
		pipes.Drain(e.template.printed[0].text, e.template.printed[1].text)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.pipes = pipes
		return nil
	}
	pipes.Abandon()
	return e.runCold(secrets, err)
}

func (e *execution) isStopped() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopped
}

func (e *execution) runCold(secrets []process.Secret, reason error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return nil
	}
	e.program.options.Logger.Debug("a fork was lost before it began; starting cold", "reason", reason)
	var err error
	if e.cold, err = e.program.options.Python.Start(e.command, false); err != nil {
		return err
	}
	return e.cold.Run(secrets)
}

// send writes the order, and wipes what it has written of secrets.
func (e *execution) send(secrets []process.Secret, pipes *process.Pipes) error {
	text, err := e.order(secrets)
	if err != nil {
		return err
	}
	defer clear(text)
	header := binary.BigEndian.AppendUint64(nil, uint64(len(text)))
	rights := unix.UnixRights(int(pipes.Stdout.Fd()), int(pipes.Stderr.Fd()))
	if _, _, err := e.fork.orders.WriteMsgUnix(header, rights, nil); err != nil {
		return err
	}
	if _, err := e.fork.orders.Write(text); err != nil {
		return err
	}
	// Its answer: without one, it has not begun and will not.
	_, err = io.ReadFull(e.fork.orders, header[:1])
	return err
}

func (e *execution) order(secrets []process.Secret) ([]byte, error) {
	env := make(map[string]string, len(e.command.Env))
	for _, entry := range e.command.Env {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	head, err := json.Marshal(map[string]any{
		"dir": e.command.Dir, "env": env, "marker": e.tree.Marker, "finalize": e.program.options.Finalize,
	})
	if err != nil {
		return nil, err
	}
	return process.AppendSecrets(head, secrets), nil
}

// Stop implements [process.Execution].
func (e *execution) Stop(signal os.Signal, grace time.Duration) {
	e.mu.Lock()
	again := e.stopped
	e.stopped = true
	cold := e.cold
	e.mu.Unlock()
	if cold != nil {
		cold.Stop(signal, grace)
		return
	}
	if again {
		e.signal(os.Kill)
		return
	}
	e.signal(signal)
	go func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			e.signal(os.Kill)
		case <-e.fork.done:
		}
	}()
}

// signal reaches the group of the fork. The template has reaped it a moment
// before it says so, and numbers are not given out again that fast.
func (e *execution) signal(signal os.Signal) {
	if !e.fork.hasEnded() {
		e.tree.Signal(signal)
	}
}

// Wait implements [process.Execution].
func (e *execution) Wait() (process.Outcome, error) {
	defer e.release.Do(e.program.release)
	e.mu.Lock()
	cold, pipes := e.cold, e.pipes
	e.mu.Unlock()
	if cold != nil {
		return cold.Wait()
	}
	<-e.fork.done
	e.endStrays()
	if pipes != nil {
		pipes.Finish()
	}
	if !e.fork.known {
		// The template was lost, and its forks with it.
		return process.Outcome{ExitCode: -1, Signal: unix.SignalName(unix.SIGKILL)}, nil
	}
	e.program.succeeded()
	outcome := process.Outcome{ExitCode: e.fork.status.ExitStatus()}
	if e.fork.status.Signaled() {
		outcome.Signal = unix.SignalName(e.fork.status.Signal())
	}
	return outcome, nil
}

// endStrays ends what has left the group of the fork. Orphans are children of
// the template, which mostly has none.
func (e *execution) endStrays() {
	if !e.fork.known {
		e.tree.Signal(os.Kill)
		e.tree.KillStrays()
		return
	}
	for range 100 { // the children of a stray come after it
		if !e.tree.KillStraysAmong(e.template.strays()) {
			return
		}
	}
	e.tree.KillStrays()
}
