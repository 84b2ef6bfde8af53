package engine

import (
	"context"
	"errors"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/store"
)

// retentionInterval is how often the engine removes executions whose retention
// time is over.
const retentionInterval = 10 * time.Minute

// tryTakeSlot takes a slot if one is free.
func (e *Engine) tryTakeSlot() bool {
	select {
	case <-e.slots:
		return true
	default:
		return false
	}
}

// returnSlots gives slots back, and wakes the claim loop if work may wait for them.
func (e *Engine) returnSlots(n int) {
	for range n {
		e.slots <- struct{}{}
	}
	if e.maybePending.Load() {
		notify(e.wake)
	}
}

// every calls f once per interval until ctx ends.
func every(ctx context.Context, interval time.Duration, f func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f()
		case <-ctx.Done():
			return
		}
	}
}

// claimLoop claims waiting executions whenever a slot is free. It asks the store
// nothing while it knows that no execution waits.
func (e *Engine) claimLoop() {
	watch := e.store.WatchQueue()
	defer watch.Stop()
	poll := time.NewTicker(e.config.Poll)
	defer poll.Stop()
	for {
		var err error
		select {
		case <-watch.C:
			e.maybePending.Store(true)
		case <-e.wake:
		case <-poll.C: // other processes accept executions without a signal
			err = e.lookForWaiting()
		case <-e.begin.Done():
			return
		}
		if err == nil {
			err = e.claim()
		}
		if err != nil && e.begin.Err() == nil {
			e.log.Error("cannot claim executions; trying again", "error", err)
		}
	}
}

// claim starts waiting executions until no slot is free or none waits. The store
// signals executions that begin to wait meanwhile.
func (e *Engine) claim() error {
	for e.maybePending.Load() {
		free := 0
		for e.tryTakeSlot() {
			free++
		}
		if free == 0 {
			return nil // the next returned slot wakes the loop
		}
		claimed, err := e.store.Claim(e.begin, store.ClaimRequest{
			Owner: e.owner, Lease: e.config.Lease, Max: free, Services: e.serviceLimits(),
		})
		for _, c := range claimed {
			e.start(c, nil)
		}
		for range free - len(claimed) {
			e.slots <- struct{}{}
		}
		if err != nil {
			return err
		}
		if len(claimed) < free {
			e.maybePending.Store(false)
		}
	}
	return nil
}

func (e *Engine) serviceLimits() []store.ServiceLimit {
	e.mu.Lock()
	defer e.mu.Unlock()
	limits := make([]store.ServiceLimit, 0, len(e.services))
	for id, h := range e.services {
		limits = append(limits, store.ServiceLimit{ServiceID: id, Concurrency: h.current.Concurrency})
	}
	return limits
}

// lookForWaiting sets maybePending if a service has a waiting execution and room
// to run it.
func (e *Engine) lookForWaiting() error {
	load, err := e.store.QueueStats(e.begin)
	if err != nil {
		return err
	}
	for _, s := range e.serviceLimits() {
		l := load.Services[s.ServiceID]
		if l.Pending > 0 && (s.Concurrency == 0 || l.Active < s.Concurrency) {
			e.maybePending.Store(true)
		}
	}
	return nil
}

// heartbeatLoop extends the leases, and learns which executions were cancelled or
// lost.
func (e *Engine) heartbeatLoop() {
	every(e.beat, e.config.Lease/4, func() {
		tasks := e.allTasks()
		ids := make([]execution.ID, len(tasks))
		for i, t := range tasks {
			ids[i] = t.id
		}
		report, err := e.store.Heartbeat(e.beat, e.owner, e.config.Lease, ids...)
		if err != nil {
			if e.beat.Err() == nil {
				e.log.Error("cannot extend leases; trying again", "executions", len(ids), "error", err)
			}
			return
		}
		for _, id := range report.Cancelled {
			if t := e.task(id); t != nil {
				t.stop(cancelledByCaller)
			}
		}
		for _, id := range report.Lost {
			if t := e.task(id); t != nil {
				t.stop(leaseLost)
			}
		}
	})
}

// recoverLoop takes over from engines that have died.
func (e *Engine) recoverLoop() {
	every(e.begin, e.config.Lease/2, func() { e.recover(e.begin) })
}

// recover cleans up after dead engines: their leases, processes, folders, and the
// results of executions that they did not finish.
func (e *Engine) recover(ctx context.Context) {
	done, err := e.store.Recover(ctx, e.owner)
	if err != nil && ctx.Err() == nil {
		e.log.Error("cannot look for executions to recover; trying again", "error", err)
	}
	if n := len(done.Requeued) + len(done.Interrupted); n > 0 {
		e.log.Warn("recovered executions of a server that ended",
			"requeued", len(done.Requeued), "interrupted", len(done.Interrupted))
	}
	for range done.Interrupted {
		e.config.Observer.Ended(execution.Failed, 0)
	}
	if len(done.Interrupted) > 0 {
		for _, id := range done.Interrupted {
			e.notifyStarted(id)
			err = errors.Join(err, e.dataDir.removeResults(id))
		}
		if e.config.Recoverer != nil {
			err = errors.Join(err, e.config.Recoverer.Recover(ctx, done.Interrupted...))
		}
	}
	if err := errors.Join(err, e.dataDir.removeOrphans()); err != nil && ctx.Err() == nil {
		e.log.Warn("cannot remove all that a server left when it ended; trying again", "error", err)
	}
}

// remove removes the files of an execution before the store removes its record.
func (e *Engine) remove(id execution.ID) error {
	e.ended.forget(id)
	return e.dataDir.removeResults(id)
}

// retentionLoop removes executions whose retention time is over.
func (e *Engine) retentionLoop() {
	if e.config.Retention <= 0 {
		return
	}
	purge := func() {
		removed, err := store.Purge(e.begin, e.store, time.Now().Add(-e.config.Retention), e.remove)
		if err != nil && e.begin.Err() == nil {
			e.log.Error("cannot remove old executions; trying again", "error", err)
		}
		if removed > 0 {
			e.log.Info("removed old executions", "executions", removed)
		}
	}
	purge()
	every(e.begin, min(retentionInterval, max(e.config.Retention/4, time.Second)), purge)
}
