//go:build linux

package warm_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/runner/warm"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestCauseOfColdStarts has each in the log and in the counts.
func TestCauseOfColdStarts(t *testing.T) {
	poller := "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True, name='poller').start()\n"
	for name, c := range map[string]struct {
		service, reason string
		unprepared      bool
		job             func(*runner.Job)
		between         func(*warm.Program) // the start of the fork and its order
		want            warm.Stats
	}{
		"a fork":     {want: warm.Stats{Warm: 1, Templates: 1, Awaited: 1}},
		"unprepared": {unprepared: true, reason: "is not ready", want: warm.Stats{Cold: map[warm.Cause]int64{warm.Preparing: 1}, Templates: 1}},
		"a thread":   {service: poller, reason: "poller", want: warm.Stats{Cold: map[warm.Cause]int64{warm.Unforkable: 1}}},
		"a folder elsewhere": {
			job:    func(job *runner.Job) { job.DataPools = map[string]string{"pool": t.TempDir()} },
			reason: "is not to be seen", want: warm.Stats{Cold: map[warm.Cause]int64{warm.Refused: 1}, Templates: 1},
		},
		"a fork that is killed": {
			between: func(p *warm.Program) {
				for _, fork := range children(t, p.State().Pid) {
					kill(t, fork)
				}
			},
			want: warm.Stats{Cold: map[warm.Cause]int64{warm.Lost: 1}, Templates: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var text testenv.Buffer
			o := written(t, c.service+trivial, confined())
			o.Pool = warm.NewPool(0)
			o.Logger = slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
			program := warm.New(o)
			if !c.unprepared {
				if err := program.Prepare(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			r := &process.Runner{Program: interrupted{program, c.between}, Dir: o.Dir, Environment: o.Environment, Cage: o.Cage}
			job := runner.Job{
				ID: execution.NewID(), Scratch: inScratch(t), Stdout: io.Discard, Stderr: io.Discard,
				Inputs: map[string]json.RawMessage{"action": json.RawMessage(`"it"`)},
			}
			if c.job != nil {
				c.job(&job)
			}
			succeed(t, r, job)
			if err := program.Prepare(t.Context()); err != nil { // what was begun is counted
				t.Fatal(err)
			}
			if err := program.Close(); err != nil {
				t.Error(err)
			}
			if c.want.Cold == nil {
				c.want.Cold = map[warm.Cause]int64{}
			}
			if got := program.Stats(); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, not %+v", got, c.want)
			}
			if got := o.Pool.Stats(); !reflect.DeepEqual(got, c.want) { // whose program has ended
				t.Errorf("the pool: %+v, not %+v", got, c.want)
			}
			log := text.String()
			for cause := range c.want.Cold {
				if !strings.Contains(log, "cause="+string(cause)) || !strings.Contains(log, `"how.cold: `+string(cause)+`"=1`) || !strings.Contains(log, c.reason) {
					t.Errorf("the log does not tell of %q, %q:\n%s", cause, c.reason, log)
				}
			}
			if len(c.want.Cold) == 0 && (strings.Contains(log, "cold") || !strings.Contains(log, "how.warm=1")) {
				t.Errorf("the log tells of a cold start, or of no warm one:\n%s", log)
			}
		})
	}
}

// TestStandbyIsCounted takes forks until one has stood by: how soon one does
// is the machine's affair.
func TestStandbyIsCounted(t *testing.T) {
	o := service(t, nil, nil)
	o.Standby = 1
	r := prepared(t, o)
	defer func() { _ = r.Close() }()
	var stats warm.Stats
	executions := int64(0)
	for ; stats.StoodBy == 0 && executions < 1000; executions++ {
		do(t, r, "look")
		stats = r.Program().Stats()
	}
	if stats.StoodBy != 1 || stats.Awaited != executions-1 || stats.Warm != executions {
		t.Errorf("%d executions: %+v", executions, stats)
	}
}

func succeed(t *testing.T, r runner.Runner, job runner.Job) {
	t.Helper()
	run, err := r.Start(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if outcome, err := run.Wait(); err != nil || outcome != (runner.Outcome{}) {
		t.Errorf("%+v %v", outcome, err)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
}

// interrupted is a program with which something happens between the start of a
// process and its order.
type interrupted struct {
	*warm.Program
	by func(*warm.Program)
}

func (p interrupted) Start(c process.Command, describe bool) (process.Execution, error) {
	e, err := p.Program.Start(c, describe)
	if p.by != nil {
		p.by(p.Program)
	}
	return e, err
}
