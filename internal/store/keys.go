package store

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// KeyUse reports which versions of a master key the sealed secrets in a store
// need.
type KeyUse struct {
	// Versions counts the executions whose secrets each version opens.
	Versions map[uint32]int
	// Missing are those that no key in the keyring opens.
	Missing map[execution.ID]*vault.KeyError
	// Damaged were changed, or moved here from elsewhere.
	Damaged []execution.ID
}

// Sealed is how many executions have secrets that are sealed.
func (u *KeyUse) Sealed() int {
	n := len(u.Missing) + len(u.Damaged)
	for _, count := range u.Versions {
		n += count
	}
	return n
}

// Err is the error of opening one of the Missing, or nil.
func (u *KeyUse) Err() error {
	ids := slices.Sorted(maps.Keys(u.Missing))
	if len(ids) == 0 {
		return nil
	}
	return u.Missing[ids[0]]
}

// FindKeyUse looks at all sealed secrets. It changes nothing.
func FindKeyUse(ctx context.Context, s Sealed, ring *vault.Keyring) (*KeyUse, error) {
	// The maps are by execution, because a repeated transaction visits an execution again.
	versions, failed := map[execution.ID]uint32{}, map[execution.ID]error{}
	_, err := s.Reseal(ctx, func(id execution.ID, sealed vault.Sealed) (vault.Sealed, bool, error) {
		if err := ring.Check(vault.ExecutionOwner(string(id)), sealed); err != nil {
			failed[id] = err
		} else {
			versions[id] = sealed.KeyVersion()
		}
		return sealed, false, nil
	})
	if err != nil {
		return nil, err
	}
	use := &KeyUse{Versions: map[uint32]int{}, Missing: map[execution.ID]*vault.KeyError{}}
	for _, version := range versions {
		use.Versions[version]++
	}
	for id, err := range failed {
		var missing *vault.KeyError
		if errors.As(err, &missing) {
			use.Missing[id] = missing
		} else {
			use.Damaged = append(use.Damaged, id)
		}
	}
	return use, nil
}

// Rewrap has all sealed secrets wrapped by the newest version of the master
// key and returns how many were not yet. Secrets that no key opens stay
// unchanged; [FindKeyUse] lists them.
func Rewrap(ctx context.Context, s Sealed, ring *vault.Keyring) (int, error) {
	return s.Reseal(ctx, func(id execution.ID, sealed vault.Sealed) (vault.Sealed, bool, error) {
		wrapped, changed, err := ring.Rewrap(vault.ExecutionOwner(string(id)), sealed)
		if err != nil {
			return sealed, false, nil //nolint:nilerr // the others are wrapped nevertheless
		}
		return wrapped, changed, nil
	})
}
