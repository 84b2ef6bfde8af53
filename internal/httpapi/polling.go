package httpapi

import (
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// maxPollTimes is how many executions are remembered. Of more, some are told as often
// as they are asked for.
const maxPollTimes = 1024

// pollTimes remembers when the callers of executions were last told that these have
// not ended. Who asks again at once takes the time that the execution needs.
type pollTimes struct {
	mu   sync.Mutex
	at   map[execution.ID]time.Time
	ring [maxPollTimes]execution.ID // in the order in which they are forgotten
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

// last is when that was told last; zero if that is not known.
func (t *pollTimes) last(id execution.ID) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at[id]
}

// pollHold is how long an execution that has not ended may still take to, before
// a caller that has not said how long it waits is told so.
func (a *API) pollHold(e execution.Execution) time.Duration {
	from := e.CreatedAt
	if last := a.pollTimes.last(e.ID); last.After(from) {
		from = last
	}
	return min(a.Limits.PollHold-time.Since(from), a.Limits.PollHold)
}
