package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/store"
)

// scrubPatience is how long a truncation of the log waits for readers. The
// writer writes nothing meanwhile, so it is short. A delayed scrub is tried
// again.
const scrubPatience = 50 * time.Millisecond

// durability is the failure that the commit of an operation must survive.
type durability bool

const (
	survivesCrash     durability = false // of the process
	survivesPowerLoss durability = true
)

// A writer runs all operations that write, one group after the other.
type writer struct {
	db         *sql.DB
	conn       *sql.Conn
	now        func() time.Time
	signals    *store.Signals
	scrubAfter time.Duration
	committed  func(time.Duration)

	secrets secretCache

	ops     chan *op
	closing sync.Once
	stop    chan struct{} // closed by close
	stopped chan struct{} // closed when the goroutine has ended

	// The following fields belong to the goroutine alone.
	stmts       map[string]*sql.Stmt
	full        bool          // the current setting of synchronous
	next        *op           // taken, and in no group yet
	last        time.Time     // the arrival of the last operation
	meanGap     time.Duration // between two arrivals, about
	targetBatch int           // the size at which a waiting group commits
	fullBatches int           // how often groups reached that size
	leased      leased
	signing     signing
	pinned      bool        // executions may have pinned secrets
	version     int64       // changes with the commits of other processes
	versionAt   time.Time   // when it was read
	scrubTimer  *time.Timer // runs while the log may hold destroyed secrets
	scrubDue    bool
}

// An op is one operation on its way through the writer.
type op struct {
	durability durability
	run        func(*tx) error
	// outside, instead of run, is called between transactions.
	outside func() error

	state atomic.Int32
	tx    tx
	err   error
	done  chan struct{}
}

// The states of an operation: its caller may withdraw it until the writer takes it.
const (
	opWaiting int32 = iota
	opTaken
	opWithdrawn
)

func newWriter(ctx context.Context, db *sql.DB, signals *store.Signals, options Options) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, classify(err)
	}
	w := &writer{
		db: db, conn: conn, signals: signals, now: options.Now, full: true,
		scrubAfter:  cmp.Or(options.ScrubAfter, 2*time.Second),
		committed:   options.Committed,
		ops:         make(chan *op),
		stop:        make(chan struct{}),
		stopped:     make(chan struct{}),
		stmts:       map[string]*sql.Stmt{},
		leased:      leased{},
		targetBatch: maxGroup,
	}
	if w.now == nil {
		w.now = time.Now
	}
	if _, err := conn.ExecContext(ctx, createSealedChanges()); err != nil {
		return nil, errors.Join(classify(err), conn.Close())
	}
	if err := conn.QueryRowContext(ctx, selectPinned).Scan(&w.pinned); err != nil {
		return nil, errors.Join(classify(err), conn.Close())
	}
	w.scrubTimer = time.NewTimer(w.scrubAfter)
	// A process that was killed may have left destroyed secrets in the log.
	w.scrubDue = true
	go w.loop()
	return w, nil
}

// do runs an operation and returns once it is committed. An operation that
// fails is undone, and with it only its own writes. Results that it has set
// count only if do returns nil: the commit may fail after it. The first operation of a
// context with an audit record that survives a loss of power writes its entry, and each
// operation of a context with uses writes these.
func (w *writer) do(ctx context.Context, d durability, run func(*tx) error) error {
	for _, e := range audit.Uses(ctx) {
		run = audited(run, e)
	}
	record := audit.From(ctx)
	if record == nil || d != survivesPowerLoss {
		return w.submit(ctx, &op{durability: d, run: run, done: make(chan struct{})})
	}
	entry, due := record.Entry()
	if due {
		run = audited(run, entry)
	}
	err := w.submit(ctx, &op{durability: d, run: run, done: make(chan struct{})})
	if err == nil && due {
		record.Written()
	}
	return err
}

func (w *writer) submit(ctx context.Context, j *op) error {
	select {
	case w.ops <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.stop:
		return store.ErrClosed
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.state.CompareAndSwap(opWaiting, opWithdrawn) {
			return ctx.Err()
		}
		// The writer has it already: only the outcome says what happened, and
		// it comes soon.
		<-j.done
	}
	return j.err
}

func (w *writer) loop() {
	defer close(w.stopped)
	for {
		first := w.next
		w.next = nil
		if first == nil {
			select {
			case first = <-w.ops:
				w.observeArrival()
			case <-w.scrubTimer.C:
				if w.scrubDue {
					// After an error it is tried again.
					_ = w.scrub()
				}
				continue
			case <-w.stop:
				return
			}
		}
		w.group(first)
	}
}

// begin starts a transaction with the right to write.
func (w *writer) begin(full bool) error {
	if full != w.full {
		setting := "PRAGMA synchronous=NORMAL"
		if full {
			setting = "PRAGMA synchronous=FULL"
		}
		if err := w.exec(setting); err != nil {
			return classify(err)
		}
		w.full = full
	}
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return classify(err)
	}
	return w.noteOthers()
}

// othersEvery is how often the writer looks for changes of other processes, such as a
// program that rotates the master key.
const othersEvery = 100 * time.Millisecond

// noteOthers empties the cache of secrets if another process has changed the database.
func (w *writer) noteOthers() error {
	if time.Since(w.versionAt) < othersEvery {
		return nil
	}
	w.versionAt = time.Now()
	t, before := tx{w: w}, w.version
	if err := t.row("PRAGMA data_version", nil, &w.version); err != nil {
		w.rollback()
		return err
	}
	if w.version != before {
		w.signing.sealed = -1
		w.secrets.empty()
	}
	return nil
}

// rollback ends a transaction that cannot be committed. SQLite may have ended
// it already, so an error means nothing.
func (w *writer) rollback() { _ = w.exec("ROLLBACK") }

func (w *writer) exec(query string) error {
	stmt, err := w.prepared(query)
	if err != nil {
		return err
	}
	_, err = stmt.ExecContext(background)
	return err
}

// background is the context of all statements of the writer. A context that
// can end would cost a goroutine each time, and a write is short.
var background = context.Background()

func (w *writer) prepared(query string) (*sql.Stmt, error) {
	if stmt, ok := w.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := w.conn.PrepareContext(background, query)
	if err != nil {
		return nil, err
	}
	w.stmts[query] = stmt
	return stmt, nil
}

func (w *writer) scrubLater() {
	if !w.scrubDue {
		w.scrubDue = true
		w.scrubTimer.Reset(w.scrubAfter)
	}
}

// scrub moves all of the log into the database and truncates it.
func (w *writer) scrub() (err error) {
	w.scrubDue = false
	defer func() {
		if err != nil {
			w.scrubLater()
		}
	}()
	if err := w.setBusyTimeout(scrubPatience); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.setBusyTimeout(busyTimeout)) }()
	var delayed, inLog, moved int
	row := w.conn.QueryRowContext(background, "PRAGMA wal_checkpoint(TRUNCATE)")
	if err := row.Scan(&delayed, &inLog, &moved); err != nil {
		return fmt.Errorf("truncate the log of the store: %w", classify(err))
	}
	if delayed != 0 {
		return fmt.Errorf("truncate the log of the store: %w: a reader holds it", store.ErrBusy)
	}
	return nil
}

func (w *writer) setBusyTimeout(d time.Duration) error {
	// A pragma takes no parameters.
	_, err := w.conn.ExecContext(background, fmt.Sprintf("PRAGMA busy_timeout=%d", d.Milliseconds()))
	return classify(err)
}

// close ends the goroutine after its current group. Later calls do nothing.
func (w *writer) close() (err error) {
	w.closing.Do(func() {
		close(w.stop)
		<-w.stopped
		err = w.release()
	})
	return err
}

// release gives up the connection, once the goroutine has ended.
func (w *writer) release() error {
	var errs []error
	if w.scrubDue {
		// A reader in another process may delay it; the next start catches up.
		if err := w.scrub(); err != nil && !errors.Is(err, store.ErrBusy) {
			errs = append(errs, err)
		}
	}
	w.scrubTimer.Stop()
	for _, stmt := range w.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, w.conn.Close(), w.db.Close())...)
}
