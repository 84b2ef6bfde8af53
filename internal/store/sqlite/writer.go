package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/qhubctl/qhubctl/internal/store"
)

const (
	// maxGroup bounds the operations of one commit, so that the first of them
	// does not wait for ever longer.
	maxGroup = 128
	// scrubPatience is how long the log may be held by readers when it is to
	// be truncated. Nothing is written meanwhile, so it is short; a scrub
	// that was delayed is tried again.
	scrubPatience = 50 * time.Millisecond
)

// durability is what the commit of an operation has to survive.
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

	jobs    chan *job
	closing sync.Once
	stop    chan struct{} // closed by close
	stopped chan struct{} // closed when the goroutine has ended

	// What follows belongs to the goroutine alone.
	stmts      map[string]*sql.Stmt
	full       bool // the current setting of synchronous
	next       *job // taken, and of no group yet
	leased     leased
	scrubTimer *time.Timer // runs while the log may hold destroyed secrets
	scrubDue   bool
}

// A job is one operation on its way through the writer.
type job struct {
	durability durability
	run        func(*tx) error
	// outside, instead of run, is called between transactions.
	outside func() error

	state atomic.Int32
	tx    tx
	err   error
	done  chan struct{}
}

// The states of a job: its caller may withdraw it until the writer takes it.
const (
	jobWaiting int32 = iota
	jobTaken
	jobWithdrawn
)

func newWriter(ctx context.Context, db *sql.DB, signals *store.Signals, options Options) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, classify(err)
	}
	w := &writer{
		db: db, conn: conn, signals: signals, now: options.Now, full: true,
		scrubAfter: cmp.Or(options.ScrubAfter, 2*time.Second),
		committed:  options.Committed,
		jobs:       make(chan *job),
		stop:       make(chan struct{}),
		stopped:    make(chan struct{}),
		stmts:      map[string]*sql.Stmt{},
		leased:     leased{},
	}
	if w.now == nil {
		w.now = time.Now
	}
	w.scrubTimer = time.NewTimer(w.scrubAfter)
	// A process that was killed may have left destroyed secrets in the log.
	w.scrubDue = true
	go w.loop()
	return w, nil
}

// do runs an operation and returns once it is committed. An operation that
// fails is undone, and with it only its own writes. Results that it has set
// count only if do returns nil: the commit may fail after it.
func (w *writer) do(ctx context.Context, d durability, run func(*tx) error) error {
	return w.submit(ctx, &job{durability: d, run: run, done: make(chan struct{})})
}

func (w *writer) submit(ctx context.Context, j *job) error {
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.stop:
		return store.ErrClosed
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.state.CompareAndSwap(jobWaiting, jobWithdrawn) {
			return ctx.Err()
		}
		// It is being written: only the outcome tells the truth, and it
		// comes soon.
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
			case first = <-w.jobs:
			case <-w.scrubTimer.C:
				if w.scrubDue {
					// An error means that it is tried again.
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

// group runs first and what else waits, in one transaction if none fails.
func (w *writer) group(first *job) {
	if !first.state.CompareAndSwap(jobWaiting, jobTaken) {
		return
	}
	if first.outside != nil {
		first.err = first.outside()
		close(first.done)
		return
	}
	// All that waits already, so that what one of them has to survive is known
	// before the transaction begins.
	jobs := w.gather([]*job{first}, true)
	for len(jobs) > 0 {
		done, left, err := w.transaction(jobs)
		w.report(done, err)
		jobs = left
	}
}

// gather adds the jobs that wait to those of a transaction, which is durable or
// not. A job that may not be part of it is next.
func (w *writer) gather(jobs []*job, durable bool) []*job {
	for w.next == nil && len(jobs) < maxGroup {
		select {
		case j := <-w.jobs:
			switch {
			case j.outside != nil || j.durability == survivesPowerLoss && !durable:
				w.next = j
			case j.state.CompareAndSwap(jobWaiting, jobTaken):
				jobs = append(jobs, j)
			}
		default:
			return jobs
		}
	}
	return jobs
}

// transaction runs jobs, and what comes meanwhile, and commits. Where that ends
// early, some are left.
func (w *writer) transaction(jobs []*job) (done, left []*job, err error) {
	full := slices.ContainsFunc(jobs, func(j *job) bool { return j.durability == survivesPowerLoss })
	if err := w.begin(full); err != nil {
		return jobs, nil, err
	}
	for i := 0; i < len(jobs); i++ {
		run := w.runJob
		if i == 0 {
			// With the first the transaction is undone, of which nothing else
			// is a part yet: it needs no savepoint.
			run = w.runAlone
		}
		if err := run(jobs[i]); err != nil || i == 0 && jobs[i].err != nil {
			w.rollback()
			return jobs[:i+1], jobs[i+1:], err
		}
		if i+1 == len(jobs) {
			jobs = w.gather(jobs, w.full)
		}
	}
	begun := time.Now()
	if err := w.exec("COMMIT"); err != nil {
		w.rollback()
		return jobs, nil, classify(err)
	}
	if w.committed != nil {
		w.committed(time.Since(begun))
	}
	return jobs, nil, nil
}

// runJob runs one job under a savepoint. The error it returns is one that
// ends the whole transaction; that of the job alone is kept in the job.
func (w *writer) runJob(j *job) error {
	if err := w.exec("SAVEPOINT job"); err != nil {
		return classify(err)
	}
	if err := w.runAlone(j); err != nil {
		return err
	}
	if j.err != nil {
		if err := w.exec("ROLLBACK TO job"); err != nil {
			// SQLite has ended the transaction itself, as it does when the
			// disk is full: what the job met is the cause.
			return j.err
		}
	}
	return classify(w.exec("RELEASE job"))
}

// runAlone is runJob without the savepoint.
func (w *writer) runAlone(j *job) error {
	j.tx = tx{w: w, now: w.now()}
	if j.err = j.run(&j.tx); j.err == nil {
		return nil
	}
	j.tx.forget()
	if errors.Is(j.err, store.ErrIO) || errors.Is(j.err, store.ErrCorrupt) {
		return j.err // nothing that was read or written can be relied on
	}
	return nil
}

// report tells the callers of a group how it ended, and those who watch what
// has changed.
func (w *writer) report(group []*job, err error) {
	queue := false
	for _, j := range group {
		switch {
		case err != nil:
			j.err = err
			// Pages of the group may stand in the log, sealed secrets among
			// them.
			w.scrubLater()
		case j.err == nil:
			queue = queue || j.tx.queue
			for _, id := range j.tx.changed {
				w.signals.ExecutionChanged(id)
			}
			if j.tx.destroyed {
				w.scrubLater()
			}
		}
		close(j.done)
	}
	if queue {
		w.signals.QueueChanged()
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
	return classify(w.exec("BEGIN IMMEDIATE"))
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

// background is the context of all statements of the writer. One that can
// end would cost a goroutine each time, and a write is short.
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

// close ends the goroutine after the group it is at. Later calls do nothing.
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
