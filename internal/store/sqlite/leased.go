package sqlite

import (
	"slices"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// maxLeased bounds the memory; executions that were lost to others stay in it.
const maxLeased = 1024

// leased remembers executions that were claimed here, until something changes
// them: reading a whole row back with each change takes longer than the change.
// It belongs to the writer's goroutine. An entry was perhaps never committed, so
// it counts only for a row that the transaction has just changed.
type leased map[execution.ID]execution.Execution

func (l leased) add(e execution.Execution) {
	if len(l) >= maxLeased {
		clear(l)
	}
	l[e.ID] = e
}

// begin makes a claimed execution RUNNING.
func (t *tx) begin(id execution.ID, owner string) (execution.Execution, error) {
	e, known := t.w.leased[id]
	if !known {
		return t.execution(updateStart+returningAll, micros(t.now), string(id), owner)
	}
	n, err := t.exec(updateStart, micros(t.now), string(id), owner)
	if err == nil && n == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return execution.Execution{}, err
	}
	return t.started(e), nil
}

func (t *tx) started(e execution.Execution) execution.Execution {
	e.Status, e.StartedAt = execution.Running, fromMicros(nullInt(micros(t.now)))
	t.w.leased.add(e)
	return e
}

// askStart is begin in one query, of an execution that was claimed here.
func (t *tx) askStart(id execution.ID, owner string, started *execution.Execution) *question {
	e, known := t.w.leased[id]
	if !known {
		return nil
	}
	var seq int64
	return &question{
		query: updateStart + ` RETURNING seq`, args: []any{micros(t.now), string(id), owner}, into: []any{&seq},
		then: func(t *tx) error {
			t.steady = true
			*started = t.started(e)
			t.changed = append(t.changed, id)
			return nil
		},
	}
}

// finish ends an execution that runs.
func (t *tx) finish(c store.FinishParams) (execution.Execution, error) {
	e, known := t.w.leased[c.ID]
	if !known || c.Problem != nil { // Finish returns a problem in its stored form
		return t.writeEnd(updateFinish, c.Status, c.Problem, c.Result, string(c.ID), c.Owner)
	}
	var row endRow
	args := []any{string(c.Status), micros(t.now), nil, encodeResult(c.Result), string(c.ID), c.Owner}
	if err := t.row(updateFinish+returningEnd, args, row.into()...); err != nil {
		return execution.Execution{}, err
	}
	return t.finished(e, c, row)
}

func (t *tx) finished(e execution.Execution, c store.FinishParams, row endRow) (execution.Execution, error) {
	e.Status, e.EndedAt = c.Status, fromMicros(nullInt(micros(t.now)))
	e.CancelRequested = row.cancelRequested != 0
	if len(c.Result) > 0 {
		e.Result = slices.Clone(c.Result)
	}
	return e, t.ended(c.ID, row)
}

// askFinish is finish in one query, of an execution that was claimed here.
func (t *tx) askFinish(c store.FinishParams, finished *execution.Execution) *question {
	e, known := t.w.leased[c.ID]
	if !known || c.Problem != nil || c.With != nil {
		return nil
	}
	row := &endRow{}
	return &question{
		query: updateFinish + returningEnd, into: row.into(),
		args: []any{string(c.Status), micros(t.now), nil, encodeResult(c.Result), string(c.ID), c.Owner},
		then: func(t *tx) (err error) {
			t.steady = true
			*finished, err = t.finished(e, c, *row)
			return err
		},
	}
}
