package store

import (
	"context"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// Store keeps executions. It is safe for concurrent use. Each consumer takes the
// part that it needs.
//
// Errors match those of this package; see errors.go. A context that ends
// makes an operation return early only as long as it has not begun to write.
type Store interface {
	Queue
	Reader
	Logs
	Retention
	Sealed

	// Close ends all operations and releases the files.
	Close() error
}

// Queue takes executions in, and brings them to their end.
type Queue interface {
	// Accept writes a new execution, PENDING, and returns once that is
	// durable. A repeated idempotency key gives the execution accepted
	// first; see [Idempotency]. If there is no room it fails with
	// [ErrQueueFull].
	Accept(ctx context.Context, a NewExecution) (Accepted, error)

	// Claim takes waiting executions, the oldest first, and returns once
	// that is durable. It may return fewer than asked for, or none.
	Claim(ctx context.Context, c ClaimRequest) ([]Claimed, error)
	// Start makes a claimed execution RUNNING; the process may start only
	// afterwards. If a power failure loses this write, the next Open marks every
	// claimed execution as started, so none runs twice. [ErrLeaseLost]: it was
	// cancelled, or its lease ended and another owner took it; the worker drops it.
	Start(ctx context.Context, id execution.ID, owner string) (execution.Execution, error)
	// Heartbeat extends the leases of an owner to lease from now.
	Heartbeat(ctx context.Context, owner string, lease time.Duration, ids ...execution.ID) (HeartbeatReport, error)
	// Finish ends an execution and destroys its sealed secrets, at most once
	// and only for the owner of the lease: anyone else gets [ErrLeaseLost].
	Finish(ctx context.Context, c FinishParams) (execution.Execution, error)
	// Release gives claims back that were not started, so that other workers
	// need not wait for the lease to end. Other ids stay unchanged.
	Release(ctx context.Context, owner string, ids ...execution.ID) error
	// Cancel makes a PENDING execution CANCELLED and destroys its secrets;
	// marks a RUNNING one, whose worker learns of it by WatchExecution and
	// Heartbeat; and changes nothing about one that has ended.
	Cancel(ctx context.Context, id execution.ID) (execution.Execution, error)
	// Recover deals with leases that have ended, except those of self: the
	// caller is alive, however long the machine was asleep.
	Recover(ctx context.Context, self string) (Recovery, error)

	// WatchQueue signals when there may be something to claim.
	WatchQueue() *Watch
}

// Reader reads executions.
type Reader interface {
	// Get reads an execution.
	Get(ctx context.Context, id execution.ID) (execution.Execution, error)
	// Request reads the payload that was accepted.
	Request(ctx context.Context, id execution.ID) ([]byte, error)
	// List gives a page of the executions of a service, the newest first.
	// Problem and Result are left out.
	List(ctx context.Context, q ListQuery) (Page, error)
	// QueueStats reports how many executions wait and run.
	QueueStats(ctx context.Context) (QueueStats, error)
	// WatchExecution signals when an execution or its log may have changed.
	WatchExecution(id execution.ID) *Watch
}

// Logs keeps what executions print.
type Logs interface {
	// AppendLog adds lines to the log of an execution and gives the sequence
	// number of the last one. The lines are masked already, and valid UTF-8
	// without NUL.
	AppendLog(ctx context.Context, id execution.ID, entries ...execution.LogEntry) (int64, error)
	// ReadLog gives up to limit lines whose sequence number is greater than
	// after, oldest first. Sequence numbers start at 1 and have no gaps.
	ReadLog(ctx context.Context, id execution.ID, after int64, limit int) ([]LogLine, error)
}

// Retention removes executions that were kept long enough.
type Retention interface {
	// Expired names up to limit executions that ended before a time, the
	// oldest first. See [Purge], which most callers want.
	Expired(ctx context.Context, endedBefore time.Time, limit int) ([]execution.ID, error)
	// Delete removes executions with all their data and returns how many.
	// Those that have not ended stay.
	Delete(ctx context.Context, ids ...execution.ID) (int, error)
}

// Sealed has all that is sealed: the secrets of executions that have not ended, and
// what a platform keeps.
type Sealed interface {
	// Reseal passes sealed secrets through rewrap, such as after a rotation
	// of the master key, and returns how many changed. An error of rewrap ends
	// it; the changes before it stay, and a second call continues. rewrap must
	// not call the store.
	Reseal(ctx context.Context, rewrap Rewrapper) (int, error)
}

// A NewExecution holds the parameters of Accept.
type NewExecution struct {
	// Execution as the caller describes it: id, service, revision, type,
	// tags and so on. Status and times are set by the store.
	Execution execution.Execution
	// Request is the payload, the input of the service.
	Request []byte
	// Secrets are the secrets of the request, sealed for this execution.
	Secrets vault.Sealed
	// Kept is a JSON document that stays with the execution, such as what a job keeps of
	// its request. It holds no secret. Nil: there is none.
	Kept []byte
	// Pins are versions of stored secrets that stay until the execution has ended:
	// [ErrPinGone] if one is not there any more. No number comes twice.
	Pins []int64
	// Idempotency is nil when the caller sent no key.
	Idempotency *Idempotency
	Queue       QueueLimit
	// Claim takes the execution at once, in the same transaction, if a slot
	// is free and nothing older of its service waits. Nil: leave it waiting.
	Claim *Lease
}

// Idempotency recognises a request that is repeated.
type Idempotency struct {
	// Key is the caller's, unique within a service.
	Key string
	// MACs are those of the body ([vault.Keyring.MACs]). The first is kept;
	// a repeated request is the same if any equals the one that was kept,
	// and else fails with [ErrIdempotencyMismatch].
	MACs [][]byte
}

// QueueLimit bounds the executions that wait. Zero means no bound. Those that
// are claimed do not count, so an execution that starts at once needs no room.
type QueueLimit struct {
	PerService int
	Total      int
}

// Lease holds the terms under which an owner takes an execution.
type Lease struct {
	Owner string
	// Lease is how long the claim holds without a heartbeat.
	Lease time.Duration
	// Concurrency bounds the executions of the service that are claimed or
	// running, by all owners together. Zero means no bound.
	Concurrency int
}

// Accepted is the outcome of Accept.
type Accepted struct {
	Execution execution.Execution
	// Claimed says that the worker named in the acceptance has it now.
	Claimed bool
	// Replayed says that the idempotency key was seen before: nothing was
	// written, and Execution is the current state of the first execution.
	Replayed bool
}

// A ClaimRequest asks for work.
type ClaimRequest struct {
	Owner string
	Lease time.Duration
	// Max is how many the worker can take.
	Max int
	// Services are those the worker can run. Others are left to others.
	Services []ServiceLimit
}

// ServiceLimit bounds the concurrency of one service; see [Lease].
type ServiceLimit struct {
	ServiceID   string
	Concurrency int
}

// A Claimed execution comes with all data that a worker needs to run it.
type Claimed struct {
	Execution execution.Execution
	// Request is the payload; nil if it is longer than MaxClaimed. Then
	// Store.Request reads it.
	Request []byte
	// RequestSize is how long the payload is.
	RequestSize int64
	Secrets     vault.Sealed
}

// MaxClaimed is the longest payload that a claim brings with it: many
// executions can be claimed at once.
const MaxClaimed = 256 << 10

// A HeartbeatReport lists executions whose worker must act.
type HeartbeatReport struct {
	// Lost are no longer the worker's: it stops them and reports nothing.
	Lost []execution.ID
	// Cancelled are those that the worker stops and finishes as CANCELLED.
	Cancelled []execution.ID
}

// A FinishParams ends an execution.
type FinishParams struct {
	ID    execution.ID
	Owner string
	// Status is final.
	Status  execution.Status
	Problem *execution.Problem
	// Result is the result manifest of the runner, a JSON document.
	Result []byte
	// With is a change of another part of the same store, such as of data pools, which
	// is made with the end or not at all. Its errors pass unchanged: the execution has
	// not ended then. Nil: there is none.
	With any
}

// Recovery is the outcome of Recover.
type Recovery struct {
	Requeued    []execution.ID // claimed, never started: they wait again
	Interrupted []execution.ID // were running: they are FAILED now
}

// A ListQuery asks for a page of the executions of one service.
type ListQuery struct {
	ServiceID string
	// Tag keeps only executions that have it. Empty: all.
	Tag string
	// Limit is the length of the page. Zero: [DefaultPage].
	Limit int
	// Caller selects what one caller has started. Nil: all.
	Caller *Caller
	// After is the Next of the page before. Empty: the first page.
	After Cursor
}

// A Caller starts executions on a server with several of them. It has all the
// executions with its tenant and its application, if it acts as one; one that
// acts in an execution has those that this has started.
type Caller struct {
	Tenant, Application string
	Execution           execution.ID
	// Person is the member of the tenant that acts. All members see the same.
	Person string
}

// Has reports whether the caller has started an execution.
func (c Caller) Has(e execution.Execution) bool {
	return c.Tenant != "" && e.TenantID == c.Tenant && e.ApplicationID == c.Application && (c.Execution == "" || e.ParentID == c.Execution)
}

// A CallerQuery selects executions by their caller, in all services.
type CallerQuery struct {
	Tenant string // needed
	// Application selects those of one application; "*" those of any, and empty
	// those without one. Execution selects those that an execution has started.
	Application string
	Execution   execution.ID
	// Services selects those of these services. Nil: all.
	Services []string
	// Tags selects those with one of these tags. Nil: all.
	Tags []string
	// IDs selects those with one of these ids, in which * stands for any text. Nil: all.
	IDs []string
	// Statuses selects those in one of these states. Nil: all.
	Statuses []string
	// CreatedAfter and CreatedBefore select those made between them. Zero: no bound.
	CreatedAfter, CreatedBefore time.Time
	// CountTo is up to where they are counted, as counting many takes long. Zero: to the
	// last one.
	CountTo int
	Order   Order
	// Ascending has the smallest first. Otherwise it comes last.
	Ascending     bool
	Offset, Limit int
}

// An Order is what a list is sorted by.
type Order int

// The orders of [CallerQuery]. Equal ones are in the order of their creation.
const (
	ByCreation Order = iota
	ByStart
	ByEnd
	ByStatus
	ByService
)

// DefaultPage is the length of a page unless the caller asks for another.
const DefaultPage = 1000

// A Cursor is a place in a list. Callers pass it on without reading it; it
// stays valid when executions are added or removed.
type Cursor string

// A Page is a part of a list.
type Page struct {
	Executions []execution.Execution
	// Next is where the next page begins, empty after the last.
	Next Cursor
}

// QueueStats counts waiting and active executions.
type QueueStats struct {
	Services map[string]ServiceStats // those with something waiting or active
	Pending  int                     // of all services
	Active   int
}

// ServiceStats is the load of one service.
type ServiceStats struct {
	Pending int // PENDING and not claimed
	Active  int // claimed or RUNNING
}

// A LogLine is an entry with its place in the log.
type LogLine struct {
	Sequence int64
	Entry    execution.LogEntry
}

// A Rewrapper gives the same secrets under another key, and whether that
// changed anything. [vault.Keyring.Rewrap] is one.
type Rewrapper func(owner vault.Owner, sealed vault.Sealed) (vault.Sealed, bool, error)
