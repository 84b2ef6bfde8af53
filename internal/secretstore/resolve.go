package secretstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// Services are the services of a platform.
type Services interface {
	// Owner is the tenant that owns a service.
	Owner(ctx context.Context, service string) (tenant string, err error)
	// Parameters are the secrets that the current version of a service declares, and the
	// variables of those that its environment has.
	Parameters(ctx context.Context, service string) (declared []signature.Parameter, environment []string, err error)
}

// Offer returns the candidates for an execution that a caller starts, one for each
// parameter: the one that takes precedence. Only an application gets the secrets of its
// subscription: an execution acts for the owner of its service.
func (s *Service) Offer(ctx context.Context, p access.Principal, service string) (map[string]Candidate, error) {
	application := ""
	if p.Kind == access.Application {
		application = p.ID
	}
	return s.offer(ctx, service, application)
}

func (s *Service) offer(ctx context.Context, service, application string) (map[string]Candidate, error) {
	all, err := s.Store.Candidates(ctx, service, application, s.Now())
	if err != nil || len(all) == 0 {
		return nil, err
	}
	offered := make(map[string]Candidate, len(all))
	for _, c := range all {
		if before, ok := offered[c.Parameter]; !ok || ranks[c.Place.Kind] > ranks[before.Place.Kind] {
			offered[c.Parameter] = c
		}
	}
	return offered, nil
}

// An Opened is the value of a version. The caller clears it.
type Opened struct {
	Value plaintext.Bytes
	// From describes the version: safe to print.
	From string
	// Tenant is the one that the secret belongs to.
	Tenant string
}

// OpenPinned opens the versions that an execution has pinned. A version may be for several
// parameters: each gets a separate copy.
func (s *Service) OpenPinned(ctx context.Context, pins map[string]int64) (opened map[string]Opened, err error) {
	opened, err = s.openPinned(ctx, pins)
	if _, ok := errors.AsType[*vault.KeyError](err); ok {
		// The store may remember values as they were before another process wrapped them
		// again, and removed the former key.
		s.Store.Refresh()
		opened, err = s.openPinned(ctx, pins)
	}
	return opened, err
}

func (s *Service) openPinned(ctx context.Context, pins map[string]int64) (opened map[string]Opened, err error) {
	wanted := slices.Compact(slices.Sorted(maps.Values(pins)))
	all, err := s.Store.Sealed(ctx, wanted)
	if err != nil {
		return nil, err
	}
	byPin := make(map[int64]SealedVersion, len(all))
	for _, v := range all {
		byPin[v.Pin] = v
	}
	opened = make(map[string]Opened, len(pins))
	var referenced []reference
	defer func() {
		if err != nil {
			for _, o := range opened {
				o.Value.Clear()
			}
			opened = nil
		}
	}()
	for parameter, pin := range pins {
		v, ok := byPin[pin]
		if !ok {
			return nil, fmt.Errorf("%w: %s", errGone, parameter)
		}
		secrets, err := v.open(s.Keyring)
		if err != nil {
			return nil, err
		}
		if text, ok := secrets[referenceName]; ok {
			referenced = append(referenced, reference{parameter, string(text.Reveal()), v.Place})
		}
		opened[parameter] = Opened{secrets[valueName], v.String(), v.Place.Tenant}
	}
	return opened, s.resolve(ctx, referenced, opened)
}

func (v SealedVersion) open(ring *vault.Keyring) (vault.Secrets, error) {
	secrets, err := ring.Open(v.Place.Owner(v.ID), v.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open version %d of the secret %s: %w", v.Number, v.Place.Name, err)
	}
	return secrets, nil
}

// Open opens a version that holds a value. The caller clears it.
func (v SealedVersion) Open(ring *vault.Keyring) (plaintext.Bytes, error) {
	secrets, err := v.open(ring)
	return secrets[valueName], err
}

// Sealable is what the vault seals for a version that holds a value.
func Sealable(value plaintext.Bytes) vault.Secrets { return vault.Secrets{valueName: value} }

// holders say whose a secret is.
var holders = map[Kind]string{OfService: "service", OfSubscription: "subscription", OfTenant: "account", OfEnvironment: "environment"}

// String describes the version without its value.
func (v SealedVersion) String() string {
	return "version " + strconv.Itoa(v.Number) + " of the stored secret " + v.Place.Name + " of the " + holders[v.Place.Kind]
}

// NoteUse notes that an execution uses the versions that it has pinned. It is written
// later.
func (s *Service) NoteUse(execution string, pins map[string]int64) {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, pin := range pins {
		s.uses[pin] = Use{At: now, Execution: execution}
	}
}
