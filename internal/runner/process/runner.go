package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/qhubctl/qhubctl/internal/runner"
)

// measureInterval is how often the runner measures an output folder. A service can
// exceed its limit by its writes in between. Measuring takes at most a twentieth of
// a processor: with many files the interval grows.
const (
	measureInterval = 100 * time.Millisecond
	measureShare    = 20
)

// Runner runs every execution in a fresh process. It is safe for concurrent use, and
// holds no resources.
type Runner struct {
	Program Program
	// Dir is the working folder of the service.
	Dir string
	// Environment is the environment of every execution. The runner adds its folders,
	// its home among them, and its secrets.
	Environment runner.Environment
	// Sandbox is that of executions; nil: none. The runner adds the folder of an
	// execution, the working folder without its .env, the program and the data
	// pools to its policy.
	Sandbox *Sandbox
}

// Close does nothing: a Runner holds no resources.
func (r *Runner) Close() error { return nil }

// Start implements [runner.Runner].
func (r *Runner) Start(ctx context.Context, job runner.Job) (runner.Run, error) {
	dir, err := prepare(job)
	if err != nil {
		return nil, err
	}
	said := newOutputTail(&job)
	e, err := r.Program.Start(r.Command(job, dir), false)
	if err != nil {
		return nil, errors.Join(err, dir.Remove())
	}
	x := &run{execution: e, dir: dir, dirs: job.DirPool, limits: job.Limits, said: said}
	x.hasPools, x.pools = writable(job.Pools)
	// A program that takes no orders would block this.
	release := context.AfterFunc(ctx, func() { e.Stop(os.Kill, 0) })
	if job.Admit != nil {
		err = job.Admit()
	}
	x.watch()
	if err == nil {
		err = e.Run(job.Secrets)
	}
	if !release() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		e.Stop(os.Kill, 0)
		_, waited := x.Wait()
		return nil, errors.Join(err, waited, dir.Remove())
	}
	return x, nil
}

// prepare writes the inputs, and links the data pools, of an execution.
func prepare(job runner.Job) (runner.Dir, error) {
	var dir runner.Dir
	var err error
	if job.DirPool != nil {
		dir, err = job.DirPool.Get(job.Inputs)
	} else {
		dir, err = runner.NewDir(job.Scratch)
	}
	if err != nil {
		return dir, err
	}
	if job.DirPool == nil {
		err = dir.WriteInputs(job.Inputs)
	}
	for parameter, pool := range job.DataPools {
		if err == nil {
			err = dir.LinkDataPool(parameter, pool)
		}
	}
	for parameter, pool := range job.Pools {
		if err == nil {
			err = dir.PlacePool(parameter, pool)
		}
	}
	if err != nil {
		return dir, errors.Join(err, dir.Remove())
	}
	return dir, nil
}

// Command is the command that starts the process of an execution with this folder.
func (r *Runner) Command(job runner.Job, dir runner.Dir) Command {
	env := make(runner.Environment, len(r.Environment)+8)
	maps.Copy(env, r.Environment)
	env.Place(dir)
	env[runner.InputSource] = runner.InputRequest
	env["HOME"], env["TMPDIR"] = r.Sandbox.home(dir.Home()), r.Sandbox.temp(dir.Temp())
	if runtime.GOOS == "windows" {
		env["USERPROFILE"] = dir.Home()
	}
	return Command{
		Dir: r.Dir, Env: env.List(), Stdout: job.Stdout, Stderr: job.Stderr, Tag: string(job.ID),
		Sandbox: r.Sandbox.around(r, job, dir),
	}
}

// run is an execution with its folder and its limits.
type run struct {
	execution Execution
	dir       runner.Dir
	dirs      *runner.DirPool // nil: the folder is removed
	limits    runner.Limits
	said      outputTail
	// hasPools says that there are writable data pools, of so many bytes at first.
	hasPools bool
	pools    int64

	mu      sync.Mutex
	outcome runner.Outcome // without the exit
	alone   bool           // no process of it is left that could read the folder
	sent    *runner.SentFile
	ended   bool
	timeout *time.Timer
	measure *time.Timer
}

// watch ends the execution when it reaches a limit.
func (x *run) watch() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.limits.Time > 0 {
		x.timeout = time.AfterFunc(x.limits.Time, func() { x.reach(runner.TimeLimit) })
	}
	x.measure = time.AfterFunc(measureInterval, x.measureUse)
}

// measureUse measures the output and the processor time, and again later.
func (x *run) measureUse() {
	begin := time.Now()
	limit := x.measured(x.limits)
	if counted, ok := x.execution.(interface{ CPUTime() time.Duration }); ok &&
		x.limits.CPUTime > 0 && counted.CPUTime() >= x.limits.CPUTime {
		limit = runner.CPUTimeLimit
	}
	if limit != runner.NoLimit {
		x.reach(limit)
	}
	// While a service is asked to end, it must not continue to fill the disk.
	if limit != runner.NoLimit && x.measured(twice(x.limits)) != runner.NoLimit {
		x.execution.Stop(os.Kill, 0)
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.ended {
		x.measure.Reset(max(measureInterval, measureShare*time.Since(begin)))
	}
}

// twice are limits beyond which an execution has no grace time. The limit of the number
// of files is one already.
func twice(l runner.Limits) runner.Limits {
	return runner.Limits{Output: 2 * l.Output, Temp: 2 * l.Temp}
}

func (x *run) reach(limit runner.Limit) {
	x.mu.Lock()
	first := x.outcome.Limit == runner.NoLimit && !x.outcome.Stopped && !x.ended
	if first {
		x.outcome.Limit = limit
	}
	x.mu.Unlock()
	if first {
		x.execution.Stop(syscall.SIGTERM, x.limits.Grace)
	}
}

// Stop implements [runner.Run].
func (x *run) Stop() {
	x.mu.Lock()
	x.outcome.Stopped = x.outcome.Stopped || !x.ended
	x.mu.Unlock()
	x.execution.Stop(syscall.SIGTERM, x.limits.Grace)
}

// Wait implements [runner.Run].
func (x *run) Wait() (runner.Outcome, error) {
	exit, err := x.execution.Wait()
	x.mu.Lock()
	x.ended = true
	for _, timer := range []*time.Timer{x.timeout, x.measure} {
		if timer != nil {
			timer.Stop()
		}
	}
	x.alone, x.sent = exit.Complete && err == nil, exit.Sent
	outcome := x.outcome
	x.mu.Unlock()
	outcome.ExitCode, outcome.Signal = exit.ExitCode, exit.Signal
	if failed := exit.ExitCode != 0; (failed || exit.Limit == runner.CPUTimeLimit) && outcome.Limit == runner.NoLimit && !outcome.Stopped {
		outcome.Limit = exit.Limit
		if outcome.Limit == runner.NoLimit {
			outcome.Limit = x.said.limit(exit, x.limits, x.dir)
		}
	}
	x.said.clear()
	if err != nil {
		return outcome, fmt.Errorf("cannot wait for the service: %w", err)
	}
	if outcome.Limit == runner.NoLimit {
		outcome.Limit = x.exceeded(exit.Sent)
	}
	return outcome, nil
}

// exceeded is the limit that the execution has exceeded with all of its output.
func (x *run) exceeded(sent *runner.SentFile) runner.Limit {
	limits := x.limits
	if sent != nil && limits.Output > 0 {
		if limits.Output -= int64(len(sent.Content)); limits.Output < 0 {
			return runner.OutputLimit
		}
		limits.Output = max(1, limits.Output) // 0 would mean no limit
	}
	return x.measured(limits)
}

// measured is the limit that the folders of the execution exceed.
func (x *run) measured(limits runner.Limits) runner.Limit {
	limit := x.dir.Exceeded(limits)
	if limit == runner.NoLimit && x.hasPools {
		most := int64(0)
		if limits.Output > 0 {
			most = x.pools + limits.Output
		}
		limit = x.dir.PoolsExceeded(most)
	}
	return limit
}

// writable reports whether some data pools are writable, and their size.
func writable(pools map[string]runner.Pool) (some bool, size int64) {
	for _, pool := range pools {
		if pool.Writable {
			some, size = true, size+pool.Size
		}
	}
	return some, size
}

// Pool implements [runner.Run].
func (x *run) Pool(parameter string) (runner.Artifacts, error) {
	folder, err := x.dir.OpenPool(parameter)
	if err != nil {
		return nil, err
	}
	return folder, nil
}

// Artifacts implements [runner.Run].
func (x *run) Artifacts() (runner.Artifacts, error) {
	output, err := x.dir.OpenOutput()
	if err != nil {
		return nil, err
	}
	output.Add(x.sent)
	return output, nil
}

// Close implements [runner.Run].
func (x *run) Close() error {
	if x.sent != nil {
		clear(x.sent.Content)
	}
	var gone <-chan struct{}
	if parting, ok := x.execution.(interface{ Gone() <-chan struct{} }); ok {
		gone = parting.Gone()
	}
	switch {
	case x.dirs != nil && x.alone && gone != nil:
		return x.dirs.PutWhen(gone, x.dir)
	case x.dirs != nil && x.alone:
		return x.dirs.Put(x.dir)
	case gone != nil:
		<-gone
	}
	return x.dir.Remove()
}
