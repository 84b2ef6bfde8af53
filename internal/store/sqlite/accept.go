package sqlite

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Accept implements [store.Queue].
func (s *Store) Accept(ctx context.Context, a store.NewExecution) (accepted store.Accepted, err error) {
	if err := a.Validate(); err != nil {
		return store.Accepted{}, err
	}
	tags, err := encodeTags(a.Execution.Tags)
	if err != nil {
		return store.Accepted{}, fmt.Errorf("%w acceptance: write the tags: %w", store.ErrInvalid, err)
	}
	err = s.writer.doAsked(ctx, survivesPowerLoss, func(t *tx) *question { return t.askAccept(a, tags, &accepted) }, func(t *tx) (err error) {
		t.steady = true
		accepted, err = accept(t, a, tags)
		return err
	})
	if err != nil {
		return store.Accepted{}, fmt.Errorf("accept an execution: %w", err)
	}
	return accepted, nil
}

func accept(t *tx, a store.NewExecution, tags string) (store.Accepted, error) {
	if a.Idempotency != nil {
		seen, err := replay(t, a.Execution.ServiceID, a.Idempotency)
		if err == nil || !errors.Is(err, store.ErrNotFound) {
			return seen, err
		}
	}
	claim, err := place(t, a)
	if err != nil {
		return store.Accepted{}, err
	}
	e := t.pending(a)
	var owner, lease any
	if claim {
		owner, lease = a.Claim.Owner, micros(t.now.Add(a.Claim.Lease))
	}
	if err := insert(t, a, e, tags, owner, lease); err != nil {
		return store.Accepted{}, err
	}
	return t.accepted(e, claim), nil
}

// pending is a new execution with the values that the store gives it.
func (t *tx) pending(a store.NewExecution) execution.Execution {
	e := a.Execution
	e.Status = execution.Pending
	e.CreatedAt = fromMicros(nullInt(micros(t.now)))
	e.StartedAt, e.EndedAt, e.CancelRequested, e.Problem, e.Result = time.Time{}, time.Time{}, false, nil, nil
	e.Tags = slices.Clone(e.Tags)
	return e
}

func (t *tx) accepted(e execution.Execution, claim bool) store.Accepted {
	if claim {
		t.w.leased.add(e)
	}
	t.queue = !claim
	t.changed = append(t.changed, e.ID)
	return store.Accepted{Execution: e, Claimed: claim}
}

// askAccept is accept in one query, of an execution without an idempotency key. It has no
// row if the queue is full, or the id is known.
func (t *tx) askAccept(a store.NewExecution, tags string, accepted *store.Accepted) *question {
	if a.Idempotency != nil {
		return nil
	}
	e, claim := t.pending(a), store.Lease{}
	if a.Claim != nil {
		claim = *a.Claim
	}
	var seq int64
	var claimed bool
	return &question{
		query: insertPlaced, into: []any{&seq, &claimed},
		args: []any{
			string(e.ID), e.ServiceID, e.ServiceRevision, string(e.Type), micros(t.now), tags,
			e.ServiceDefinitionID, e.ApplicationID, e.TenantID, string(e.ParentID), e.PersonID, claim.Owner, micros(t.now.Add(claim.Lease)),
			a.Claim != nil, claim.Concurrency, a.Queue.PerService, a.Queue.Total,
		},
		then: func(t *tx) error {
			t.steady = true
			*accepted = t.accepted(e, claimed)
			return t.insertParts(seq, a, e)
		},
	}
}

// replay finds the execution that was accepted with the same idempotency key.
// store.ErrNotFound: the key is new.
func replay(t *tx, serviceID string, i *store.Idempotency) (store.Accepted, error) {
	var seq int64
	var mac []byte
	if err := t.row(selectIdempotencyKey, []any{serviceID, i.Key}, &seq, &mac); err != nil {
		return store.Accepted{}, err
	}
	if !slices.ContainsFunc(i.MACs, func(given []byte) bool { return hmac.Equal(given, mac) }) {
		return store.Accepted{}, store.ErrIdempotencyMismatch
	}
	e, err := t.execution(selectBySeq, seq)
	return store.Accepted{Execution: e, Replayed: true}, err
}

// place decides whether a new execution is claimed at once, and if not, that
// there is room for it to wait.
func place(t *tx, a store.NewExecution) (claim bool, err error) {
	if a.Claim == nil && a.Queue == (store.QueueLimit{}) {
		return false, nil
	}
	var waiting, active int
	err = t.row(selectServiceLoad, []any{a.Execution.ServiceID}, &waiting, &active)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	// Waiting executions are older, so they go first.
	if a.Claim != nil && waiting == 0 && (a.Claim.Concurrency == 0 || active < a.Claim.Concurrency) {
		return true, nil
	}
	if limit := a.Queue.PerService; limit > 0 && waiting >= limit {
		return false, &store.QueueFullError{ServiceID: a.Execution.ServiceID, Limit: limit}
	}
	if limit := a.Queue.Total; limit > 0 {
		var total int
		if err := t.row(selectTotalWaiting, nil, &total); err != nil {
			return false, err
		}
		if total >= limit {
			return false, &store.QueueFullError{Limit: limit}
		}
	}
	return false, nil
}

// insert writes an execution with its request, its secrets and its key.
func insert(t *tx, a store.NewExecution, e execution.Execution, tags string, owner, lease any) error {
	var seq int64
	err := t.row(insertExecution, []any{
		string(e.ID), e.ServiceID, e.ServiceRevision, string(e.Type), micros(t.now), tags,
		e.ServiceDefinitionID, e.ApplicationID, e.TenantID, string(e.ParentID), e.PersonID, owner, lease,
	}, &seq)
	if errors.Is(err, store.ErrNotFound) {
		return store.ErrExists // the conflict left nothing to return
	}
	if err != nil {
		return err
	}
	return t.insertParts(seq, a, e)
}

// insertParts writes what belongs to the row of an execution.
func (t *tx) insertParts(seq int64, a store.NewExecution, e execution.Execution) error {
	if len(a.Request) > 0 {
		if err := t.later(insertRequest, seq, a.Request); err != nil {
			return err
		}
	}
	if len(a.Secrets) > 0 {
		if err := t.later(insertSecrets, seq, []byte(a.Secrets)); err != nil {
			return err
		}
	}
	if err := t.pin(seq, a.Pins); err != nil {
		return err
	}
	if len(a.Kept) > 0 {
		if err := t.later(insertKept, seq, a.Kept); err != nil {
			return err
		}
	}
	for _, tag := range e.Tags {
		if err := t.later(insertTag, e.ServiceID, tag, seq, e.TenantID, micros(t.now)); err != nil {
			return err
		}
	}
	if i := a.Idempotency; i != nil {
		if err := t.later(insertIdempotencyKey, e.ServiceID, i.Key, i.MACs[0], seq); err != nil {
			return err
		}
	}
	return nil
}
