package process

import (
	"context"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner"
)

// Recoverer ends the processes on this machine that executions of a dead server
// have left, of forks too.
type Recoverer struct{}

var _ runner.Recoverer = Recoverer{}

// Recover implements [runner.Recoverer].
func (Recoverer) Recover(_ context.Context, ids ...execution.ID) error {
	tags := make([]string, len(ids))
	for i, id := range ids {
		tags[i] = string(id)
	}
	KillOrphans(tags...)
	return nil
}
