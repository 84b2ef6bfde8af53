// Package process runs each execution of a service in a separate process.
//
// A Python process starts first and gets its order afterwards ([Process.Run]), so that
// one interpreter can describe its service and then run it. Its secrets come by a pipe
// and never stand in the environment block of a process. The output of the service
// goes to the writers of the [Command] at once. When the execution ends, for any
// reason, all its processes end, including children that it left behind.
package process

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// A Command says how to start a process.
type Command struct {
	Path string
	Args []string
	// Dir is the working folder.
	Dir string
	// Env is the whole environment, as NAME=value.
	Env []string
	// Stdout and Stderr get the output of the service, from one goroutine each.
	Stdout, Stderr io.Writer
	// Stdin is the standard input of the process; nil: nothing.
	Stdin *os.File
	// Tag identifies the processes of this execution; empty means a random one.
	// See [KillOrphans].
	Tag string
	// Sandbox is that of the process; nil: none.
	Sandbox *Sandbox
}

// A Secret is the value of one parameter and the variable that carries it.
type Secret = runner.Secret

// An Outcome is how a process ended.
type Outcome struct {
	// ExitCode is the code the process gave itself; -1 if a signal ended it.
	ExitCode int
	// Signal names the signal that ended it; empty if none did.
	Signal string
	// Limit is the limit that the processes reached in their sandbox, even if
	// they did not end by it.
	Limit runner.Limit
	// Complete says that none of the processes can be left.
	Complete bool
	// Sent is the file of a result that was sent instead of being written; nil if
	// there is none.
	Sent *runner.SentFile
}

// A Process is one that runs. Wait must be called, once; Stop may be called by any
// goroutine.
type Process struct {
	cmd      *exec.Cmd
	sandbox  *Sandbox
	confined *sandbox.Process // nil if there is none
	tree     Tree
	began    time.Time
	pipes    *Pipes
	exited   chan struct{}
	stop     sync.Once

	mu     sync.Mutex
	reaped bool // the system may have reused its number
}

// Start starts a program that takes its secrets from its environment.
func Start(c Command, secrets []Secret) (*Process, error) {
	p := newProcess(c)
	for _, s := range secrets {
		p.cmd.Env = append(p.cmd.Env, s.Env+"="+string(s.Value.Reveal()))
	}
	if err := p.start(c.Stdout, c.Stderr); err != nil {
		return nil, err
	}
	p.cmd.Env = nil
	return p, nil
}

// KillOrphans kills the processes that executions with these tags have left behind, for
// example because the program that started them was killed. If the system does not show
// the environment of processes, it kills none.
func KillOrphans(tags ...string) {
	variables := make([]string, len(tags))
	for i, tag := range tags {
		variables[i] = TagVariable(tag)
	}
	killTagged(variables...)
}

// tagName is a variable that every process of a tree inherits.
const tagName = "QHUBCTL_EXECUTION"

// TagVariable is the variable, as NAME=value, that marks the processes of an
// execution.
func TagVariable(tag string) string { return tagName + "=" + tag }

func newProcess(c Command) *Process {
	p := &Process{
		cmd:     exec.Command(c.Path, c.Args...), //nolint:noctx,forbidigo // Stop ends the whole tree, a context the one process; Env is set below
		sandbox: c.Sandbox,
		tree:    Tree{TagVariable: TagVariable(cmp.Or(c.Tag, uuid.NewString()))},
		exited:  make(chan struct{}),
	}
	p.cmd.Dir = c.Dir
	p.cmd.Env = append(append(make([]string, 0, len(c.Env)+4), c.Env...), p.tree.TagVariable)
	if c.Stdin != nil {
		p.cmd.Stdin = c.Stdin
	}
	p.cmd.SysProcAttr = ownGroup()
	return p
}

func (p *Process) start(stdout, stderr io.Writer) error {
	pipes, err := OpenPipes()
	if err != nil {
		return fmt.Errorf("cannot start %s: %w", p.cmd.Path, err)
	}
	p.cmd.Stdout, p.cmd.Stderr = pipes.Stdout, pipes.Stderr
	if err := p.startCommand(); err != nil {
		pipes.Abandon()
		return err
	}
	p.pipes = pipes
	pipes.HandOver()
	pipes.Drain(stdout, stderr, [2][]byte{})
	return nil
}

func (p *Process) startCommand() error {
	p.began = time.Now()
	if p.sandbox.Confines() {
		var err error
		if p.confined, err = p.sandbox.Machine.Start(p.cmd, p.sandbox.Policy); err != nil {
			return err
		}
		p.tree.Pid = p.confined.Pid()
		return nil
	}
	if err := startTied(p.cmd); err != nil {
		return fmt.Errorf("cannot start %s: %w", p.cmd.Path, err)
	}
	p.tree.Pid = p.cmd.Process.Pid
	return nil
}

// Pid is the number of the process.
func (p *Process) Pid() int { return p.tree.Pid }

// Stop asks the process and its children to end, with the given signal, and kills them
// after the grace time. It returns at once; later calls kill at once.
func (p *Process) Stop(signal os.Signal, grace time.Duration) {
	requested := false
	p.stop.Do(func() {
		requested = true
		p.signal(signal)
		go func() {
			timer := time.NewTimer(grace)
			defer timer.Stop()
			select {
			case <-timer.C:
				p.signal(os.Kill)
			case <-p.exited:
			}
		}()
	})
	if !requested {
		p.signal(os.Kill)
	}
}

func (p *Process) signal(signal os.Signal) {
	if p.confined != nil {
		p.confined.Stop(signal)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		p.tree.Signal(signal)
	}
}

// reap waits for the process and kills its group. If the system allows it, it does so
// before the number of the group is free for others.
func (p *Process) reap() error {
	var err error
	held := awaitExit(p.tree.Pid)
	if !held {
		err = p.cmd.Wait()
	}
	close(p.exited)
	p.signal(os.Kill)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
	if held {
		err = p.cmd.Wait()
	}
	return err
}

// Wait waits for the end of the process, kills the rest of its tree, and returns when
// all of its output has been written.
func (p *Process) Wait() (Outcome, error) {
	if p.confined != nil {
		return p.waitSandboxed()
	}
	err := p.reap()
	p.tree.KillOrphansSince(p.began)
	p.pipes.Finish()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return Outcome{ExitCode: -1}, fmt.Errorf("cannot wait for the service: %w", err)
	}
	return Outcome{ExitCode: p.cmd.ProcessState.ExitCode(), Signal: signalName(p.cmd.ProcessState)}, nil
}
