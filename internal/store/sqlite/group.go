package sqlite

import (
	"slices"
	"time"
)

const (
	// maxGroup bounds the operations of one commit, so that the first of them
	// does not wait without bound.
	maxGroup = 128
	// commitSiblings is the number of executions leased here from which a group waits
	// up to commitDelay for more operations.
	commitSiblings = 6
	commitDelay    = time.Millisecond
)

// group runs first and all waiting operations, in one transaction if none fails.
func (w *writer) group(first *op) {
	if !first.state.CompareAndSwap(opWaiting, opTaken) {
		return
	}
	if first.outside != nil {
		first.err = first.outside()
		close(first.done)
		return
	}
	// Collect all waiting operations first: the strictest of them decides the
	// durability of the transaction.
	ops := w.delayCommit(w.collect([]*op{first}, true))
	begun := time.Now()
	for len(ops) > 0 {
		done, left, err := w.transaction(ops)
		if repeatable(err) && time.Since(begun) < w.patience {
			ops = slices.Concat(done, left)
			continue
		}
		w.report(done, err)
		ops = left
	}
}

// noticesOf collects what other processes learn of a transaction.
func noticesOf(ops []*op) (n notices) {
	for _, j := range ops {
		if j.err == nil {
			n.queue = n.queue || j.tx.queue
			n.changed = append(n.changed, j.tx.changed...)
		}
	}
	return n
}

// collect adds the waiting operations to those of a transaction; see join.
func (w *writer) collect(ops []*op, durable bool) []*op {
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

// delayCommit waits a moment for more operations while enough executions are in
// flight, so that they share one commit. It ends when there are as many as in
// recent groups, or when none has come for twice the mean gap between two.
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

// observeArrival records the arrival of an operation in the mean gap between the
// last ones.
func (w *writer) observeArrival() {
	now := time.Now()
	w.meanGap += (min(now.Sub(w.last), 8*commitDelay) - w.meanGap) / 8
	w.last = now
}

// join adds a waiting operation to those of a transaction, which is durable or
// not. An operation that needs another durability becomes w.next.
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

// transaction runs operations and those that arrive meanwhile, and commits. If it
// ends early, it returns the operations that it left.
func (w *writer) transaction(ops []*op) (done, left []*op, err error) {
	committed := false
	defer func() { w.headsCommitted(committed) }()
	full := slices.ContainsFunc(ops, func(j *op) bool { return j.durability == survivesPowerLoss })
	if err := w.begin(full); err != nil {
		return ops, nil, err
	}
	var asked []*op
	for i := 0; i < len(ops); i++ {
		run := w.runOp
		if i == 0 {
			// If the first fails, the transaction is rolled back. It holds nothing
			// else yet, so the first needs no savepoint.
			run = w.runAlone
		}
		if w.asks(ops[i]) {
			asked = append(asked, ops[i])
		} else if err := run(ops[i]); err != nil || i == 0 && ops[i].err != nil {
			w.session.rollback()
			return ops[:i+1], ops[i+1:], err
		}
		if i+1 == len(ops) {
			ops = w.collect(ops, w.full)
		}
	}
	if err := w.answer(asked); err != nil {
		w.session.rollback()
		return ops, nil, err
	}
	steady := !slices.ContainsFunc(ops, func(j *op) bool { return !j.tx.steady })
	if err := w.signHeads(steady); err != nil {
		w.session.rollback()
		return ops, nil, err
	}
	begun := time.Now()
	if err := w.session.commit(noticesOf(ops)); err != nil {
		w.session.rollback()
		return ops, nil, err
	}
	committed = true
	if w.committed != nil {
		w.committed(time.Since(begun))
	}
	return ops, nil, nil
}

// runOp runs one operation under a savepoint. It returns an error only if the
// whole transaction has ended; an error of the operation alone is kept in it.
func (w *writer) runOp(j *op) error {
	if err := w.session.savepoint(); err != nil {
		return err
	}
	if err := w.runAlone(j); err != nil {
		return err
	}
	if j.err != nil {
		if err := w.session.undo(); err != nil {
			// SQLite has ended the transaction, as it does when the disk is
			// full: the error of the operation is the cause.
			return j.err
		}
	}
	return w.session.release()
}

// runAlone is runOp without the savepoint.
func (w *writer) runAlone(j *op) error {
	j.tx = tx{w: w, now: w.now()}
	if j.err = j.run(&j.tx); j.err == nil {
		return nil
	}
	j.tx.forget()
	w.signing.undone()
	if endsTransaction(j.err) {
		return j.err // the transaction is over, its reads and writes do not count
	}
	return nil
}

// report notifies the callers of a group of its outcome, and the watchers of its
// changes.
func (w *writer) report(group []*op, err error) {
	queue, steady := false, true
	for _, j := range group {
		steady = steady && (j.err != nil || j.tx.steady)
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
	}
	if !steady {
		w.secrets.empty()
	}
	if queue {
		w.signals.QueueChanged()
	}
	for _, j := range group {
		close(j.done) // a caller that goes on finds its token in the watches
	}
}
