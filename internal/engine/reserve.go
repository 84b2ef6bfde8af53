package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/qhubctl/qhubctl/internal/store"
)

const (
	// largeWork is the memory that large requests share. The largest takes
	// nearly all of it.
	largeWork = 64 << 20
	// memoryWait is how long a caller waits for its share.
	memoryWait = 30 * time.Second
	// acceptCopies is how many copies of a large request are in memory while the
	// engine accepts it, not counting the body. startCopies is how many there are
	// while the engine hands it to a process.
	acceptCopies = 3
	startCopies  = 4
)

// reserve waits for the memory to accept a large body. It fails with
// [store.ErrBusy] if other requests hold the memory for longer than memoryWait.
func (e *Engine) reserve(ctx context.Context, body []byte) (release func(), err error) {
	if len(body) <= store.MaxClaimed {
		return func() {}, nil
	}
	patient, cancel := context.WithTimeout(ctx, memoryWait)
	defer cancel()
	release, err = e.memory.Acquire(patient, acceptCopies*int64(len(body)))
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, fmt.Errorf("%w: large requests have needed all memory for %s", store.ErrBusy, memoryWait)
	}
	return release, err
}

// reserve waits for the memory to hand a large request to its process. It
// fails when the execution must stop.
func (t *task) reserve() (release func(), err error) {
	if t.claimed.RequestSize <= store.MaxClaimed {
		return func() {}, nil
	}
	return t.engine.memory.Acquire(t.ctx, startCopies*t.claimed.RequestSize)
}
