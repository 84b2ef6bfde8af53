package secretstore_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/secretstore"
)

// hooks gives values, or an error.
type hooks struct {
	mu     sync.Mutex
	value  string
	err    error
	called int
	wait   chan struct{}
}

func (h *hooks) Check(hook secretstore.Hook) error {
	if hook.Command == "forbidden" {
		return errors.New("it is not allowed")
	}
	return nil
}

func (h *hooks) Fetch(ctx context.Context, _ secretstore.Hook, _ secretstore.Place) (plaintext.Bytes, error) {
	h.mu.Lock()
	h.called++
	value, err, wait := h.value, h.err, h.wait
	h.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return plaintext.Bytes{}, ctx.Err()
		}
	}
	return plaintext.FromString(value), err
}

func (h *hooks) give(value string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.value, h.err = value, err
}

// use opens the service again, with hooks.
func (f *fixture) use(h secretstore.Hooks) {
	f.Helper()
	f.must(f.Close())
	options := f.Options
	options.Hooks = h
	f.Service = secretstore.Open(f.Context(), options)
}

// last is the last entry of the owner's chain.
func (f *fixture) last() audit.Entry {
	f.Helper()
	links, err := f.db.Audit().Links(f.Context(), f.owner.Tenant, 0, 1000)
	f.must(err)
	if len(links) == 0 {
		return audit.Entry{}
	}
	e, err := links[len(links)-1].Read()
	f.must(err)
	return e
}

func TestScheduledRotation(t *testing.T) {
	f := newFixture(t)
	h := &hooks{value: "the-second-value"}
	f.use(h)
	at := secretstore.Address{Service: f.service}
	f.set(f.owner, at, "token", "the-first-value")
	f.must(f.SetHook(t.Context(), f.owner, at, "token", secretstore.Hook{Command: "new", Every: time.Hour, Keep: time.Hour}))
	f.must(f.RotateDue(t.Context()))
	if got := f.gets(f.owner, f.service)["token"]; got != "the-first-value" {
		t.Errorf("before the schedule an execution gets %s, want the first value", got)
	}
	f.advance.Add(int64(time.Hour + time.Minute))
	f.must(f.RotateDue(t.Context()))
	f.must(f.RotateDue(t.Context())) // not due any more
	if got := f.gets(f.owner, f.service)["token"]; got != "the-second-value" || h.called != 1 {
		t.Errorf("after it an execution gets %s by %d runs, want the second value by one", got, h.called)
	}
	if e := f.last(); e.Outcome != audit.Done || e.Actor.Kind != "SERVER" || e.Action != "rotateSecret" || e.Details["secret"] != "token" || e.Details["hook"] != "command new" {
		t.Errorf("the audit entry is %+v, want the rotation by the server", e)
	}

	h.give("", errors.New("the other store is down"))
	f.advance.Add(int64(time.Hour))
	f.must(f.RotateDue(t.Context()))
	if got := f.gets(f.owner, f.service)["token"]; got != "the-second-value" {
		t.Errorf("after a failure an execution gets %s, want the value from before", got)
	}
	if e := f.last(); e.Outcome != audit.Failed || e.Details["secret"] != "token" {
		t.Errorf("the audit entry is %+v, want the failure", e)
	}
	r, err := f.Rotation(t.Context(), f.viewer, at, "token")
	if err != nil || !strings.Contains(r.LastError, "store is down") || r.LastAt.IsZero() || !r.DueAt.After(r.LastAt) {
		t.Errorf("Rotation = %+v, %v, want the failure and the next time", r, err)
	}
	h.give("the-third-value", nil)
	f.advance.Add(int64(time.Hour))
	f.must(f.RotateDue(t.Context()))
	if r, err = f.Rotation(t.Context(), f.viewer, at, "token"); err != nil || r.LastError != "" || f.gets(f.owner, f.service)["token"] != "the-third-value" {
		t.Errorf("Rotation = %+v, %v, want success after the failure", r, err)
	}
	_, err = f.Rotation(t.Context(), f.stranger, at, "token")
	f.wants("Rotation(stranger)", err, access.ErrNotFound)
}

func TestRunHook(t *testing.T) {
	f := newFixture(t)
	h := &hooks{value: "the-second-value"}
	f.use(h)
	at := secretstore.Address{Service: f.service}
	f.set(f.owner, at, "token", "the-first-value")
	_, err := f.RunHook(t.Context(), f.owner, at, "token")
	f.wants("RunHook(no hook)", err, access.ErrInvalid)
	f.must(f.SetHook(t.Context(), f.owner, at, "token", secretstore.Hook{Webhook: "https://a.example/b"}))
	_, err = f.RunHook(t.Context(), f.viewer, at, "token")
	f.wants("RunHook(viewer)", err, access.ErrForbidden)

	// One at a time.
	h.wait = make(chan struct{})
	done := make(chan error)
	go func() {
		_, err := f.RunHook(t.Context(), f.owner, at, "token")
		done <- err
	}()
	for running := false; !running; {
		h.mu.Lock()
		running = h.called > 0
		h.mu.Unlock()
	}
	_, err = f.RunHook(t.Context(), f.owner, at, "token")
	f.wants("RunHook(while it runs)", err, access.ErrConflict)
	close(h.wait)
	f.must(<-done)
	if got := f.gets(f.owner, f.service)["token"]; got != "the-second-value" {
		t.Errorf("after RunHook an execution gets %s, want the second value", got)
	}
	h.give("x\x00y", nil)
	if _, err := f.RunHook(t.Context(), f.owner, at, "token"); !isHookError(err) {
		t.Errorf("RunHook(no text) = %v, want a HookError", err)
	}
	f.must(f.RemoveHook(t.Context(), f.owner, at, "token"))
	f.wants("RemoveHook(none)", f.RemoveHook(t.Context(), f.owner, at, "token"), access.ErrNotFound)
}

func isHookError(err error) bool {
	_, ok := errors.AsType[*secretstore.HookError](err)
	return ok
}

func TestHooksAreChecked(t *testing.T) {
	f := newFixture(t)
	at := secretstore.Address{Service: f.service}
	f.set(f.owner, at, "token", "the-first-value")
	f.wants("SetHook(none allowed)", f.SetHook(t.Context(), f.owner, at, "token", secretstore.Hook{Command: "new"}), access.ErrInvalid)
	f.use(&hooks{})
	for _, h := range []secretstore.Hook{
		{}, {Command: "a", Webhook: "https://a.example"}, {Command: "forbidden"}, {Command: "a", Every: time.Second}, {Command: "a", Every: 2 * 366 * 24 * time.Hour}, {Command: "a", Keep: -1}, {Command: "a", Every: time.Minute, Keep: time.Hour},
	} {
		f.wants("SetHook("+h.String()+")", f.SetHook(t.Context(), f.owner, at, "token", h), access.ErrInvalid)
	}
	f.wants("SetHook(no secret)", f.SetHook(t.Context(), f.owner, at, "other", secretstore.Hook{Command: "a"}), access.ErrNotFound)
	f.wants("SetHook(viewer)", f.SetHook(t.Context(), f.viewer, at, "token", secretstore.Hook{Command: "a"}), access.ErrForbidden)
	f.wants("SetHook(stranger)", f.SetHook(t.Context(), f.stranger, at, "token", secretstore.Hook{Command: "a"}), access.ErrNotFound)
}
