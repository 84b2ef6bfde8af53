package platform

import (
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
)

const (
	// maxEnded is how many executions are remembered after their end.
	maxEnded = 256
	// maxEndedResult is how large a note of a result may be to be remembered.
	maxEndedResult = 4 << 10
)

// ended remembers for a moment how executions have ended that this engine had:
// their callers ask for that now. What is in it does not change any more, but
// may be removed from the store, by other processes too, so it is not relied on
// for longer than it takes to learn of what those do.
type ended struct {
	patience time.Duration

	mu   sync.Mutex
	ends map[execution.ID]end
	ring [maxEnded]execution.ID // in the order in which they are forgotten
	next int
}

type end struct {
	execution execution.Execution
	noted     time.Time
}

func newEnded(patience time.Duration) *ended {
	return &ended{patience: patience, ends: make(map[execution.ID]end, maxEnded)}
}

// note remembers an execution, if it has ended and is small.
func (m *ended) note(e execution.Execution) {
	if !e.Status.Final() || e.Problem != nil || len(e.Result) > maxEndedResult {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.ends, m.ring[m.next])
	m.ring[m.next] = e.ID
	m.next = (m.next + 1) % maxEnded
	m.ends[e.ID] = end{e, time.Now()}
}

// find gives an execution that is remembered.
func (m *ended) find(id execution.ID) (execution.Execution, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found, ok := m.ends[id]
	return found.execution, ok && time.Since(found.noted) < m.patience
}

// forget forgets one, before it is removed from the store.
func (m *ended) forget(id execution.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.ends, id)
}
