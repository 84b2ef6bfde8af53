package secretstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

const (
	// MinEvery is the shortest schedule of a hook, and maxEvery the longest.
	MinEvery = time.Minute
	maxEvery = 366 * 24 * time.Hour
	// maxPeriods bounds the versions that a schedule keeps.
	maxPeriods = 10
	// retryAfter is when a failed rotation is tried again, at the latest.
	retryAfter = time.Hour
	// dueTicks is how often due rotations are looked for, dueAtOnce how many run at once.
	dueTicks  = 10 * time.Second
	dueAtOnce = 4
)

// A Hook says where new values of a secret come from: one of Command and Webhook is set.
type Hook struct {
	// Command is the name of a program on the list of the operator.
	Command string
	// Webhook is an address whose answer is the new value.
	Webhook string
	// Every is how often the secret is rotated. Zero: on request only.
	Every time.Duration
	// Keep is how long the version before is kept.
	Keep time.Duration
	// SetBy is the id of the user that has set it.
	SetBy string
}

// A Rotation is a hook with its state.
type Rotation struct {
	Hook
	// DueAt is when it runs next. Zero: on request.
	DueAt time.Time
	// LastAt is when it has run last. Zero: never.
	LastAt time.Time
	// LastError says why it has failed then. Empty: it has not.
	LastError string
}

// A DueRotation is a rotation that is due, with the place of its secret.
type DueRotation struct {
	Place
	Rotation
}

// Rotations keeps the hooks of secrets.
type Rotations interface {
	// SetHook sets the hook of a secret, which must exist.
	SetHook(ctx context.Context, p Place, h Hook, due time.Time) error
	RemoveHook(ctx context.Context, p Place) error
	// Rotation reads the hook of a secret.
	Rotation(ctx context.Context, p Place) (Rotation, error)
	// DueRotations are those that are due, the oldest first.
	DueRotations(ctx context.Context, now time.Time, limit int) ([]DueRotation, error)
	// Rotated adds the version that a hook has given, and notes the success, together.
	Rotated(ctx context.Context, v NewVersion, due time.Time) error
	// RotationFailed notes why a hook has given no version.
	RotationFailed(ctx context.Context, p Place, reason string, at, due time.Time) error
}

// Hooks fetches new values. It is safe for concurrent use.
type Hooks interface {
	// Check returns an error unless the operator allows a hook.
	Check(h Hook) error
	// Fetch fetches a new value for a secret. Its errors hold nothing of a value. The
	// caller clears the value.
	Fetch(ctx context.Context, h Hook, p Place) (plaintext.Bytes, error)
}

// A HookError says that a hook has given no new value. The secret keeps the one it has.
type HookError struct{ Err error }

func (e *HookError) Error() string { return "the hook failed: " + e.Err.Error() }
func (e *HookError) Unwrap() error { return e.Err }

// SetHook sets where new values of a secret come from. The first scheduled rotation is one
// period later.
func (s *Service) SetHook(ctx context.Context, p access.Principal, a Address, name string, h Hook) error {
	place, err := s.named(ctx, p, a, name, access.ManageSecrets)
	if err == nil {
		err = s.checkHook(h)
	}
	if err != nil {
		return err
	}
	h.SetBy = p.ID
	audit.Note(ctx, "hook", h.String())
	var due time.Time
	if h.Every > 0 {
		due = s.Now().Add(h.Every)
	}
	return s.Store.SetHook(ctx, place, h, due)
}

// String names the program or the address.
func (h Hook) String() string {
	if h.Command != "" {
		return "command " + h.Command
	}
	return "webhook " + h.Webhook
}

func (s *Service) checkHook(h Hook) error {
	switch {
	case (h.Command == "") == (h.Webhook == ""):
		return invalid("hook: give a command or a webhook")
	case h.Every != 0 && (h.Every < MinEvery || h.Every > maxEvery):
		return invalid("every: it may be from %s to a year", MinEvery)
	case h.Keep < 0 || h.Keep > MaxKeep:
		return invalid("keep: it may be up to %d days", MaxKeep/(24*time.Hour))
	case h.Every > 0 && h.Keep > maxPeriods*h.Every:
		return invalid("keep: it may be up to %d times the schedule", maxPeriods)
	case s.Hooks == nil:
		return invalid("hook: this server runs none")
	}
	if err := s.Hooks.Check(h); err != nil {
		return invalid("hook: %v", err)
	}
	return nil
}

// RemoveHook takes the hook from a secret.
func (s *Service) RemoveHook(ctx context.Context, p access.Principal, a Address, name string) error {
	place, err := s.named(ctx, p, a, name, access.ManageSecrets)
	if err != nil {
		return err
	}
	return s.Store.RemoveHook(ctx, place)
}

// Rotation reads the hook of a secret; the zero value: it has none.
func (s *Service) Rotation(ctx context.Context, p access.Principal, a Address, name string) (Rotation, error) {
	place, err := s.named(ctx, p, a, name, access.ViewSecrets)
	if err != nil {
		return Rotation{}, err
	}
	found, err := s.Store.Rotation(ctx, place)
	if errors.Is(err, access.ErrNotFound) {
		return Rotation{}, nil
	}
	return found, err
}

// RunHook rotates a secret by its hook. The error is a [*HookError] if that gave no value.
func (s *Service) RunHook(ctx context.Context, p access.Principal, a Address, name string) (Secret, error) {
	place, err := s.named(ctx, p, a, name, access.ManageSecrets)
	if err != nil {
		return Secret{}, err
	}
	rotation, err := s.Store.Rotation(ctx, place)
	if errors.Is(err, access.ErrNotFound) {
		return Secret{}, invalid("rotation: the secret has no hook, so a value is needed")
	}
	if err != nil {
		return Secret{}, err
	}
	// A caller that leaves does not end it: its outcome is noted.
	if err := s.rotate(context.WithoutCancel(ctx), p.ID, DueRotation{place, rotation}); err != nil {
		return Secret{}, err
	}
	found, _, err := s.Store.Secret(ctx, place, s.Now())
	return found, err
}

// rotate runs a hook, and notes its outcome. One of a secret runs at a time.
func (s *Service) rotate(ctx context.Context, by string, d DueRotation) error {
	if !s.begin(d.Place) {
		return fmt.Errorf("%w: the secret is being rotated", access.ErrConflict)
	}
	defer s.end(d.Place)
	audit.Note(ctx, "hook", d.String())
	version, err := s.newVersion(ctx, by, d)
	if ctx.Err() != nil {
		return ctx.Err() // the server stops: it begins again at the next start
	}
	now := s.Now()
	if err == nil {
		err = s.Store.Rotated(ctx, version, now.Add(d.Every))
		if err == nil || !errors.Is(err, access.ErrConflict) {
			return err
		}
	}
	failed := s.Store.RotationFailed(failing(ctx), d.Place, err.Error(), now, now.Add(min(d.Every, retryAfter)))
	if failed != nil {
		return failed
	}
	return &HookError{err}
}

// newVersion is what a hook gives.
func (s *Service) newVersion(ctx context.Context, by string, d DueRotation) (NewVersion, error) {
	if err := s.checkHook(d.Hook); err != nil { // the operator may have changed the list
		return NewVersion{}, err
	}
	value, err := s.Hooks.Fetch(ctx, d.Hook, d.Place)
	if err != nil {
		return NewVersion{}, err
	}
	defer value.Clear()
	return s.seal(access.Principal{ID: by}, d.Place, Value{Secret: value, Keep: d.Keep}, s.Now())
}

// failing returns a context whose audit entry says that the action has failed.
func failing(ctx context.Context) context.Context {
	record := audit.From(ctx)
	if record == nil {
		return ctx
	}
	entry, _ := record.Entry()
	entry.Outcome = audit.Failed
	return audit.With(ctx, audit.NewRecord(entry))
}

func (s *Service) begin(p Place) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rotating[p] {
		return false
	}
	s.rotating[p] = true
	return true
}

func (s *Service) end(p Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rotating, p)
}

// rotateLoop runs due rotations until ctx ends. The store has the times, so a restart
// loses none.
func (s *Service) rotateLoop(ctx context.Context) {
	tick := time.NewTicker(dueTicks)
	defer tick.Stop()
	for {
		if err := s.RotateDue(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("cannot find secrets to rotate; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// RotateDue runs the hooks that are due, and waits for them.
func (s *Service) RotateDue(ctx context.Context) error {
	if s.Hooks == nil {
		return nil
	}
	due, err := s.Store.DueRotations(ctx, s.Now(), dueAtOnce)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	for _, d := range due {
		running.Go(func() {
			if err := s.rotate(s.scheduled(ctx, d), d.SetBy, d); err != nil && ctx.Err() == nil {
				s.Log.Warn("a secret was not rotated", "tenant", d.Tenant, "service", d.Service, "secret", d.Name, "error", err)
			}
		})
	}
	running.Wait()
	return nil
}

// scheduled returns a context with the audit entry of a scheduled rotation.
func (s *Service) scheduled(ctx context.Context, d DueRotation) context.Context {
	details := map[string]string{"secret": d.Name, "by": "schedule"}
	for key, id := range map[string]string{"service": d.Service, "application": d.Application} {
		if id != "" {
			details[key] = id
		}
	}
	return audit.With(ctx, audit.NewRecord(audit.Entry{
		Tenant: d.Tenant, Time: s.Now().UTC(), Actor: audit.Actor{Kind: "SERVER"}, Action: "rotateSecret", Target: "schedule", Outcome: audit.Done, Details: details,
	}))
}
