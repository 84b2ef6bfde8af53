package forkserver

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
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// A fork is a child of a zygote that waits for its order.
type fork struct {
	zygote    *zygote
	orders    *net.UnixConn
	pipes     *process.Pipes
	user      uint32 // 0: that of the zygote
	pid       int    // guarded by the zygote's lock
	fromSpare bool   // when it was taken
	group     *sandbox.Group

	done   chan struct{} // closed when it has ended
	reason string        // why it failed
	status unix.WaitStatus
	known  bool // the zygote has reported the status

	settled sync.Once
	reached []string // limits
}

// maxReason bounds the reason why a fork ended before it began.
const maxReason = 512

// forkTimeout is how long a fork may take until it waits for its order.
const forkTimeout = 20 * time.Second

// await returns when the fork waits for its order, or cannot any more.
func (f *fork) await() error {
	_ = f.orders.SetReadDeadline(time.Now().Add(forkTimeout))
	said := make([]byte, maxReason)
	n, from, err := receiveFrom(f.orders, said)
	closeAll(from.files)
	switch {
	case err == nil && said[0] != 0:
		return fmt.Errorf("%w: a fork cannot be kept apart: %s", errForkFailed, said[1:n])
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errForkFailed
	case err != nil:
		<-f.done
		if f.reason != "" {
			return errors.New(f.reason)
		}
		return fmt.Errorf("a fork ended before it began: %w", err)
	}
	f.zygote.mu.Lock()
	defer f.zygote.mu.Unlock()
	f.pid = from.pid
	return f.orders.SetReadDeadline(time.Time{})
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
func (f *fork) discard() {
	f.release()
	f.zygote.background(f.settle)
}

// release frees the resources of a fork that does not run.
func (f *fork) release() {
	if f.orders != nil {
		_ = f.orders.Close()
	}
	if f.pipes != nil {
		f.pipes.Abandon()
	}
}

// settle waits for the end of the fork, kills the processes that it has left in its
// group, and gives the group back.
func (f *fork) settle() {
	f.settled.Do(func() {
		<-f.done
		if !f.known && f.reason == "" {
			<-f.zygote.dead // no other process joins the group
		}
		if f.group != nil {
			f.reached = f.group.End()
		}
		if f.user != 0 {
			f.zygote.separation.GiveUser(f.user)
		}
	})
}

// execution is a fork that runs the service. If the fork was lost before it began, it
// is a cold process instead.
type execution struct {
	program *Program
	zygote  *zygote
	fork    *fork
	access  *childAccess // nil if there is no sandbox
	command process.Command
	tree    process.Tree
	release sync.Once

	mu      sync.Mutex
	runs    bool
	cold    process.Execution
	stopped bool
	gone    chan struct{} // closed when an execution with an exit notice has no process left; nil without a notice
}

// execution takes a fork for a command.
func (z *zygote) execution(p *Program, c process.Command) (process.Execution, error) {
	access, err := z.childAccess(c.Sandbox)
	if err != nil {
		return nil, err
	}
	f, err := z.take()
	if err != nil {
		return nil, err
	}
	if f.group != nil {
		if err := f.group.Limit(access.limits); err != nil {
			f.discard()
			return nil, fmt.Errorf("cannot limit a fork: %w", err)
		}
	}
	z.mu.Lock()
	z.running++
	z.mu.Unlock()
	return &execution{
		program: p, zygote: z, fork: f, command: c, access: access,
		tree: process.Tree{Pid: f.pid, TagVariable: process.TagVariable(c.Tag)},
	}, nil
}

func (e *execution) Describe(context.Context) ([]byte, error) {
	return nil, errors.New("a fork does not describe its service")
}

func (e *execution) Finish() { _ = e.fork.orders.Close() }

// Run sends the order. A fork that ended before it took the order is replaced,
// unless it was stopped.
func (e *execution) Run(secrets []process.Secret) error {
	if err := process.CheckSecrets(secrets); err != nil {
		return err
	}
	if e.fork.group == nil {
		defer e.Finish() // a cold process sends no exit notice
	}
	if e.isStopped() {
		return nil // Wait reports it, as for any program that is stopped early
	}
	// No lock meanwhile, so that Stop can interrupt this.
	err := e.send(secrets)
	if err != nil {
		return e.runCold(secrets, err)
	}
	e.program.startsWarm(e.fork.fromSpare)
	e.fork.pipes.Drain(e.command.Stdout, e.command.Stderr, [2][]byte{e.zygote.printed[0].text, e.zygote.printed[1].text})
	e.mu.Lock()
	defer e.mu.Unlock()
	e.runs = true
	return nil
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
	e.program.startsCold(Lost, reason.Error())
	var err error
	if e.cold, err = e.program.options.Python.Start(e.command, false); err != nil {
		return err
	}
	return e.cold.Run(secrets)
}

// send writes the order, and wipes its copy of the secrets.
func (e *execution) send(secrets []process.Secret) error {
	text, err := e.order(secrets)
	if err != nil {
		return err
	}
	defer clear(text)
	if err := e.sendLength(len(text)); err != nil {
		return err
	}
	if _, err := e.fork.orders.Write(text); err != nil {
		return err
	}
	// The fork's answer: without one, it has not begun and will not.
	_, err = io.ReadFull(e.fork.orders, make([]byte, 1))
	return err
}

// sendLength writes the length of the order, and passes the folder to the fork.
func (e *execution) sendLength(n int) error {
	header := binary.BigEndian.AppendUint64(nil, uint64(n))
	if e.access == nil {
		_, err := e.fork.orders.Write(header)
		return err
	}
	trees, err := e.access.hand(e.fork.user)
	if err != nil {
		return fmt.Errorf("a fork cannot be given its folder: %w", err)
	}
	defer closeAll(trees)
	var rights []byte
	if len(trees) > 0 {
		rights = unix.UnixRights(numbersOf(trees)...)
	}
	_, _, err = e.fork.orders.WriteMsgUnix(header, rights, nil)
	return err
}

func numbersOf(files []*os.File) []int {
	list := make([]int, len(files))
	for i, file := range files {
		list[i] = int(file.Fd())
	}
	return list
}

func (e *execution) order(secrets []process.Secret) ([]byte, error) {
	env := map[string]string{}
	for _, entry := range e.command.Env {
		// The zygote has given its variables to the service during the import,
		// which may have changed them since.
		name, value, _ := strings.Cut(entry, "=")
		if value = e.access.inside(value); !e.zygote.env[name+"="+value] {
			env[name] = value
		}
	}
	_, tag, _ := strings.Cut(e.tree.TagVariable, "=")
	order := map[string]any{"env": env, "marker": tag, "bounds": e.access.bounds()}
	if e.access != nil {
		order["folder"] = e.access.order()
	}
	head, err := json.Marshal(order)
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

// signal reaches the group of the fork. The zygote reaps a fork a moment before it
// reports that, and the system does not reuse numbers that fast.
func (e *execution) signal(signal os.Signal) {
	if !e.fork.hasEnded() {
		e.tree.Signal(signal)
	}
}

// CPUTime is how long the processors have worked for the execution.
func (e *execution) CPUTime() time.Duration {
	e.mu.Lock()
	cold := e.cold
	e.mu.Unlock()
	if counted, ok := cold.(interface{ CPUTime() time.Duration }); ok {
		return counted.CPUTime()
	}
	if e.fork.group == nil {
		return 0
	}
	return e.fork.group.CPUTime()
}

// Wait implements [process.Execution].
func (e *execution) Wait() (process.Outcome, error) {
	e.mu.Lock()
	cold, runs := e.cold, e.runs
	e.mu.Unlock()
	var last notice
	if runs && e.fork.group != nil { // other forks send none
		early := e.zygote.hasTime(0)
		if early {
			var ok bool
			if last, ok = e.exitNotice(); ok {
				return e.finishEarly(last), nil
			}
		}
		<-e.fork.done
		if !early {
			last = e.lastNotice()
		}
	}
	defer e.leave()
	e.Finish()
	if !runs {
		e.fork.release()
	}
	e.fork.settle()
	if cold != nil {
		return cold.Wait()
	}
	e.endOrphans()
	if runs {
		e.fork.pipes.Finish()
	}
	if !e.fork.known {
		// The zygote was lost, and its forks with it.
		return process.Outcome{ExitCode: -1, Signal: unix.SignalName(unix.SIGKILL)}, nil
	}
	e.program.succeeded()
	outcome := process.Outcome{
		ExitCode: e.fork.status.ExitStatus(), Limit: process.ReachedLimit(e.fork.reached), Complete: e.fork.group != nil,
	}
	if outcome.ExitCode == last.code {
		outcome.Sent = last.sent
	}
	if e.fork.status.Signaled() {
		outcome.Signal = unix.SignalName(e.fork.status.Signal())
	}
	return outcome, nil
}

// endOrphans kills the processes that have left the group of the fork. Orphans are
// children of the zygote, which mostly has none.
func (e *execution) endOrphans() {
	if e.fork.group != nil {
		return // no process leaves a group
	}
	if !e.fork.known {
		e.tree.Signal(os.Kill)
		e.tree.KillOrphans()
		return
	}
	for range 100 { // the children of a killed orphan become children of the zygote
		if !e.tree.KillOrphansAmong(e.zygote.orphans()) {
			return
		}
	}
	e.tree.KillOrphans()
}
