package engine

import (
	"context"
	"time"

	"github.com/qhubctl/qhubctl/internal/limits"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// A Revision is one revision of a service. The caller must not change it after it
// has passed it to an engine ([Service.Activate]).
type Revision struct {
	// ID identifies a revision of the service, for example by a hash of its sources.
	ID string
	// Name, Version and Description are shown to people.
	Name, Version, Description string
	Signature                  *signature.Signature
	// Root is the folder of the service's files. Logs show paths below it as relative ones.
	// Empty: they show all paths in full.
	Root string
	// Runner starts the executions. The engine closes it when the engine closes;
	// under [FollowNewest] also when another revision is active and the last
	// execution has ended. Nil: Load makes a runner.
	Runner runner.Runner
	// Load makes a runner when an execution needs one. The engine closes the runner
	// after [Config].RunnerIdle without executions, and makes one again for the next.
	Load RunnerFactory
	// Limits bound each execution. Zero means no bound, except for Grace and Log,
	// which have defaults.
	Limits limits.Limits
	// Concurrency is how many executions of the service may run at once, in all
	// engines on the store together. Zero: no bound.
	Concurrency int
	Resolvers   Resolvers
}

// A RunnerFactory makes the runner of a revision. It returns an error if ctx ends
// first.
type RunnerFactory func(ctx context.Context, r *Revision) (runner.Runner, error)

// defaultGrace is the grace time of an execution where its limits set none.
const defaultGrace = 10 * time.Second
