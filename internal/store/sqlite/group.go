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
	// crowd is from how many executions leased here on a group waits for more
	// jobs, for lingerFor at most.
	crowd     = 6
	lingerFor = time.Millisecond
)

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
	jobs := w.linger(w.gather([]*job{first}, true))
	for len(jobs) > 0 {
		done, left, err := w.transaction(jobs)
		w.report(done, err)
		jobs = left
	}
}

// gather adds the jobs that wait to those of a transaction; see join.
func (w *writer) gather(jobs []*job, durable bool) []*job {
	for w.next == nil && len(jobs) < maxGroup {
		select {
		case j := <-w.jobs:
			jobs = w.join(jobs, j, durable)
		default:
			return jobs
		}
	}
	return jobs
}

// linger waits a moment for more jobs where so much is going on that some will
// come: they share a commit, which costs what many of them do. It ends when there
// are as many as lately, or none has come for twice the time in which one does.
func (w *writer) linger(jobs []*job) []*job {
	if len(w.leased) < crowd || w.gap > lingerFor || w.next != nil {
		return jobs
	}
	enough := min(w.usual, len(w.leased), maxGroup)
	if len(jobs) < enough {
		jobs = w.await(jobs, enough)
	}
	switch {
	case len(jobs) < enough && w.next == nil:
		w.usual, w.met = (w.usual+len(jobs))/2, 0
	case w.usual < maxGroup:
		if w.met++; w.met%8 == 0 {
			w.usual++ // perhaps there are more
		}
	}
	return jobs
}

// await waits for so many jobs, for no longer than is worth it.
func (w *writer) await(jobs []*job, enough int) []*job {
	begun := time.Now()
	timer := time.NewTimer(2 * w.gap)
	defer timer.Stop()
	for w.next == nil && len(jobs) < enough {
		select {
		case j := <-w.jobs:
			jobs = w.join(jobs, j, true)
			timer.Reset(min(2*w.gap, lingerFor-time.Since(begun)))
		case <-timer.C:
			return jobs
		case <-w.stop:
			return jobs
		}
	}
	return jobs
}

// came notes that a job has come, and how long that takes, about, in the mean of
// the last ones.
func (w *writer) came() {
	now := time.Now()
	w.gap += (min(now.Sub(w.last), 8*lingerFor) - w.gap) / 8
	w.last = now
}

// join adds a job that waits to those of a transaction, which is durable or not.
// One that may not be part of it is next.
func (w *writer) join(jobs []*job, j *job, durable bool) []*job {
	w.came()
	switch {
	case j.outside != nil || j.durability == survivesPowerLoss && !durable:
		w.next = j
	case j.state.CompareAndSwap(jobWaiting, jobTaken):
		jobs = append(jobs, j)
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
