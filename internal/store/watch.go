package store

import (
	"sync"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// A Watch signals changes. Its channel holds one token at most: several
// changes before a read are one token, so a watcher never lags behind. A change
// between a read and the next wait is never missed.
//
//	watch := s.WatchExecution(id)
//	defer watch.Stop()
//	for {
//		… read the store …
//		select {
//		case <-watch.C:
//		case <-time.After(…): // changes by other processes leave no token
//		case <-ctx.Done():
//			return
//		}
//	}
type Watch struct {
	C    <-chan struct{}
	c    chan struct{}
	stop func()
}

// Stop ends the watch. It may be called more than once.
func (w *Watch) Stop() { w.stop() }

func (w *Watch) notify() {
	select {
	case w.c <- struct{}{}:
	default: // a token is there already
	}
}

// Signals connects an implementation to its watchers. The zero value is ready
// for use.
type Signals struct {
	mu       sync.Mutex
	watchers map[execution.ID]map[*Watch]struct{} // the queue has the empty id
}

// WatchQueue implements [Queue.WatchQueue].
func (s *Signals) WatchQueue() *Watch { return s.watch("") }

// WatchExecution implements [Reader.WatchExecution].
func (s *Signals) WatchExecution(id execution.ID) *Watch { return s.watch(id) }

// QueueChanged wakes the watchers of the queue.
func (s *Signals) QueueChanged() { s.changed("") }

// ExecutionChanged wakes the watchers of an execution.
func (s *Signals) ExecutionChanged(id execution.ID) { s.changed(id) }

// AllChanged wakes all watchers, such as after changes by other processes may have
// been missed.
func (s *Signals) AllChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, watchers := range s.watchers {
		for w := range watchers {
			w.notify()
		}
	}
}

func (s *Signals) watch(topic execution.ID) *Watch {
	c := make(chan struct{}, 1)
	w := &Watch{C: c, c: c}
	w.stop = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers[topic], w)
		if len(s.watchers[topic]) == 0 {
			delete(s.watchers, topic)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers == nil {
		s.watchers = map[execution.ID]map[*Watch]struct{}{}
	}
	if s.watchers[topic] == nil {
		s.watchers[topic] = map[*Watch]struct{}{}
	}
	s.watchers[topic][w] = struct{}{}
	return w
}

func (s *Signals) changed(topic execution.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers[topic] {
		w.notify()
	}
}
