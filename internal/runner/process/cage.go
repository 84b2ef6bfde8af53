package process

import (
	"cmp"
	"path/filepath"
	"slices"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/cage"
)

// A Cage is what the processes of an execution are shut in.
type Cage struct {
	Machine *cage.Machine
	Policy  cage.Policy
}

// confines tells whether there is a cage, and a machine to build it.
func (c *Cage) confines() bool { return c != nil && c.Machine.Confines() }

// around is the cage of one execution.
func (c *Cage) around(r *Runner, job runner.Job, folder runner.Folder) *Cage {
	if !c.confines() {
		return nil
	}
	p := c.Policy
	p.Readable = slices.Concat(p.Readable, r.Program.Files())
	if r.Dir != "" {
		dir := absolute(r.Dir)
		p.Readable = append(p.Readable, dir...)
		p.Hidden = slices.Concat(p.Hidden, []string{filepath.Join(dir[0], ".env")})
	}
	for _, pool := range job.DataPools {
		p.Readable = append(p.Readable, absolute(pool)...)
	}
	p.Writable = slices.Concat(p.Writable, absolute(folder.Root()))
	p.Limits.Memory = cmp.Or(job.Limits.Memory, p.Limits.Memory)
	p.Limits.Processes = cmp.Or(job.Limits.Processes, p.Limits.Processes)
	return &Cage{Machine: c.Machine, Policy: p}
}

// absolute are paths as a policy wants them. The working folder is there as
// long as the server is.
func absolute(paths ...string) []string {
	list := make([]string, 0, len(paths))
	for _, path := range paths {
		if full, err := filepath.Abs(path); err == nil && full != "/" {
			list = append(list, full)
		}
	}
	return list
}

// reachedLimit names what an execution had too little of. Memory comes first:
// it is what kills.
func reachedLimit(reached []string) runner.Limit {
	switch {
	case slices.Contains(reached, cage.LimitMemory):
		return runner.MemoryLimit
	case slices.Contains(reached, cage.LimitProcesses):
		return runner.ProcessLimit
	default:
		return runner.NoLimit
	}
}

func (p *Process) waitCaged() (Outcome, error) {
	end, err := p.caged.Wait()
	close(p.exited)
	if !p.caged.Complete() {
		p.tree.KillStrays()
	}
	p.pipes.Finish()
	return Outcome{ExitCode: end.ExitCode, Signal: end.Signal, Limit: reachedLimit(end.Reached)}, err
}
