// Package descriptors divides the file descriptors of this process between
// connections and executions, and waits when none is free.
//
// Callers open connections; a server has promised to run executions.
// [Connections] and [Executions] keep the two apart. If descriptors run out
// nevertheless, the promise holds: [Retry] tries an execution again until there
// are some.
package descriptors

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// maxConnections bounds connections however many descriptors there are.
	maxConnections = 4096
	// base is the number that a server holds without connections and executions:
	// for the database, the watched files, a zygote with the places of its rules
	// and two spare forks. A server with one warm execution holds 81.
	base = 96
	// perExecution is the need of one execution: up to 9 while it runs, and more
	// for a moment when it starts and when its result is read.
	perExecution = 24
	// reserved is the need of a server to run one cold execution. It keeps
	// minConnections to answer callers even then.
	reserved       = 64
	minConnections = 8
)

// Connections returns how many connections a server may have: half of the
// descriptors, and no more than 4096. Below 128 descriptors it is less, so that
// executions can run.
func Connections() int { return connections(limit()) }

func connections(limit int) int {
	return max(minConnections, min(limit/2, limit-reserved, maxConnections))
}

// Executions returns how many executions a server can run at once with the
// descriptors that [Connections] leaves. It is at least 1.
func Executions() int { return executions(limit()) }

func executions(limit int) int {
	return max(1, (limit-connections(limit)-base)/perExecution)
}

// Warm reports whether there are enough descriptors for a process that is kept
// ready to be forked.
func Warm() bool { return warm(limit()) }

func warm(limit int) bool { return limit-connections(limit) >= base+perExecution }

// Exhausted reports whether an error says that this process, or the whole
// system, has no descriptors left.
func Exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// The first and the longest time between two attempts of Retry.
const (
	firstDelay   = 5 * time.Millisecond
	longestDelay = 500 * time.Millisecond
)

// waits counts how often Retry has waited.
var waits atomic.Int64

// Waits returns how often [Retry] has waited for a descriptor in this process.
func Waits() int64 { return waits.Load() }

// Retry calls f, again while its error is [Exhausted], and returns its last
// error. When ctx ends it gives up.
func Retry(ctx context.Context, f func() error) error {
	for delay := firstDelay; ; delay = min(2*delay, longestDelay) {
		err := f()
		if !Exhausted(err) {
			return err
		}
		waits.Add(1)
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// RetryBriefly is [Retry] for at most ten seconds: for work that other
// executions need, but that must not delay the end of a server.
func RetryBriefly(f func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return Retry(ctx, f)
}
