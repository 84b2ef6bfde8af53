package engine

import (
	"context"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// early is what the server adds to an execution: its stored secrets and its token. They are
// made while something else takes time, such as the write that accepts the execution. A
// request that is not accepted has them discarded.
type early struct {
	revision *revision
	cancel   context.CancelFunc
	pins     *pending[pinned]          // nil: there are none
	token    *pending[plaintext.Bytes] // nil: the service gets none
}

// openEarly begins to open the versions of stored secrets that an execution has pinned,
// and to make its token.
func (e *Engine) openEarly(r *revision, x execution.Execution, pins map[string]int64) *early {
	ctx, cancel := context.WithCancel(e.ctx)
	a := &early{revision: r, cancel: cancel}
	if r.Resolvers.Token != nil {
		a.token = begin(func() (plaintext.Bytes, error) { return r.Resolvers.Token(ctx, x) })
	}
	if len(pins) > 0 && r.Resolvers.Stored != nil {
		a.pins = begin(func() (pinned, error) { return r.Resolvers.Stored.Open(ctx, x, pins) })
	}
	return a
}

// openEarly returns the secrets that were begun when the execution was accepted, or begins
// now.
func (t *task) openEarly(pins map[string]int64) *early {
	a := t.early
	if a == nil || a.revision != t.revision {
		a.discard()
		a = t.engine.openEarly(t.revision, t.claimed.Execution, pins)
	}
	t.early = nil
	context.AfterFunc(t.ctx, a.cancel)
	return a
}

// takeToken returns the token, which is then the caller's; ok is false if there is none.
func (a *early) takeToken() (token plaintext.Bytes, ok bool, err error) {
	ok = a.token != nil
	token, err = a.token.wait()
	a.token = nil
	return token, ok, err
}

// discard wipes what nothing has taken.
func (a *early) discard() {
	if a == nil {
		return
	}
	a.cancel()
	pins, _ := a.pins.wait()
	pins.clear()
	token, _ := a.token.wait()
	token.Clear()
}
