package process

import (
	"cmp"
	"path/filepath"
	"slices"
	"time"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/sandbox"
)

// A Sandbox confines the processes of an execution.
type Sandbox struct {
	Machine *sandbox.Machine
	Policy  sandbox.Policy
	// HiddenIn lists what to hide in a data pool that Policy does not show. Nil
	// hides nothing.
	HiddenIn func(dir string) []string
}

// Confines reports whether there is a sandbox, and a machine to build it.
func (c *Sandbox) Confines() bool { return c != nil && c.Machine.Confines() }

// Around is the sandbox of a program with a working folder, without the private parts of
// each execution; nil if there is none.
func (c *Sandbox) Around(program Program, dir string) *Sandbox {
	if !c.Confines() {
		return nil
	}
	p := c.Policy
	p.Readable = slices.Concat(p.Readable, program.Files())
	if dir != "" {
		dir := absolute(dir)
		p.Readable = append(p.Readable, dir...)
		p.Hidden = slices.Concat(p.Hidden, []string{filepath.Join(dir[0], ".env")})
	}
	return &Sandbox{Machine: c.Machine, Policy: p}
}

// around is the sandbox of one execution.
func (c *Sandbox) around(r *Runner, job runner.Job, dir runner.Dir) *Sandbox {
	sb := c.Around(r.Program, r.Dir)
	if sb == nil {
		return nil
	}
	p := &sb.Policy
	for _, pool := range job.DataPools {
		for _, path := range absolute(pool) {
			if known := p.ShowsLive(path); !known && c.HiddenIn != nil {
				p.Hidden = slices.Concat(p.Hidden, c.HiddenIn(path))
			}
			p.ShowLive(path)
		}
	}
	// The folder that holds them must not be writable: no limit would measure
	// files beside them.
	p.Inputs = slices.Concat(p.Inputs, absolute(dir.Input(), dir.DataPools()))
	if !c.Machine.HasOwnRoot() {
		p.Scratch = slices.Concat(p.Scratch, absolute(dir.Temp()))
	}
	p.Scratch = slices.Concat(p.Scratch, absolute(dir.Home()))
	p.Home = p.Scratch[len(p.Scratch)-1]
	p.Writable = slices.Concat(p.Writable, absolute(dir.Output()))
	if some, size := writable(job.Pools); some {
		p.Writable = append(p.Writable, absolute(dir.Pools())...)
		if job.Limits.Output > 0 {
			job.Limits.Output += size // for the size of one file
		}
	}
	p.Limits = bounds(p.Limits, job.Limits)
	return sb
}

// bounds are the limits of a sandbox with those of a job, which take precedence.
func bounds(l sandbox.Limits, job runner.Limits) sandbox.Limits {
	l.Memory = cmp.Or(job.Memory, l.Memory)
	l.Processes = cmp.Or(job.Processes, l.Processes)
	l.CPU = cmp.Or(job.CPU, l.CPU)
	l.CPUTime = cmp.Or(job.CPUTime, l.CPUTime)
	l.OpenFiles = cmp.Or(job.OpenFiles, l.OpenFiles)
	l.Temp = cmp.Or(job.Temp, l.Temp)
	if job.Output > 0 && l.FileSize == 0 {
		// One byte more than allowed, so that a file that is too large shows.
		// Temporary files may be larger than the output.
		l.FileSize = max(job.Output, l.Temp) + 1
	}
	return l
}

// absolute are paths in the form of a policy. The working folder exists as long as the
// server does.
func absolute(paths ...string) []string {
	list := make([]string, 0, len(paths))
	for _, path := range paths {
		if full, err := filepath.Abs(path); err == nil && full != "/" {
			list = append(list, full)
		}
	}
	return list
}

// ReachedLimit names the resource that an execution lacked. Processor time comes first,
// because it always ends an execution; then memory, because the kernel kills for it.
func ReachedLimit(reached []string) runner.Limit {
	switch {
	case slices.Contains(reached, sandbox.LimitCPUTime):
		return runner.CPUTimeLimit
	case slices.Contains(reached, sandbox.LimitMemory):
		return runner.MemoryLimit
	case slices.Contains(reached, sandbox.LimitProcesses):
		return runner.ProcessLimit
	default:
		return runner.NoLimit
	}
}

// home is the path at which the execution finds its home.
func (c *Sandbox) home(outside string) string {
	if c.Confines() {
		return c.Machine.Home(outside)
	}
	return outside
}

// temp is the path at which the execution finds its temporary folder: a short one, which
// leaves room for names of sockets.
func (c *Sandbox) temp(outside string) string {
	if c.Confines() && c.Machine.HasOwnRoot() {
		return sandbox.TempAt
	}
	return outside
}

// Separation keeps the executions apart that the process forks; nil if it forks none, or
// is in no sandbox.
func (p *Process) Separation() *sandbox.Separation {
	if p.confined == nil {
		return nil
	}
	return p.confined.Separation()
}

// CPUTime is how long the processors have worked for the process and its children, as far
// as the system counts them.
func (p *Process) CPUTime() time.Duration {
	if p.confined == nil {
		return 0
	}
	return p.confined.CPUTime()
}

func (p *Process) waitSandboxed() (Outcome, error) {
	end, err := p.confined.Wait()
	close(p.exited)
	if !p.confined.Complete() {
		p.tree.KillOrphansSince(p.began)
	}
	p.pipes.Finish()
	return Outcome{ExitCode: end.ExitCode, Signal: end.Signal, Limit: ReachedLimit(end.Reached), Complete: p.confined.Complete()}, err
}
