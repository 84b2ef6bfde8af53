package sqlite

import (
	"errors"
	"slices"
	"time"

	"github.com/qhubctl/qhubctl/internal/store"
)

const (
	// maxGroup bounds the operations of one commit, so that the first of them
	// does not wait for ever longer.
	maxGroup = 128
	// commitSiblings is from how many executions leased here on a group waits for more
	// operations, for commitDelay at most.
	commitSiblings = 6
	commitDelay    = time.Millisecond
)

// group runs first and what else waits, in one transaction if none fails.
func (w *writer) group(first *op) {
	if !first.state.CompareAndSwap(opWaiting, opTaken) {
		return
	}
	if first.outside != nil {
		first.err = first.outside()
		close(first.done)
		return
	}
	// All that waits already, so that what one of them has to survive is known
	// before the transaction begins.
	ops := w.delayCommit(w.gather([]*op{first}, true))
	for len(ops) > 0 {
		done, left, err := w.transaction(ops)
		w.report(done, err)
		ops = left
	}
}

// gather adds the operations that wait to those of a transaction; see join.
func (w *writer) gather(ops []*op, durable bool) []*op {
	for w.next == nil && len(ops) < maxGroup {
		select {
		case j := <-w.ops:
			ops = w.join(ops, j, durable)
		default:
			return ops
		}
	}
	return ops
}

// delayCommit waits a moment for more operations where so much is going on that some will
// come: they share a commit, which costs what many of them do. It ends when there
// are as many as lately, or none has come for twice the time in which one does.
func (w *writer) delayCommit(ops []*op) []*op {
	if len(w.leased) < commitSiblings || w.meanGap > commitDelay || w.next != nil {
		return ops
	}
	enough := min(w.targetBatch, len(w.leased), maxGroup)
	if len(ops) < enough {
		ops = w.await(ops, enough)
	}
	switch {
	case len(ops) < enough && w.next == nil:
		w.targetBatch, w.fullBatches = (w.targetBatch+len(ops))/2, 0
	case w.targetBatch < maxGroup:
		if w.fullBatches++; w.fullBatches%8 == 0 {
			w.targetBatch++ // perhaps there are more
		}
	}
	return ops
}

// await waits for so many operations, for no longer than is worth it.
func (w *writer) await(ops []*op, enough int) []*op {
	begun := time.Now()
	timer := time.NewTimer(2 * w.meanGap)
	defer timer.Stop()
	for w.next == nil && len(ops) < enough {
		select {
		case j := <-w.ops:
			ops = w.join(ops, j, true)
			timer.Reset(min(2*w.meanGap, commitDelay-time.Since(begun)))
		case <-timer.C:
			return ops
		case <-w.stop:
			return ops
		}
	}
	return ops
}

// observeArrival notes that an operation has come, and how long that takes, about, in the mean of
// the last ones.
func (w *writer) observeArrival() {
	now := time.Now()
	w.meanGap += (min(now.Sub(w.last), 8*commitDelay) - w.meanGap) / 8
	w.last = now
}

// join adds an operation that waits to those of a transaction, which is durable or not.
// One that may not be part of it is next.
func (w *writer) join(ops []*op, j *op, durable bool) []*op {
	w.observeArrival()
	switch {
	case j.outside != nil || j.durability == survivesPowerLoss && !durable:
		w.next = j
	case j.state.CompareAndSwap(opWaiting, opTaken):
		ops = append(ops, j)
	}
	return ops
}

// transaction runs operations, and what comes meanwhile, and commits. Where that ends
// early, some are left.
func (w *writer) transaction(ops []*op) (done, left []*op, err error) {
	full := slices.ContainsFunc(ops, func(j *op) bool { return j.durability == survivesPowerLoss })
	if err := w.begin(full); err != nil {
		return ops, nil, err
	}
	for i := 0; i < len(ops); i++ {
		run := w.runOp
		if i == 0 {
			// With the first the transaction is undone, of which nothing else
			// is a part yet: it needs no savepoint.
			run = w.runAlone
		}
		if err := run(ops[i]); err != nil || i == 0 && ops[i].err != nil {
			w.rollback()
			return ops[:i+1], ops[i+1:], err
		}
		if i+1 == len(ops) {
			ops = w.gather(ops, w.full)
		}
	}
	begun := time.Now()
	if err := w.exec("COMMIT"); err != nil {
		w.rollback()
		return ops, nil, classify(err)
	}
	if w.committed != nil {
		w.committed(time.Since(begun))
	}
	return ops, nil, nil
}

// runOp runs one operation under a savepoint. The error it returns is one that
// ends the whole transaction; that of the operation alone is kept in the operation.
func (w *writer) runOp(j *op) error {
	if err := w.exec("SAVEPOINT op"); err != nil {
		return classify(err)
	}
	if err := w.runAlone(j); err != nil {
		return err
	}
	if j.err != nil {
		if err := w.exec("ROLLBACK TO op"); err != nil {
			// SQLite has ended the transaction itself, as it does when the
			// disk is full: what the operation met is the cause.
			return j.err
		}
	}
	return classify(w.exec("RELEASE op"))
}

// runAlone is runJob without the savepoint.
func (w *writer) runAlone(j *op) error {
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
func (w *writer) report(group []*op, err error) {
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
