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
	done     chan struct{} // closed when pins is made
	pins     pinned
	pinsErr  error
	made     chan struct{} // closed when token is made; nil if the service gets none
	token    plaintext.Bytes
	tokenErr error
}

// openEarly begins to open the versions of stored secrets that an execution has pinned,
// and to make its token.
func (e *Engine) openEarly(r *revision, x execution.Execution, pins map[string]int64) *early {
	ctx, cancel := context.WithCancel(e.ctx)
	a := &early{revision: r, cancel: cancel, done: make(chan struct{})}
	if r.Resolvers.Token != nil {
		a.made = make(chan struct{})
		go func() {
			defer close(a.made)
			defer recoverTo(&a.tokenErr)
			a.token, a.tokenErr = r.Resolvers.Token(ctx, x)
		}()
	}
	if len(pins) == 0 || r.Resolvers.Stored == nil {
		close(a.done)
		return a
	}
	go func() {
		defer close(a.done)
		defer recoverTo(&a.pinsErr)
		a.pins, a.pinsErr = r.Resolvers.Stored.Open(ctx, x, pins)
	}()
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

// stored returns the opened secrets by parameter. What the caller takes out of the map is
// its own.
func (a *early) stored() (pinned, error) {
	<-a.done
	return a.pins, a.pinsErr
}

// takeToken returns the token, which is then the caller's; ok is false if there is none.
func (a *early) takeToken() (token plaintext.Bytes, ok bool, err error) {
	if a.made == nil {
		return token, false, nil
	}
	<-a.made
	token, a.token = a.token, plaintext.Bytes{}
	return token, true, a.tokenErr
}

// discard wipes what nothing has taken.
func (a *early) discard() {
	if a == nil {
		return
	}
	a.cancel()
	<-a.done
	a.pins.clear()
	if a.made != nil {
		<-a.made
		a.token.Clear()
	}
}
