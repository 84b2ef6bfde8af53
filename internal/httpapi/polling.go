package httpapi

import (
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// maxPollTimes is how many executions are remembered. Polls of further executions
// may be answered without a hold.
const maxPollTimes = 1024

// pollTimes records when a poll of an execution was last answered that it has not
// ended. Tight polling is throttled, as it would take processor time from the
// execution.
type pollTimes struct {
	mu   sync.Mutex
	at   map[execution.ID]time.Time
	ring [maxPollTimes]execution.ID // the next to be forgotten is at next
	next int
}

func (t *pollTimes) record(id execution.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at == nil {
		t.at = make(map[execution.ID]time.Time)
	}
	if _, known := t.at[id]; !known {
		delete(t.at, t.ring[t.next])
		t.ring[t.next] = id
		t.next = (t.next + 1) % maxPollTimes
	}
	t.at[id] = time.Now()
}

// last returns the recorded time of an execution, or zero if there is none.
func (t *pollTimes) last(id execution.ID) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at[id]
}

// pollHold returns how long to hold a poll of an execution that has not ended. It
// applies to callers that do not set a wait time.
func (a *API) pollHold(e execution.Execution) time.Duration {
	from := e.CreatedAt
	if last := a.pollTimes.last(e.ID); last.After(from) {
		from = last
	}
	return min(a.Limits.PollHold-time.Since(from), a.Limits.PollHold)
}
