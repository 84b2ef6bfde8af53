package sqlite

import (
	"database/sql"
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/qhubctl/qhubctl/internal/store"
)

// kinds maps the primary result codes of SQLite to the errors of a store.
var kinds = map[int]error{
	sqlite3.SQLITE_FULL:     store.ErrFull,
	sqlite3.SQLITE_IOERR:    store.ErrIO,
	sqlite3.SQLITE_CANTOPEN: store.ErrIO,
	sqlite3.SQLITE_READONLY: store.ErrIO,
	sqlite3.SQLITE_PERM:     store.ErrIO,
	sqlite3.SQLITE_PROTOCOL: store.ErrIO,
	sqlite3.SQLITE_CORRUPT:  store.ErrCorrupt,
	sqlite3.SQLITE_NOTADB:   store.ErrCorrupt,
	sqlite3.SQLITE_BUSY:     store.ErrBusy,
	sqlite3.SQLITE_LOCKED:   store.ErrBusy,
}

// classify gives an error of the database the kind that callers know. Errors
// that have one already pass unchanged.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if failure, ok := errors.AsType[*driver.Error](err); ok {
		// The low byte is the primary code, the rest is more specific.
		if kind, ok := kinds[failure.Code()&0xff]; ok {
			return fmt.Errorf("%w: %w", kind, err)
		}
		return err
	}
	// database/sql has no exported error for a closed DB.
	if errors.Is(err, sql.ErrConnDone) || err.Error() == "sql: database is closed" {
		return store.ErrClosed
	}
	return err
}
