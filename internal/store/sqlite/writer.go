package sqlite

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/store"
)

// durability is the failure that the commit of an operation must survive.
type durability bool

const (
	survivesCrash     durability = false // of the process
	survivesPowerLoss durability = true
)

// A writer runs all operations that write, one group after the other.
type writer struct {
	session    session
	now        func() time.Time
	signals    *store.Signals
	scrubAfter time.Duration
	committed  func(time.Duration)
	// patience is how long a group is repeated that a conflict or a lost connection
	// has ended.
	patience time.Duration

	secrets secretCache

	ops     chan *op
	closing sync.Once
	stop    chan struct{} // closed by close
	stopped chan struct{} // closed when the goroutine has ended

	// The following fields belong to the goroutine alone.
	full        bool          // the current transaction survives a loss of power
	next        *op           // taken, and in no group yet
	last        time.Time     // the arrival of the last operation
	meanGap     time.Duration // between two arrivals, about
	targetBatch int           // the size at which a waiting group commits
	fullBatches int           // how often groups reached that size
	leased      leased
	signing     signing
	pinned      bool        // executions of this process may have pinned secrets
	several     bool        // other processes write, too, and may have pinned secrets
	scrubTimer  *time.Timer // runs while the log may hold destroyed secrets
	scrubDue    bool
}

// An op is one operation on its way through the writer.
type op struct {
	durability durability
	run        func(*tx) error
	// outside, instead of run, is called between transactions.
	outside func() error
	// ask, unless it is nil, returns the question that may do the same as run; nil: none.
	ask      func(*tx) *question
	question *question

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

func newWriter(session session, signals *store.Signals, options Options) (*writer, error) {
	w := &writer{
		session: session, signals: signals, now: options.Now,
		scrubAfter:  cmp.Or(options.ScrubAfter, 2*time.Second),
		committed:   options.Committed,
		several:     options.several,
		patience:    options.patience,
		ops:         make(chan *op),
		stop:        make(chan struct{}),
		stopped:     make(chan struct{}),
		leased:      leased{},
		targetBatch: maxGroup,
	}
	w.secrets.off = w.several
	if w.now == nil {
		w.now = time.Now
	}
	if !w.several {
		if err := session.row(selectPinned, nil, []any{&w.pinned}); err != nil {
			return nil, errors.Join(err, session.close())
		}
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
	w.full = full
	if err := w.session.begin(full); err != nil {
		return err
	}
	others, err := w.session.othersWrote()
	if err != nil {
		w.session.rollback()
		return err
	}
	if others {
		w.signing.sealed = -1
		w.secrets.empty()
	}
	return nil
}

func (w *writer) scrubLater() {
	if !w.scrubDue {
		w.scrubDue = true
		w.scrubTimer.Reset(w.scrubAfter)
	}
}

// scrub makes the bytes of destroyed secrets unreadable in the files.
func (w *writer) scrub() error {
	w.scrubDue = false
	err := w.session.scrub()
	if err != nil {
		w.scrubLater()
	}
	return err
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
	return errors.Join(append(errs, w.session.close())...)
}
