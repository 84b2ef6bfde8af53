package store

import (
	"errors"
	"fmt"
)

// The errors of a store, to be matched with errors.Is.
var (
	// ErrNotFound says that there is no such execution, or no longer.
	ErrNotFound = errors.New("no such execution")
	// ErrQueueFull says that too much waits already. It is a [QueueFullError].
	ErrQueueFull = errors.New("the queue is full")
	// ErrIdempotencyMismatch says that an idempotency key came with another
	// request before.
	ErrIdempotencyMismatch = errors.New("this idempotency key was used with another request")
	// ErrLeaseLost says that the execution is not, or no longer, the owner's.
	ErrLeaseLost = errors.New("the lease on this execution is lost")
	// ErrExists says that an execution with this id was accepted before.
	ErrExists = errors.New("an execution with this id exists already")
	// ErrInvalid says that a parameter of the call is not valid.
	// Nothing was written.
	ErrInvalid = errors.New("invalid")
	// ErrPinGone says that a version of a stored secret was destroyed before an
	// execution pinned it. Nothing was written.
	ErrPinGone = errors.New("a version of a stored secret is not there any more")
	// ErrFull says that the disk is full. Nothing was written; free space
	// and try again.
	ErrFull = errors.New("the disk is full")
	// ErrIO says that reading or writing the files failed.
	ErrIO = errors.New("the store cannot be read or written")
	// ErrCorrupt says that the files are damaged.
	ErrCorrupt = errors.New("the store is damaged")
	// ErrBusy says that another process has held the store for too long. Trying
	// again is safe.
	ErrBusy = errors.New("the store is busy")
	// ErrUnavailable says that the server of the database does not answer. Trying again
	// is safe: a write that may have happened has an idempotency key, or changes nothing
	// the second time.
	ErrUnavailable = errors.New("the database is not available")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the store is closed")
)

// QueueFullError names the bound that was reached. It matches [ErrQueueFull].
type QueueFullError struct {
	ServiceID string // empty: the bound of all services together
	Limit     int
}

func (e *QueueFullError) Error() string {
	if e.ServiceID == "" {
		return fmt.Sprintf("%v: %d executions wait already; try again later", ErrQueueFull, e.Limit)
	}
	return fmt.Sprintf("%v: %d executions of this service wait already; try again later", ErrQueueFull, e.Limit)
}

// Is matches ErrQueueFull.
func (e *QueueFullError) Is(target error) bool { return target == ErrQueueFull }
