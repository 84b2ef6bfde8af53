package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

// A Policy chooses the revision that runs an execution if another revision was
// activated while it waited.
type Policy int

const (
	// Pinned runs every execution by the revision that accepted it.
	Pinned Policy = iota
	// FollowNewest runs every execution by the newest revision, if that revision
	// accepts the request. It suits a workspace that its author is changing.
	FollowNewest
)

// A Registry finds revisions that this engine does not hold, for executions that
// were accepted before it started.
type Registry interface {
	// Revision returns a revision of a service. An error that matches
	// [store.ErrNotFound] ends the execution; after other errors it waits again.
	Revision(ctx context.Context, serviceID, revisionID string) (*Revision, error)
}

// A revision is a [Revision] that an engine holds.
type revision struct {
	*Revision
	service   string // the id
	validator func() (*signature.Validator, error)
	users     sync.WaitGroup // executions that use it
	// using counts users, and idleSince is when the last one ended. The engine's
	// lock guards both.
	using     int
	idleSince time.Time
	// turn is a lock for the fields below: the goroutine that uses them holds it.
	turn   chan struct{}
	loaded runner.Runner // made by Load
	busy   int           // running executions that use loaded
}

func newRevision(service string, r *Revision) (*revision, error) {
	if service == "" || r.Signature == nil || r.Runner == nil && r.Load == nil {
		return nil, errors.New("a service needs an id, a signature and a runner")
	}
	held := &revision{
		Revision: r, service: service, validator: sync.OnceValues(r.Signature.Compile),
		idleSince: time.Now(), turn: make(chan struct{}, 1),
	}
	if r.Load != nil { // one of many, most of them idle: compile its signature when needed
		return held, nil
	}
	if _, err := held.validator(); err != nil {
		return nil, fmt.Errorf("the service %s: %w", service, err)
	}
	return held, nil
}

// acquire returns the runner for one execution. It loads the runner if needed.
func (r *revision) acquire(ctx context.Context) (runner.Runner, error) {
	if r.Runner != nil {
		return r.Runner, nil
	}
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-r.turn }()
	if r.loaded == nil {
		loaded, err := r.Load(ctx, r.Revision)
		if err != nil {
			return nil, fmt.Errorf("load revision %s: %w", r.ID, err)
		}
		r.loaded = loaded
	}
	r.busy++
	return r.loaded, nil
}

// release ends the use of a runner that acquire returned.
func (r *revision) release() {
	if r.Runner != nil {
		return
	}
	r.turn <- struct{}{}
	r.busy--
	<-r.turn
}

// unload closes the loaded runner, unless an execution uses it.
func (r *revision) unload() error {
	r.turn <- struct{}{}
	defer func() { <-r.turn }()
	if r.loaded == nil || r.busy > 0 {
		return nil
	}
	loaded := r.loaded
	r.loaded = nil
	return loaded.Close()
}

// close closes the runner of a revision that no execution uses any more.
func (r *revision) close() error {
	if r.Runner != nil {
		return r.Runner.Close()
	}
	return r.unload()
}

// revisions holds the revisions of one service.
type revisions struct {
	current *revision
	former  map[string]*revision // revisions that pinned executions may need
}

// forExecution returns the revision that runs an execution. accepted names the one
// that accepted it. It returns nil if this engine does not hold that revision.
func (h *revisions) forExecution(policy Policy, accepted string) *revision {
	if policy == FollowNewest || h.current.ID == accepted {
		return h.current
	}
	return h.former[accepted]
}

// Activate makes r the active revision of the service: it accepts all new requests.
// Running executions go on unchanged. [Config].Policy decides which revision runs
// the waiting ones.
func (s *Service) Activate(r *Revision) error {
	next, err := newRevision(s.id, r)
	if err != nil {
		return err
	}
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return ErrClosed
	}
	h := e.services[s.id]
	if h == nil {
		h = &revisions{former: map[string]*revision{}}
		e.services[s.id] = h
	}
	old := h.current
	h.current = next
	e.replace(h.former[r.ID], next)
	delete(h.former, r.ID)
	switch {
	case old == nil:
	case e.config.Policy == Pinned && old.ID != r.ID:
		h.former[old.ID] = old
	default:
		e.replace(old, next)
	}
	e.maybePending.Store(true)
	notify(e.wake)
	return nil
}

// Deactivate takes the service out of the engine: there is no revision any more that
// new requests meet. Executions that run go on.
func (s *Service) Deactivate() {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.services[s.id]
	if h == nil || e.closing {
		return
	}
	delete(e.services, s.id)
	e.replace(h.current, &revision{Revision: &Revision{}})
	for _, r := range h.former {
		e.replace(r, &revision{Revision: &Revision{}})
	}
}

// replace retires a revision, unless the next one uses the same runner. The caller
// holds the lock.
func (e *Engine) replace(old, next *revision) {
	if old != nil && (old.Runner == nil || old.Runner != next.Runner) {
		e.loops.Go(func() { e.retire(old) })
	}
}

// retire closes the runner of a revision after its last execution.
func (e *Engine) retire(r *revision) {
	r.users.Wait()
	if err := r.close(); err != nil {
		e.log.Warn("cannot close the runner of a service", "service", r.service, "revision", r.ID, "error", err)
	}
}

// allRevisions returns the revisions that the engine holds. The caller holds the
// lock.
func (e *Engine) allRevisions() []*revision {
	var all []*revision
	for _, h := range e.services {
		all = append(all, h.current)
		for _, r := range h.former {
			all = append(all, r)
		}
	}
	return all
}

func (e *Engine) closeServices() error {
	e.mu.Lock()
	all := e.allRevisions()
	e.mu.Unlock()
	var errs []error
	for _, r := range all {
		errs = append(errs, r.close())
	}
	return errors.Join(errs...)
}

// Current returns the active revision, if there is one.
func (s *Service) Current() (*Revision, bool) {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	h, ok := s.engine.services[s.id]
	if !ok {
		return nil, false
	}
	return h.current.Revision, true
}

// use gives an execution its revision, and doneWithRevision takes it back after the
// end. The caller of use holds the engine's lock.
func (t *task) use(r *revision) {
	r.users.Add(1)
	r.using++
	t.revision = r
}

func (t *task) doneWithRevision() {
	r := t.revision
	if r == nil {
		return
	}
	if t.acquired {
		r.release()
	}
	t.engine.mu.Lock()
	r.using--
	r.idleSince = time.Now()
	t.engine.mu.Unlock()
	r.users.Done()
}

// findRevision asks the registry for the revision of an execution, if the engine
// does not hold it.
func (t *task) findRevision() error {
	if t.revision != nil {
		return nil
	}
	e, wanted := t.engine, t.claimed.Execution
	if e.config.Registry == nil {
		return fmt.Errorf("%w: revision %s of service %s", store.ErrNotFound, wanted.ServiceRevision, wanted.ServiceID)
	}
	found, err := e.config.Registry.Revision(t.ctx, wanted.ServiceID, wanted.ServiceRevision)
	if err != nil {
		return err
	}
	if found.ID != wanted.ServiceRevision {
		return fmt.Errorf("the registry returned revision %s, not %s", found.ID, wanted.ServiceRevision)
	}
	held, err := newRevision(wanted.ServiceID, found)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.services[wanted.ServiceID]
	if h == nil { // it was deactivated meanwhile
		return fmt.Errorf("%w: service %s", store.ErrNotFound, wanted.ServiceID)
	}
	known := h.forExecution(e.config.Policy, found.ID)
	if known == nil {
		known = held
		h.former[found.ID] = held
	} else if held.Runner != nil && held.Runner != known.Runner { // another execution was faster
		e.loops.Go(func() { e.retire(held) })
	}
	t.use(known)
	return nil
}

// withoutRevision ends an execution whose revision could not be found.
func (t *task) withoutRevision(err error) {
	switch {
	case t.ctx.Err() != nil: // it must stop; nothing was begun
		t.release()
		return
	case errors.Is(err, store.ErrNotFound):
		t.finish(t.endedBy(outcome{status: execution.Failed, problem: execution.RevisionGone(t.claimed.Execution.ServiceRevision)}))
		return
	}
	t.notStarted(err)
}

// unloadLoop closes runners that were idle for [Config].RunnerIdle, and drops former
// revisions that the registry can return again.
func (e *Engine) unloadLoop() {
	every(e.begin, min(time.Minute, max(e.config.RunnerIdle/4, time.Millisecond)), func() {
		before := time.Now().Add(-e.config.RunnerIdle)
		var idle []*revision
		e.mu.Lock()
		for _, h := range e.services {
			if h.current.idle(before) {
				idle = append(idle, h.current)
			}
			for id, r := range h.former {
				if !r.idle(before) {
					continue
				}
				idle = append(idle, r)
				if e.config.Registry != nil {
					delete(h.former, id)
				}
			}
		}
		e.mu.Unlock()
		for _, r := range idle {
			if err := r.unload(); err != nil {
				e.log.Warn("cannot close the runner of a service", "service", r.service, "revision", r.ID, "error", err)
			}
		}
	})
}

// idle reports whether no execution has used the revision since the given time and
// its runner can be loaded again. The caller holds the engine's lock.
func (r *revision) idle(since time.Time) bool {
	return r.Load != nil && r.Runner == nil && r.using == 0 && r.idleSince.Before(since)
}
