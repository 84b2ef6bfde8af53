//go:build linux

package forkserver_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/forkserver"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestCauseOfColdStarts checks each cause in the log and in the counts.
func TestCauseOfColdStarts(t *testing.T) {
	poller := "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True, name='poller').start()\n"
	for name, c := range map[string]struct {
		service, reason string
		unprepared      bool
		job             func(*runner.Job)
		between         func(*forkserver.Program) // the start of the fork and its order
		want            forkserver.Stats
	}{
		"a fork":     {want: forkserver.Stats{Warm: 1, Zygotes: 1, Awaited: 1}},
		"unprepared": {unprepared: true, reason: "is not ready", want: forkserver.Stats{Cold: map[forkserver.Cause]int64{forkserver.Preparing: 1}, Zygotes: 1}},
		"a thread":   {service: poller, reason: "poller", want: forkserver.Stats{Cold: map[forkserver.Cause]int64{forkserver.Unforkable: 1}}},
		"a folder elsewhere": {
			job:    func(job *runner.Job) { job.DataPools = map[string]string{"pool": t.TempDir()} },
			reason: "is not to be seen", want: forkserver.Stats{Cold: map[forkserver.Cause]int64{forkserver.Refused: 1}, Zygotes: 1},
		},
		"a fork that is killed": {
			between: func(p *forkserver.Program) {
				for _, fork := range children(t, p.State().Pid) {
					kill(t, fork)
				}
			},
			want: forkserver.Stats{Cold: map[forkserver.Cause]int64{forkserver.Lost: 1}, Zygotes: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var text testenv.Buffer
			o := written(t, c.service+trivial, confined())
			o.Pool = forkserver.NewPool(0)
			o.Logger = slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
			program := forkserver.New(o)
			if !c.unprepared {
				if err := program.Prepare(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			r := &process.Runner{Program: interrupted{program, c.between}, Dir: o.Dir, Environment: o.Environment, Sandbox: o.Sandbox}
			job := runner.Job{
				ID: execution.NewID(), Scratch: inScratch(t), Stdout: io.Discard, Stderr: io.Discard,
				Inputs: map[string]json.RawMessage{"action": json.RawMessage(`"it"`)},
			}
			if c.job != nil {
				c.job(&job)
			}
			succeed(t, r, job)
			if err := program.Prepare(t.Context()); err != nil { // so that a zygote in the making is counted
				t.Fatal(err)
			}
			if err := program.Close(); err != nil {
				t.Error(err)
			}
			if c.want.Cold == nil {
				c.want.Cold = map[forkserver.Cause]int64{}
			}
			if got := program.Stats(); !reflect.DeepEqual(got, c.want) {
				t.Errorf("Stats() = %+v, want %+v", got, c.want)
			}
			if got := o.Pool.Stats(); !reflect.DeepEqual(got, c.want) { // its program has ended
				t.Errorf("Stats() of the pool = %+v, want %+v", got, c.want)
			}
			log := text.String()
			for cause := range c.want.Cold {
				if !strings.Contains(log, "cause="+string(cause)) || !strings.Contains(log, `"how.cold: `+string(cause)+`"=1`) || !strings.Contains(log, c.reason) {
					t.Errorf("the log lacks the cause %q or %q, want both:\n%s", cause, c.reason, log)
				}
			}
			if len(c.want.Cold) == 0 && (strings.Contains(log, "cold") || !strings.Contains(log, "how.warm=1")) {
				t.Errorf("the log has a cold start, or no warm one, want one warm start:\n%s", log)
			}
		})
	}
}

// TestSpareIsCounted takes forks until one was a spare: when that happens depends on the
// machine.
func TestSpareIsCounted(t *testing.T) {
	o := service(t, nil, nil)
	o.Spares = 1
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	var stats forkserver.Stats
	executions := int64(0)
	for ; stats.FromSpare == 0 && executions < 1000; executions++ {
		do(t, r, "look")
		stats = r.Program().Stats()
	}
	if stats.FromSpare != 1 || stats.Awaited != executions-1 || stats.Warm != executions {
		t.Errorf("the counts of %d executions are %+v, want one from a spare", executions, stats)
	}
}

func succeed(t *testing.T, r runner.Runner, job runner.Job) {
	t.Helper()
	run, err := r.Start(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if outcome, err := run.Wait(); err != nil || outcome != (runner.Outcome{}) {
		t.Errorf("Wait() = %+v, %v, want success", outcome, err)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
}

// interrupted is a program that calls a function between the start of a process and its
// order.
type interrupted struct {
	*forkserver.Program
	by func(*forkserver.Program)
}

func (p interrupted) Start(c process.Command, describe bool) (process.Execution, error) {
	e, err := p.Program.Start(c, describe)
	if p.by != nil {
		p.by(p.Program)
	}
	return e, err
}
