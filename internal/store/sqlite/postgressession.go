package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/qhubctl/qhubctl/internal/store"
)

const (
	// transactionTimeout ends a transaction whose server does not answer any more.
	transactionTimeout = 30 * time.Second
	// reconnectDelay is the time between two attempts to connect.
	reconnectDelay = 100 * time.Millisecond
	// settleTime is how long leases are left alone after the server was away: longer than
	// the interval in which their owners extend them.
	settleTime = 10 * time.Second
	// writerLock is the first key of the advisory lock of all that writes.
	writerLock = 0x71687562
	// maxPending bounds the statements of one round trip.
	maxPending = 64
	// notifySize is the most bytes of a notification. Postgres takes fewer than 8000.
	notifySize = 7000
)

// beginTransaction takes the right to write, as BEGIN IMMEDIATE does in SQLite: the
// processes of one schema write one after the other. So a transaction that checks and then
// writes needs no other isolation, and none is repeated. The number of the transaction
// shows later whether its commit has happened. The settings end with the transaction, so
// they pass through a pooler; they end a process that stops in the middle of one.
const beginTransaction = `SELECT txid_current(), set_config('synchronous_commit', CASE WHEN $1 THEN current_setting('synchronous_commit') ELSE 'off' END, true),
	set_config('idle_in_transaction_session_timeout', '15s', true), set_config('lock_timeout', '10s', true), set_config('` + notedChanges + `', '', true),
	pg_advisory_xact_lock($2, hashtext(current_schema()))::text`

// postgresSession is the connection of a writer to Postgres. Statements without a result,
// such as SAVEPOINT, wait for the next one and share its round trip.
type postgresSession struct {
	p *postgres
	// listener knows whether another store listens. Nil: it is not there yet.
	listener atomic.Pointer[listener]
	conn     *pgx.Conn // nil: none
	pending  []step
	sent     bool      // of the transaction
	number   int64     // of the transaction
	since    time.Time // the connection is lost; zero: it is not
	back     time.Time // it was lost, and is there again since then
	// ahead is how far the clock of the server is ahead.
	ahead time.Duration
	held  heldChanges
	// eager counts the transactions, from this one on, that defer no statement.
	eager int
	ctx   context.Context //nolint:containedctx // of the transaction, whose statements the session sends
	end   context.CancelFunc
}

// A step is a statement that is not sent yet.
type step struct {
	query    string
	args     []any
	into     []any
	deferred bool // of an operation that did not wait for its outcome
	question *question
}

func (s *postgresSession) connect(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, s.p.conn)
	if err != nil {
		return s.p.classify(err)
	}
	begun := time.Now()
	var micros int64
	if err := conn.QueryRow(ctx, "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)").Scan(&micros); err != nil {
		return s.p.classify(errors.Join(err, conn.Close(ctx)))
	}
	s.ahead = time.UnixMicro(micros).Sub(begun) - time.Since(begun)/2
	s.conn = conn
	return nil
}

// now is the time of the server: leases are compared by processes whose clocks differ.
func (s *postgresSession) now() time.Time { return time.Now().Add(s.ahead) }

func (s *postgresSession) settled() bool { return s.back.IsZero() || time.Since(s.back) > settleTime }

func (s *postgresSession) begin(full bool) error {
	s.finish()
	s.held.begin()
	s.eager = max(0, s.eager-1)
	s.renew()
	if err := s.reconnect(); err != nil {
		return err
	}
	s.pending = append(s.pending, step{query: "BEGIN"},
		step{query: beginTransaction, args: []any{full, writerLock}, into: []any{&s.number, nil, nil, nil, nil, nil}})
	return nil
}

// renew gives the next statements the time of a transaction.
func (s *postgresSession) renew() {
	if s.end != nil {
		s.end()
	}
	s.ctx, s.end = context.WithTimeout(background, transactionTimeout)
}

// finish forgets a transaction.
func (s *postgresSession) finish() {
	if s.end != nil {
		s.end()
	}
	s.pending, s.sent, s.number, s.end = s.pending[:0], false, 0, nil
}

// reconnect connects unless there is a connection.
func (s *postgresSession) reconnect() error {
	if s.conn != nil && !s.conn.IsClosed() {
		return nil
	}
	err := s.connect(s.ctx)
	if err == nil {
		s.since, s.back = time.Time{}, time.Now()
		return nil
	}
	err = s.lost(err)
	if repeatable(err) {
		<-time.After(reconnectDelay)
	}
	return err
}

// lost deals with an error after which the transaction does not exist any more. For as
// long as the store is patient, it can be repeated.
func (s *postgresSession) lost(err error) error {
	if s.conn != nil {
		ctx, end := context.WithTimeout(background, time.Second)
		_ = s.conn.Close(ctx)
		end()
		s.conn = nil
	}
	if s.since.IsZero() {
		s.since = time.Now()
	}
	if time.Since(s.since) < s.p.patience {
		return &repeatableError{err}
	}
	return err
}

// failed gives an error of a statement its kind.
func (s *postgresSession) failed(err error) error {
	err = s.p.classify(err)
	if s.ctx.Err() != nil {
		err = fmt.Errorf("%w: no answer within %v", store.ErrUnavailable, transactionTimeout)
	}
	if errors.Is(err, store.ErrUnavailable) {
		return s.lost(err)
	}
	return err
}

// send sends a statement, after those that wait, and passes its rows on.
func (s *postgresSession) send(query string, args []any, take func(pgx.Rows) error) error {
	if s.conn == nil {
		return s.lost(store.ErrUnavailable)
	}
	err := s.exchange(inPostgres(query), args, take)
	if err == nil || errors.Is(err, store.ErrNotFound) {
		return err
	}
	return s.failed(err)
}

func (s *postgresSession) exchange(query string, args []any, take func(pgx.Rows) error) (err error) {
	if len(s.pending) == 0 && query != "" {
		rows, err := s.conn.Query(s.ctx, query, args...)
		if err != nil {
			return err
		}
		return closed(rows, take(rows))
	}
	batch := &pgx.Batch{}
	for _, step := range s.pending {
		batch.Queue(step.query, step.args...)
	}
	if query != "" {
		batch.Queue(query, args...)
	}
	steps := s.pending
	s.pending, s.sent = nil, true
	results := s.conn.SendBatch(s.ctx, batch)
	defer func() {
		if end := results.Close(); err == nil {
			err = end
		}
	}()
	for _, step := range steps {
		if step.into == nil {
			_, err = results.Exec()
		} else {
			err = results.QueryRow().Scan(step.into...)
		}
		if q := step.question; q != nil {
			if q.missing = errors.Is(err, pgx.ErrNoRows); q.missing {
				err = nil
			}
		}
		if err != nil && step.deferred && !errors.Is(s.p.classify(err), store.ErrUnavailable) {
			s.eager = 2
			return &repeatableError{err}
		}
		if err != nil {
			return err
		}
	}
	if query == "" {
		return nil
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	return closed(rows, take(rows))
}

func (s *postgresSession) ask(q *question) bool {
	if s.eager > 0 {
		return false
	}
	s.pending = append(s.pending, step{query: inPostgres(q.query), args: q.args, into: q.into, deferred: true, question: q})
	return true
}

func (s *postgresSession) answer() error {
	if !slices.ContainsFunc(s.pending, func(p step) bool { return p.question != nil }) {
		return nil
	}
	if s.conn == nil {
		return s.lost(store.ErrUnavailable)
	}
	if err := s.exchange("", nil, nil); err != nil {
		return s.failed(err)
	}
	return nil
}

func (s *postgresSession) doubt() { s.eager = 2 }

// closed closes rows; an error of theirs comes first.
func closed(rows pgx.Rows, err error) error {
	rows.Close()
	if failed := rows.Err(); failed != nil {
		return failed
	}
	return err
}

func (s *postgresSession) exec(query string, args []any) (n int64, err error) {
	err = s.send(query, args, func(rows pgx.Rows) error {
		rows.Close()
		n = rows.CommandTag().RowsAffected()
		return nil
	})
	return n, err
}

func (s *postgresSession) later(query string, args []any) error {
	if s.eager > 0 || len(s.pending) >= maxPending {
		_, err := s.exec(query, args)
		return err
	}
	s.pending = append(s.pending, step{query: inPostgres(query), args: args, deferred: true})
	return nil
}

func (s *postgresSession) row(query string, args, into []any) error {
	return s.send(query, args, func(rows pgx.Rows) error {
		if !rows.Next() {
			return store.ErrNotFound
		}
		return rows.Scan(into...)
	})
}

func (s *postgresSession) rows(query string, args []any, each func(scanner) error) error {
	return s.send(query, args, func(rows pgx.Rows) error { return drainPostgres(rows, each) })
}

// drainPostgres calls each for all rows.
func drainPostgres(rows pgx.Rows, each func(scanner) error) error {
	for rows.Next() {
		if err := each(rows); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (s *postgresSession) savepoint() error {
	return s.wait("SAVEPOINT op")
}

func (s *postgresSession) undo() error {
	if s.conn == nil {
		return s.lost(store.ErrUnavailable)
	}
	return s.wait("ROLLBACK TO op")
}

func (s *postgresSession) release() error {
	if n := len(s.pending); n > 0 && s.pending[n-1].query == "SAVEPOINT op" {
		s.pending = s.pending[:n-1] // nothing came between
		return nil
	}
	return s.wait("RELEASE op")
}

func (s *postgresSession) wait(query string) error {
	s.pending = append(s.pending, step{query: query})
	return nil
}

func (s *postgresSession) rollback() {
	defer s.finish()
	s.held.begin()
	if !s.sent || s.conn == nil {
		return
	}
	if _, err := s.conn.Exec(s.ctx, "ROLLBACK"); err != nil {
		_ = s.lost(err)
	}
}

// scrub does nothing: Postgres overwrites deleted rows when it vacuums.
func (s *postgresSession) scrub() error { return nil }

func (s *postgresSession) close() error {
	s.finish()
	if s.conn == nil {
		return nil
	}
	ctx, end := context.WithTimeout(background, time.Second)
	defer end()
	return s.conn.Close(ctx)
}
