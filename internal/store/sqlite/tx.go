package sqlite

import (
	"database/sql"
	"errors"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// A tx is the view that one operation has of the transaction it is part of.
// It also collects the notices that follow the commit.
type tx struct {
	w   *writer
	now time.Time

	queue     bool           // there may be something to claim
	changed   []execution.ID // these executions have changed
	destroyed bool           // sealed secrets were destroyed
	auditIn   string         // the tenant of an audit entry that names none
	steady    bool           // what executions get of stored secrets stays the same
}

// forget drops the notices of an operation that failed.
func (t *tx) forget() {
	t.queue, t.changed, t.destroyed, t.auditIn, t.steady = false, nil, false, "", false
}

// exec runs a statement and gives the number of rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) { return t.w.session.exec(query, args) }

// later runs a statement whose outcome nothing depends on.
func (t *tx) later(query string, args ...any) error { return t.w.session.later(query, args) }

// row runs a query for one row and scans it. No row gives store.ErrNotFound.
func (t *tx) row(query string, args []any, into ...any) error {
	return t.w.session.row(query, args, into)
}

// rows runs a query and calls each for every row.
func (t *tx) rows(query string, args []any, each func(scanner) error) error {
	return t.w.session.rows(query, args, each)
}

// execution runs a query for one execution with all its columns.
func (t *tx) execution(query string, args ...any) (execution.Execution, error) {
	var r executionRow
	if err := t.row(query, args, r.all()...); err != nil {
		return execution.Execution{}, err
	}
	return r.execution()
}

// destroySecrets deletes the sealed secrets of an execution, and its pins of stored ones.
func (t *tx) destroySecrets(seq int64) error {
	if t.w.several { // nothing needs to be scrubbed
		return errors.Join(t.later(deleteSecrets, seq), t.later(deletePins, seq))
	}
	n, err := t.exec(deleteSecrets, seq)
	t.destroyed = t.destroyed || n > 0
	if err == nil && t.w.pinned {
		_, err = t.exec(deletePins, seq)
	}
	return err
}

// scanner is a row, or the current one of several.
type scanner interface{ Scan(into ...any) error }

// errEnough is what a function for each row returns when it wants no more.
var errEnough = errors.New("enough")

// drain calls each for all rows and closes them.
func drain(rows *sql.Rows, each func(scanner) error) (err error) {
	defer func() {
		if closeErr := classify(rows.Close()); err == nil {
			err = closeErr
		}
	}()
	for rows.Next() {
		if err := each(rows); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return classify(err)
		}
	}
	return classify(rows.Err())
}

// micros is the form of a time in the database.
func micros(t time.Time) int64 { return t.UnixMicro() }
