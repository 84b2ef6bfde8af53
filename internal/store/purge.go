package store

import (
	"context"
	"fmt"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// purgeBatch bounds one transaction of [Purge], so that accepting never waits
// long for it.
const purgeBatch = 100

// Purge removes executions that ended before a time, in small batches, and
// returns how many. For each, it first calls removeFiles: if the process dies
// between the two, the execution is still known and the next Purge repeats it,
// so files are never left without an owner. removeFiles must accept that there
// are no files.
func Purge(
	ctx context.Context, s Retention, endedBefore time.Time, removeFiles func(execution.ID) error,
) (removed int, err error) {
	for {
		ids, err := s.Expired(ctx, endedBefore, purgeBatch)
		if err != nil || len(ids) == 0 {
			return removed, err
		}
		for _, id := range ids {
			if err := removeFiles(id); err != nil {
				return removed, fmt.Errorf("remove the files of execution %s: %w", id, err)
			}
		}
		n, err := s.Delete(ctx, ids...)
		removed += n
		if err != nil || n == 0 {
			return removed, err
		}
	}
}
