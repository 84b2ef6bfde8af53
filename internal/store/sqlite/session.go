package sqlite

import (
	"context"
	"errors"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// A session is the connection that the writer has to its database. All that differs
// between databases in writing is behind it. Only the writer's goroutine uses it.
type session interface { //nolint:interfacebloat // all that a database does for the writer
	// begin starts a transaction with the right to write. The commit of a full one
	// survives a loss of power.
	begin(full bool) error
	// commit ends a transaction and announces its changes to other processes.
	commit(n notices) error
	// rollback ends a transaction that cannot be committed.
	rollback()

	// savepoint begins an operation that can be undone alone, and release ends it.
	savepoint() error
	undo() error
	release() error

	// exec runs a statement and returns the number of rows it changed.
	exec(query string, args []any) (int64, error)
	// later is exec for a statement whose outcome nothing depends on. It may run with the
	// next one. If it fails then, the transaction is repeatable, and runs it at once.
	later(query string, args []any) error
	// ask runs a query for at most one row with those of other operations, or returns false.
	// answer waits for all of them.
	ask(*question) bool
	answer() error
	// doubt has each operation of the next transactions run alone.
	doubt()
	// row runs a query for one row and scans it. No row is store.ErrNotFound.
	row(query string, args, into []any) error
	// rows runs a query and calls each for every row. each must not use the session.
	rows(query string, args []any, each func(scanner) error) error

	// othersWrote reports whether other processes may have changed the database, after
	// begin.
	othersWrote() (bool, error)

	// settled reports whether owners have had time to extend their leases since the
	// database was away, if it ever was.
	settled() bool

	// takeSealed calls each for the changes of watched rows that this program has made and
	// not taken yet, and forgets them with the commit. A change that somebody else makes in
	// the database must not be among them.
	takeSealed(each func(sealedChange)) error
	// holdSealed keeps the changes of the transaction for a later takeSealed.
	holdSealed() error

	// scrub makes the bytes of destroyed secrets unreadable in the files.
	scrub() error
	close() error
}

// A reader runs queries outside transactions. It is safe for concurrent use.
type reader interface {
	read(ctx context.Context, query string, args []any, each func(scanner) error) error
	close() error
}

// notices are the changes of a transaction that watchers wait for.
type notices struct {
	queue   bool
	changed []execution.ID
}

// A repeatableError ends a transaction of which nothing was committed: it can be run
// again.
type repeatableError struct{ err error }

func (e *repeatableError) Error() string { return e.err.Error() }
func (e *repeatableError) Unwrap() error { return e.err }

func repeatable(err error) bool {
	_, ok := errors.AsType[*repeatableError](err)
	return ok
}

// endsTransaction reports whether an error of one operation ends the transaction of
// all.
func endsTransaction(err error) bool {
	return errors.Is(err, store.ErrIO) || errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrUnavailable) || repeatable(err)
}
