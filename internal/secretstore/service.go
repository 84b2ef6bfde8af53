package secretstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// valueName is the name of a value in the vault, and referenceName that of a reference:
// whoever can write to the database cannot make one of the other.
const (
	valueName     = "value"
	referenceName = "reference"
)

// sweeps is how often versions that count no more are destroyed, and flushes how often
// uses are written.
const (
	sweeps  = 30 * time.Second
	flushes = 5 * time.Second
)

// Options say what a [Service] works with. Store, Keyring, Access and Services are needed.
type Options struct {
	Store    Store
	Keyring  *vault.Keyring
	Access   *access.Service
	Services Services
	// References resolves references. Nil: there are none.
	References References
	// Hooks fetches new values for rotations. Nil: there are none.
	Hooks Hooks
	// MaxSecrets bounds the secrets of a tenant. Zero: [MaxSecrets].
	MaxSecrets int
	// Now is the clock. Nil: the system's.
	Now func() time.Time
	Log *slog.Logger
}

// A Service keeps the secrets of callers, and gives them to executions. It is safe for
// concurrent use. Make one with [Open].
type Service struct {
	Options
	stop context.CancelFunc
	done chan struct{}

	mu   sync.Mutex
	uses map[int64]Use // that are not written yet
	// rotating are the secrets whose hooks run.
	rotating map[Place]bool
}

// Open makes a service. Until it is closed, it destroys versions that count no more.
func Open(ctx context.Context, o Options) *Service {
	if o.MaxSecrets == 0 {
		o.MaxSecrets = MaxSecrets
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{Options: o, done: make(chan struct{}), uses: map[int64]Use{}, rotating: map[Place]bool{}}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	rotations := make(chan struct{})
	go func() {
		defer close(rotations)
		s.rotateLoop(background)
	}()
	go func() {
		defer close(s.done)
		s.loop(background)
		<-rotations
	}()
	return s
}

// Close ends the work in the background, and writes the last uses.
func (s *Service) Close() error {
	s.stop()
	<-s.done
	return s.flush(context.Background())
}

func (s *Service) loop(ctx context.Context) {
	sweep, flush := time.NewTicker(sweeps), time.NewTicker(flushes)
	defer sweep.Stop()
	defer flush.Stop()
	for {
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("cannot destroy secrets that count no more; it is tried again", "error", err)
		}
		for due := false; !due; {
			select {
			case <-ctx.Done():
				return
			case <-sweep.C:
				due = true
			case <-flush.C:
				if err := s.flush(ctx); err != nil && ctx.Err() == nil {
					s.Log.Warn("cannot note the use of secrets", "error", err)
				}
			}
		}
	}
}

// Sweep destroys versions that count no more and that no execution needs.
func (s *Service) Sweep(ctx context.Context) (int, error) { return s.Store.Sweep(ctx, s.Now()) }

// flush writes the uses. They stay if that fails.
func (s *Service) flush(ctx context.Context) error {
	s.mu.Lock()
	due := s.uses
	s.uses = map[int64]Use{}
	s.mu.Unlock()
	if len(due) == 0 {
		return nil
	}
	err := s.Store.MarkUsed(ctx, due)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for pin, use := range due {
			if s.uses[pin].At.Before(use.At) {
				s.uses[pin] = use
			}
		}
	}
	return err
}

// An Address names what a secret belongs to, for a caller: an application and a service,
// a service, or neither for the tenant of the caller. They are ids.
type Address struct{ Service, Application string }

// place finds the place of a secret of the caller's tenant. It notes in the audit log
// which secret a caller meant.
func (s *Service) place(ctx context.Context, p access.Principal, a Address, name string, right access.Right) (Place, error) {
	if p.Tenant == "" || !p.May(right) {
		return Place{}, access.ErrForbidden
	}
	place := Place{Kind: OfTenant, Tenant: p.Tenant, Name: name}
	switch {
	case a.Application != "" && a.Service == "":
		return Place{}, invalid("place: a secret of an application is for one service, which is missing")
	case a.Application != "":
		// Needs no more than to see the application.
		found, err := s.Access.Store.Subscriptions(ctx, access.SubscriptionQuery{Tenant: p.Tenant, Application: a.Application, Service: a.Service})
		if err == nil && len(found) == 0 {
			err = access.ErrNotFound
		}
		if err != nil {
			return Place{}, err
		}
		place.Kind, place.Service, place.Application, place.Subscription = OfSubscription, a.Service, a.Application, found[0].ID
	case a.Service != "":
		owner, err := s.Services.Owner(ctx, a.Service)
		if err == nil && owner != p.Tenant {
			err = access.ErrNotFound
		}
		if err != nil {
			return Place{}, err
		}
		place.Kind, place.Service = OfService, a.Service
	}
	for key, id := range map[string]string{"service": place.Service, "application": place.Application} {
		if id != "" {
			audit.Note(ctx, key, id)
		}
	}
	return place, nil
}

// named is the place of a secret with a name that is valid.
func (s *Service) named(ctx context.Context, p access.Principal, a Address, name string, right access.Right) (Place, error) {
	place, err := s.place(ctx, p, a, name, right)
	if err == nil {
		err = checkName(place.Kind, name)
	}
	if err != nil {
		return Place{}, err
	}
	audit.Note(ctx, "secret", name)
	return place, nil
}

// A Value is a value for a secret, with its terms.
type Value struct {
	Secret plaintext.Bytes
	// Reference names the value in another store; Secret is empty then.
	Reference string
	// ExpiresAt is when it expires. Zero: it does not.
	ExpiresAt time.Time
	// Keep is how long the version before is kept.
	Keep time.Duration
	// Override says which callers may replace the secret in a request. Empty: as before, or
	// [OverrideOwn].
	Override Override
}

// check returns an error about the terms or the value, which it does not repeat.
func (v Value) check(now time.Time) error {
	switch {
	case v.Keep < 0 || v.Keep > MaxKeep:
		return invalid("keep: it may be up to %d days", MaxKeep/(24*time.Hour))
	case !v.ExpiresAt.IsZero() && !v.ExpiresAt.After(now):
		return invalid("expiry: it must be in the future")
	case v.Override != "" && !v.Override.Valid():
		return invalid("override: it must be %s, %s or %s", OverrideNone, OverrideOwn, OverrideAny)
	}
	if err := plaintext.Check(v.Secret.Reveal()); err != nil {
		return invalid("value: it %v", err)
	}
	return nil
}

// secrets is what the vault seals.
func (v Value) secrets() vault.Secrets {
	if v.Reference != "" {
		return vault.Secrets{referenceName: plaintext.FromString(v.Reference)}
	}
	return vault.Secrets{valueName: v.Secret}
}

// seal makes a version of a value. The caller clears the value.
func (s *Service) seal(p access.Principal, place Place, v Value, now time.Time) (NewVersion, error) {
	err := v.check(now)
	if err == nil && v.Reference != "" {
		err = s.checkReference(place, v.Reference)
	}
	if err != nil {
		return NewVersion{}, err
	}
	id := uuid.NewString()
	sealed, err := s.Keyring.Seal(place.Owner(id), v.secrets())
	if err != nil {
		return NewVersion{}, fmt.Errorf("seal a secret: %w", err)
	}
	return NewVersion{
		Place: place, ID: id, Sealed: sealed, SetBy: p.ID, SetAt: now, ExpiresAt: v.ExpiresAt, Keep: v.Keep, Override: v.Override, Reference: v.Reference,
	}, nil
}

// Set makes a secret, or adds a version to it. The caller clears the value.
func (s *Service) Set(ctx context.Context, p access.Principal, a Address, name string, v Value) (Secret, error) {
	return s.put(ctx, p, a, name, v, false)
}

// Rotate adds a version to a secret that exists. The caller clears the value.
func (s *Service) Rotate(ctx context.Context, p access.Principal, a Address, name string, v Value) (Secret, error) {
	return s.put(ctx, p, a, name, v, true)
}

func (s *Service) put(ctx context.Context, p access.Principal, a Address, name string, v Value, existing bool) (Secret, error) {
	place, err := s.named(ctx, p, a, name, access.ManageSecrets)
	if err != nil {
		return Secret{}, err
	}
	now := s.Now()
	version, err := s.seal(p, place, v, now)
	if err != nil {
		return Secret{}, err
	}
	version.Existing = existing
	if err := s.Store.Put(ctx, []NewVersion{version}, s.MaxSecrets); err != nil {
		return Secret{}, err
	}
	found, _, err := s.Store.Secret(ctx, place, now)
	return found, err
}

// Import sets secrets by name: all or none. The caller clears the values.
func (s *Service) Import(ctx context.Context, p access.Principal, a Address, values map[string]Value) error {
	place, err := s.place(ctx, p, a, "", access.ManageSecrets)
	switch {
	case err != nil:
		return err
	case len(values) == 0 || len(values) > MaxImport:
		return invalid("import: it must have 1 to %d secrets", MaxImport)
	}
	now, names, total := s.Now(), make([]string, 0, len(values)), 0
	versions := make([]NewVersion, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		place.Name = name
		if err := checkName(place.Kind, name); err != nil {
			return err
		}
		version, err := s.seal(p, place, value, now)
		if err != nil {
			return fmt.Errorf("%w (%s)", err, name)
		}
		versions, names, total = append(versions, version), append(names, name), total+value.Secret.Len()
	}
	if total > plaintext.MaxTotal {
		return invalid("import: the values have more than %d KiB together", plaintext.MaxTotal>>10)
	}
	audit.Note(ctx, "secrets", strings.Join(names, ","))
	return s.Store.Put(ctx, versions, s.MaxSecrets)
}

// SetOverride changes which callers may replace a secret in a request.
func (s *Service) SetOverride(ctx context.Context, p access.Principal, a Address, name string, o Override) error {
	place, err := s.named(ctx, p, a, name, access.ManageSecrets)
	if err == nil && !o.Valid() {
		err = invalid("override: it must be %s, %s or %s", OverrideNone, OverrideOwn, OverrideAny)
	}
	if err != nil {
		return err
	}
	audit.Note(ctx, "override", string(o))
	return s.Store.SetOverride(ctx, place, o)
}

// Delete deletes a secret, or one version of it. Executions that wait or run keep the
// versions that they have pinned.
func (s *Service) Delete(ctx context.Context, p access.Principal, a Address, name string, version int) error {
	place, err := s.named(ctx, p, a, name, access.ManageSecrets)
	if err == nil && version < 0 {
		err = invalid("version: it must be a number from 1")
	}
	if err != nil {
		return err
	}
	if version > 0 {
		audit.Note(ctx, "version", strconv.Itoa(version))
	}
	return s.Store.Delete(ctx, place, version, s.Now())
}

// Bind gives a parameter of a service of the tenant a secret of the tenant.
func (s *Service) Bind(ctx context.Context, p access.Principal, name string, b Binding) error {
	place, err := s.binding(ctx, p, name, b)
	if err != nil {
		return err
	}
	return s.Store.Bind(ctx, place, b, maxBindings)
}

// Unbind ends a binding.
func (s *Service) Unbind(ctx context.Context, p access.Principal, name string, b Binding) error {
	place, err := s.binding(ctx, p, name, b)
	if err != nil {
		return err
	}
	return s.Store.Unbind(ctx, place, b)
}

func (s *Service) binding(ctx context.Context, p access.Principal, name string, b Binding) (Place, error) {
	if _, err := s.place(ctx, p, Address{Service: b.Service}, "", access.ManageSecrets); err != nil {
		return Place{}, err
	}
	if b.Service == "" {
		return Place{}, invalid("binding: it needs a service")
	}
	if err := checkName(OfService, b.Parameter); err != nil {
		return Place{}, err
	}
	audit.Note(ctx, "parameter", b.Parameter)
	return s.named(ctx, p, Address{}, name, access.ManageSecrets)
}

// List finds secrets of the caller's tenant.
func (s *Service) List(ctx context.Context, p access.Principal, q Query) ([]Secret, int, error) {
	if p.Tenant == "" || !p.May(access.ViewSecrets) {
		return nil, 0, access.ErrForbidden
	}
	if err := s.flush(ctx); err != nil {
		return nil, 0, err
	}
	q.Tenant, q.Now = p.Tenant, s.Now()
	return s.Store.Secrets(ctx, q)
}

// Get reads a secret with its versions, the newest first.
func (s *Service) Get(ctx context.Context, p access.Principal, a Address, name string) (Secret, []Version, error) {
	place, err := s.named(ctx, p, a, name, access.ViewSecrets)
	if err == nil {
		err = s.flush(ctx)
	}
	if err != nil {
		return Secret{}, nil, err
	}
	return s.Store.Secret(ctx, place, s.Now())
}

// errGone says that a pinned version is not in the store.
var errGone = errors.New("a stored secret is not there any more")
