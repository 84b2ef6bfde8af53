package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/store"
)

// scrubPatience is how long a truncation of the log waits for readers. The
// writer writes nothing meanwhile, so it is short. A delayed scrub is tried
// again.
const scrubPatience = 50 * time.Millisecond

// background is the context of all statements of the writer. A context that
// can end would cost a goroutine each time, and a write is short.
var background = context.Background()

// sqliteSession is the only connection of a process that writes.
type sqliteSession struct {
	db    *sql.DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	full  bool // the current setting of synchronous

	version   int64     // changes with the commits of other processes
	versionAt time.Time // when it was read
}

func newSQLiteSession(ctx context.Context, db *sql.DB) (*sqliteSession, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, classify(err)
	}
	if _, err := conn.ExecContext(ctx, createSealedChanges()); err != nil {
		return nil, errors.Join(classify(err), conn.Close())
	}
	return &sqliteSession{db: db, conn: conn, full: true, stmts: map[string]*sql.Stmt{}}, nil
}

func (s *sqliteSession) begin(full bool) error {
	if full != s.full {
		setting := "PRAGMA synchronous=NORMAL"
		if full {
			setting = "PRAGMA synchronous=FULL"
		}
		if err := s.run(setting); err != nil {
			return classify(err)
		}
		s.full = full
	}
	return classify(s.run("BEGIN IMMEDIATE"))
}

// othersEvery is how often the writer looks for changes of other processes, such as a
// program that rotates the master key.
const othersEvery = 100 * time.Millisecond

func (s *sqliteSession) othersWrote() (bool, error) {
	if time.Since(s.versionAt) < othersEvery {
		return false, nil
	}
	s.versionAt = time.Now()
	before := s.version
	err := s.row("PRAGMA data_version", nil, []any{&s.version})
	return s.version != before, err
}

func (s *sqliteSession) commit(notices) error { return classify(s.run("COMMIT")) }

// rollback may come after SQLite has ended the transaction, so an error means nothing.
func (s *sqliteSession) rollback() { _ = s.run("ROLLBACK") }

func (s *sqliteSession) savepoint() error { return classify(s.run("SAVEPOINT op")) }
func (s *sqliteSession) undo() error      { return classify(s.run("ROLLBACK TO op")) }
func (s *sqliteSession) release() error   { return classify(s.run("RELEASE op")) }

func (s *sqliteSession) run(query string) error {
	stmt, err := s.prepared(query)
	if err != nil {
		return err
	}
	_, err = stmt.ExecContext(background)
	return err
}

func (s *sqliteSession) prepared(query string) (*sql.Stmt, error) {
	if stmt, ok := s.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(background, query)
	if err != nil {
		return nil, err
	}
	s.stmts[query] = stmt
	return stmt, nil
}

func (s *sqliteSession) exec(query string, args []any) (int64, error) {
	stmt, err := s.prepared(query)
	if err != nil {
		return 0, classify(err)
	}
	result, err := stmt.ExecContext(background, args...)
	if err != nil {
		return 0, classify(err)
	}
	return result.RowsAffected()
}

func (s *sqliteSession) later(query string, args []any) error {
	_, err := s.exec(query, args)
	return err
}

// ask refuses: a query of SQLite has no round trip that others could share.
func (s *sqliteSession) ask(*question) bool { return false }
func (s *sqliteSession) answer() error      { return nil }
func (s *sqliteSession) doubt()             {}

func (s *sqliteSession) row(query string, args, into []any) error {
	stmt, err := s.prepared(query)
	if err != nil {
		return classify(err)
	}
	err = stmt.QueryRowContext(background, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return classify(err)
}

func (s *sqliteSession) rows(query string, args []any, each func(scanner) error) error {
	stmt, err := s.prepared(query)
	if err != nil {
		return classify(err)
	}
	rows, err := stmt.QueryContext(background, args...)
	if err != nil {
		return classify(err)
	}
	return drain(rows, each)
}

func (s *sqliteSession) takeSealed(each func(sealedChange)) error {
	taken := false
	err := s.rows(selectSealedChanges, nil, scanChanges(func(c sealedChange) {
		taken = true
		each(c)
	}))
	if err == nil && taken {
		_, err = s.exec(deleteSealedChanges, nil)
	}
	return err
}

// holdSealed has nothing to do: the table of the connection keeps the changes.
func (s *sqliteSession) holdSealed() error { return nil }

// scrub moves all of the log into the database and truncates it.
func (s *sqliteSession) scrub() (err error) {
	if err := s.setBusyTimeout(scrubPatience); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.setBusyTimeout(busyTimeout)) }()
	var delayed, inLog, moved int
	row := s.conn.QueryRowContext(background, "PRAGMA wal_checkpoint(TRUNCATE)")
	if err := row.Scan(&delayed, &inLog, &moved); err != nil {
		return fmt.Errorf("truncate the log of the store: %w", classify(err))
	}
	if delayed != 0 {
		return fmt.Errorf("truncate the log of the store: %w: a reader holds it", store.ErrBusy)
	}
	return nil
}

func (s *sqliteSession) setBusyTimeout(d time.Duration) error {
	// A pragma takes no parameters.
	_, err := s.conn.ExecContext(background, fmt.Sprintf("PRAGMA busy_timeout=%d", d.Milliseconds()))
	return classify(err)
}

func (s *sqliteSession) settled() bool { return true }

func (s *sqliteSession) close() error {
	var errs []error
	for _, stmt := range s.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, s.conn.Close(), s.db.Close())...)
}

// sqliteReader has a few connections that read.
type sqliteReader struct {
	db *sql.DB

	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

// prepared gives the statement for a query, prepared once.
func (r *sqliteReader) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if stmt, ok := r.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := r.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, classify(err)
	}
	r.stmts[query] = stmt
	return stmt, nil
}

func (r *sqliteReader) read(ctx context.Context, query string, args []any, each func(scanner) error) error {
	stmt, err := r.prepared(ctx, query)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return classify(err)
	}
	return drain(rows, each)
}

func (r *sqliteReader) close() error { return r.db.Close() }
