package engine

import (
	"context"
	"time"

	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// A Revision is one revision of a service. It is immutable once an engine has
// it ([Service.Activate]).
type Revision struct {
	// ID tells the revisions of a service apart, such as by a hash of its sources.
	ID string
	// Name, Version and Description are for people.
	Name, Version, Description string
	Signature                  *signature.Signature
	// Runner starts its executions. The engine closes it: under [FollowNewest]
	// when another revision has taken the place and the last execution has ended,
	// else at the end. Nil: Load makes one.
	Runner runner.Runner
	// Load makes a runner when an execution needs one. The engine closes it after
	// [Config].RunnerIdle without executions, and loads it again for the next.
	Load      RunnerFactory
	Limits    Limits
	Resolvers Resolvers
}

// A RunnerFactory makes the runner of a revision. Should ctx end before, it
// returns an error.
type RunnerFactory func(ctx context.Context, r *Revision) (runner.Runner, error)

// defaultGrace is as long as other platforms give.
const defaultGrace = 10 * time.Second

// Limits bound the executions of a service. Zero means no bound, except for
// Grace and Log, which have defaults.
type Limits struct {
	// Concurrency is how many run at once, in all processes together.
	Concurrency int
	// Time is how long one may run.
	Time time.Duration
	// Grace is how long one may take to end when it is asked to.
	Grace time.Duration
	// Output is how many bytes one may leave as its result.
	Output int64
	// Memory is how many bytes the processes of one may take together, and
	// Processes how many they may be.
	Memory    int64
	Processes int
	// CPU is how many cores one may use, OpenFiles how many files each of its
	// processes may have open, Temp how many bytes its home and its temporary
	// folder may hold, each. They slow or refuse, and end nothing.
	CPU       float64
	OpenFiles int
	Temp      int64
	// CPUTime is how long the processors may work for one.
	CPUTime time.Duration
	// Log is how many bytes one may have in its log.
	Log int64
}
