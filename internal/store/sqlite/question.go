package sqlite

import (
	"context"

	"github.com/qhubctl/qhubctl/internal/audit"
)

// A question is a query for one row that does all of an operation, or changes nothing and
// has no row. Those of a group share a round trip to the database.
type question struct {
	query      string
	args, into []any
	// then is called with the row. After an error all operations of the group run again,
	// each alone.
	then func(*tx) error

	missing bool // there was no row
}

// doAsked is do for an operation that a question may do. If that has no row, or the
// database takes no questions, run does the operation.
func (w *writer) doAsked(ctx context.Context, d durability, ask func(*tx) *question, run func(*tx) error) error {
	if len(audit.Uses(ctx)) > 0 || audit.From(ctx) != nil {
		return w.do(ctx, d, run)
	}
	return w.submit(ctx, &op{durability: d, ask: ask, run: run, done: make(chan struct{})})
}

// asks begins an operation by its question, if it can.
func (w *writer) asks(j *op) bool {
	if j.ask == nil {
		return false
	}
	j.tx, j.err = tx{w: w, now: w.now()}, nil
	j.question = j.ask(&j.tx)
	return j.question != nil && w.session.ask(j.question)
}

// answer ends the operations that have asked. Those without a row run after the others.
func (w *writer) answer(asked []*op) error {
	if len(asked) == 0 {
		return nil
	}
	if err := w.session.answer(); err != nil {
		return err
	}
	for _, j := range asked {
		if j.question.missing {
			if err := w.runOp(j); err != nil {
				return err
			}
			continue
		}
		if err := j.question.then(&j.tx); err != nil {
			// No savepoint is before it, so all run again, each alone.
			w.session.doubt()
			return &repeatableError{err}
		}
	}
	return nil
}
