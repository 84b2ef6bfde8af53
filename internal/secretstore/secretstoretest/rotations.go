package secretstoretest

import (
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/secretstore"
)

// due are the names of the secrets that are due.
func (f *fixture) due() (names []string) {
	f.Helper()
	all, err := f.DueRotations(f.Context(), f.clock, 10)
	f.must(err)
	for _, d := range all {
		names = append(names, d.Name)
	}
	return names
}

// rotations are in the store with their outcome, and go with their secret.
func rotations(f *fixture) {
	p := f.service()
	h := secretstore.Hook{Command: "new", Every: time.Hour, Keep: time.Minute, SetBy: "somebody"}
	f.wants("SetHook(no secret)", f.SetHook(f.Context(), p, h, f.clock), access.ErrNotFound)
	f.set(p, "first")
	_, err := f.Rotation(f.Context(), p)
	f.wants("Rotation(no hook)", err, access.ErrNotFound)
	f.wants("RemoveHook(no hook)", f.RemoveHook(f.Context(), p), access.ErrNotFound)
	f.must(f.SetHook(f.Context(), p, h, f.clock.Add(time.Hour)))
	if got := f.due(); len(got) != 0 {
		f.Errorf("DueRotations before the time = %q, want none", got)
	}
	f.advance(time.Hour)
	if got := f.due(); len(got) != 1 || got[0] != p.Name {
		f.Errorf("DueRotations = %q, want %q", got, p.Name)
	}
	f.must(f.RotationFailed(f.Context(), p, "a reason", f.clock, f.clock.Add(time.Minute)))
	r, err := f.Rotation(f.Context(), p)
	if err != nil || r.Hook != h || r.LastError != "a reason" || !r.LastAt.Equal(f.clock) || !r.DueAt.Equal(f.clock.Add(time.Minute)) {
		f.Errorf("Rotation after a failure = %+v, %v, want the hook, the reason and both times", r, err)
	}
	v := f.version(p, "second")
	v.Keep = h.Keep
	f.must(f.Rotated(f.Context(), v, f.clock.Add(time.Hour)))
	if r, err = f.Rotation(f.Context(), p); err != nil || r.LastError != "" || !r.DueAt.Equal(f.clock.Add(time.Hour)) {
		f.Errorf("Rotation after a success = %+v, %v, want no reason, and the next time", r, err)
	}
	if got := f.values(p.Service, "")["SERVICE "+p.Name]; got != "second" {
		f.Errorf("after Rotated the value is %q, want the second", got)
	}
	h.Every = 0
	f.must(f.SetHook(f.Context(), p, h, time.Time{}))
	f.must(f.Rotated(f.Context(), f.version(p, "third"), f.clock.Add(time.Hour)))
	f.advance(48 * time.Hour)
	if got := f.due(); len(got) != 0 {
		f.Errorf("DueRotations without a schedule = %q, want none", got)
	}
	h.Every = time.Hour
	f.must(f.SetHook(f.Context(), p, h, f.clock))
	f.must(f.Delete(f.Context(), p, 0, f.clock))
	if got := f.due(); len(got) != 0 {
		f.Errorf("DueRotations of a deleted secret = %q, want none", got)
	}
	f.wants("Rotated(deleted)", f.Rotated(f.Context(), f.version(p, "fourth"), f.clock), access.ErrNotFound)
}
