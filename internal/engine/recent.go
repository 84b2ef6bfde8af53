package engine

import (
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
)

const (
	// maxRecent is how many executions are remembered.
	maxRecent = 256
	// maxRecentResult is the size in bytes of the largest result manifest that is
	// remembered.
	maxRecentResult = 4 << 10
)

// recent is a short-lived cache of executions for callers that ask soon after a
// change. Other processes may change or remove an execution, so an entry is valid
// only for the time that this engine takes to notice their changes.
type recent struct {
	patience time.Duration

	mu    sync.Mutex
	known map[execution.ID]remembered
	ring  [maxRecent]execution.ID // in the order in which they are forgotten
	next  int
}

type remembered struct {
	execution execution.Execution
	at        time.Time
}

func newRecent(patience time.Duration) *recent {
	return &recent{patience: patience, known: make(map[execution.ID]remembered, maxRecent)}
}

// add remembers an execution, unless it has a problem or a large result manifest.
func (m *recent) add(e execution.Execution) {
	if e.Problem != nil || len(e.Result) > maxRecentResult {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, m.ring[m.next])
	m.ring[m.next] = e.ID
	m.next = (m.next + 1) % maxRecent
	m.known[e.ID] = remembered{e, time.Now()}
}

// find returns an execution that is remembered.
func (m *recent) find(id execution.ID) (execution.Execution, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found, ok := m.known[id]
	return found.execution, ok && time.Since(found.at) < m.patience
}

func (m *recent) forget(id execution.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, id)
}
