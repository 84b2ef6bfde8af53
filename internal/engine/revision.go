package engine

import (
	"context"
	"time"

	"github.com/qhubctl/qhubctl/internal/limits"
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
	Load RunnerFactory
	// Limits bound each execution. Zero means no bound, except for Grace and Log,
	// which have defaults.
	Limits limits.Limits
	// Concurrency is how many executions of the service run at once, in all
	// processes together. Zero: no bound.
	Concurrency int
	Resolvers   Resolvers
}

// A RunnerFactory makes the runner of a revision. Should ctx end before, it
// returns an error.
type RunnerFactory func(ctx context.Context, r *Revision) (runner.Runner, error)

// defaultGrace is as long as other platforms give.
const defaultGrace = 10 * time.Second
