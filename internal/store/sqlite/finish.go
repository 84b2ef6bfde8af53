package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// recoverBatch bounds one transaction of Recover.
const recoverBatch = 200

// state holds the columns of an execution that decide how it may change.
type state struct {
	seq    int64
	status execution.Status
	owner  sql.NullString
}

func (t *tx) state(id execution.ID) (st state, err error) {
	err = t.row(selectState, []any{string(id)}, &st.seq, &st.status, &st.owner)
	return st, err
}

// end moves an execution to a final state and destroys its secrets.
func (t *tx) end(st state, to execution.Status, p *execution.Problem, result []byte) (execution.Execution, error) {
	if err := execution.Transition(st.status, to); err != nil {
		return execution.Execution{}, err
	}
	return t.writeEnd(updateEnd, to, p, result, st.seq)
}

// writeEnd is end by a query that finds the execution by the key.
func (t *tx) writeEnd(
	query string, to execution.Status, p *execution.Problem, result []byte, key ...any,
) (execution.Execution, error) {
	problem, err := encodeProblem(p)
	if err != nil {
		return execution.Execution{}, err
	}
	var r executionRow
	var row endRow
	args := append([]any{string(to), micros(t.now), problem, encodeResult(result)}, key...)
	into := append(row.into(), r.all()...)
	if err := t.row(query+returningEnd+`, `+allColumns, args, into...); err != nil {
		return execution.Execution{}, err
	}
	if err := t.ended(r.e.ID, row); err != nil {
		return execution.Execution{}, err
	}
	return r.execution()
}

// endRow is the row that a change to a final state returns: which execution it
// is, and how many executions of its service wait.
type endRow struct {
	cancelRequested int
	seq             int64
	waiting         sql.NullInt64
}

func (r *endRow) into() []any { return []any{&r.cancelRequested, &r.seq, &r.waiting} }

// ended destroys the secrets of an ended execution and records which watches to notify.
func (t *tx) ended(id execution.ID, row endRow) error {
	delete(t.w.leased, id)
	t.changed = append(t.changed, id)
	// Its slot is free now, if it had one.
	t.queue = t.queue || row.waiting.Int64 > 0
	return t.destroySecrets(row.seq)
}

// Finish implements [store.Queue].
func (s *Store) Finish(ctx context.Context, c store.FinishParams) (finished execution.Execution, err error) {
	if err := c.Validate(); err != nil {
		return execution.Execution{}, err
	}
	durable := s.endSurvives
	if c.With != nil {
		durable = survivesPowerLoss // contents that it replaces are removed afterwards
	}
	err = s.writer.doAsked(ctx, durable, func(t *tx) *question { return t.askFinish(c, &finished) }, func(t *tx) (err error) {
		t.steady = true
		if err := t.changeWith(c.With); err != nil {
			return err
		}
		finished, err = t.finish(c)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		st, err := t.state(c.ID)
		if err != nil {
			return err
		}
		if !st.owner.Valid || st.owner.String != c.Owner {
			return store.ErrLeaseLost
		}
		finished, err = t.end(st, c.Status, c.Problem, c.Result)
		return err
	})
	if err != nil {
		return execution.Execution{}, fmt.Errorf("finish execution %s: %w", c.ID, err)
	}
	return finished, nil
}

// changeWith makes the change of another part of the store.
func (t *tx) changeWith(change any) error {
	switch known := change.(type) {
	case nil:
		return nil
	case datapool.Changes:
		_, err := t.applyAll(known)
		return asAccessError(err)
	default:
		return fmt.Errorf("%w: a change of the type %T", store.ErrInvalid, change)
	}
}

// Cancel implements [store.Queue].
func (s *Store) Cancel(ctx context.Context, id execution.ID) (cancelled execution.Execution, err error) {
	err = s.writer.do(ctx, survivesPowerLoss, func(t *tx) error {
		t.steady = true
		st, err := t.state(id)
		if err != nil {
			return err
		}
		if !st.status.Final() {
			if _, err := t.exec(updateCancelRequested, st.seq); err != nil {
				return err
			}
			t.changed = append(t.changed, id)
		}
		if st.status == execution.Pending {
			cancelled, err = t.end(st, execution.Cancelled, nil, nil)
			return err
		}
		cancelled, err = t.execution(selectBySeq, st.seq)
		return err
	})
	if err != nil {
		return execution.Execution{}, fmt.Errorf("cancel execution %s: %w", id, err)
	}
	return cancelled, nil
}

// Recover implements [store.Queue].
func (s *Store) Recover(ctx context.Context, self string) (all store.Recovery, err error) {
	for {
		var batch store.Recovery
		err := s.writer.do(ctx, survivesCrash, func(t *tx) (err error) {
			t.steady = true
			batch, err = recoverLeases(t, self)
			return err
		})
		if err != nil {
			return all, fmt.Errorf("recover executions: %w", err)
		}
		all.Requeued = append(all.Requeued, batch.Requeued...)
		all.Interrupted = append(all.Interrupted, batch.Interrupted...)
		if len(batch.Requeued)+len(batch.Interrupted) < recoverBatch {
			return all, nil
		}
	}
}

// recoverLeases deals with a batch of leases that have ended.
func recoverLeases(t *tx, self string) (done store.Recovery, err error) {
	if !t.w.session.settled() {
		return done, nil
	}
	type lease struct {
		state
		id execution.ID
	}
	var ended []lease
	err = t.rows(selectExpiredLeases, []any{micros(t.now), self, recoverBatch}, func(row scanner) error {
		var l lease
		err := row.Scan(&l.seq, &l.id, &l.status, &l.owner)
		ended = append(ended, l)
		return err
	})
	if err != nil {
		return done, err
	}
	for _, l := range ended {
		if l.status == execution.Pending {
			if _, err := t.exec(updateRelease, string(l.id), l.owner.String); err != nil {
				return done, err
			}
			done.Requeued = append(done.Requeued, l.id)
			t.changed = append(t.changed, l.id)
			t.queue = true
			continue
		}
		if _, err := t.end(l.state, execution.Failed, execution.Interrupted(), nil); err != nil {
			return done, err
		}
		done.Interrupted = append(done.Interrupted, l.id)
	}
	return done, nil
}
