package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/vault"
)

// KeyUse reports which versions of a master key the sealed secrets in a store
// need.
type KeyUse struct {
	// Versions counts the owners whose secrets each version opens.
	Versions map[uint32]int
	// Missing are those that no key in the keyring opens.
	Missing map[vault.Owner]*vault.KeyError
	// Damaged were changed, or moved here from elsewhere.
	Damaged []vault.Owner
}

// Sealed is how many owners have secrets that are sealed.
func (u *KeyUse) Sealed() int {
	n := len(u.Missing) + len(u.Damaged)
	for _, count := range u.Versions {
		n += count
	}
	return n
}

// Err is the error of opening one of the Missing, or nil.
func (u *KeyUse) Err() error {
	owners := slices.SortedFunc(maps.Keys(u.Missing), byName)
	if len(owners) == 0 {
		return nil
	}
	return u.Missing[owners[0]]
}

// FindKeyUse looks at all sealed secrets. It changes nothing, and opens no value.
func FindKeyUse(ctx context.Context, s Sealed, ring *vault.Keyring) (*KeyUse, error) {
	return findUse(ctx, s, ring.Check)
}

// FindSealed is FindKeyUse that also opens each value, to find those that were changed.
func FindSealed(ctx context.Context, s Sealed, ring *vault.Keyring) (*KeyUse, error) {
	return findUse(ctx, s, func(owner vault.Owner, sealed vault.Sealed) error {
		secrets, err := ring.Open(owner, sealed)
		secrets.Clear()
		return err
	})
}

func findUse(ctx context.Context, s Sealed, check func(vault.Owner, vault.Sealed) error) (*KeyUse, error) {
	// The maps are by owner, because a repeated transaction visits an owner again.
	versions, failed := map[vault.Owner]uint32{}, map[vault.Owner]error{}
	_, err := s.Reseal(ctx, func(owner vault.Owner, sealed vault.Sealed) (vault.Sealed, bool, error) {
		if err := check(owner, sealed); err != nil {
			failed[owner] = err
		} else {
			versions[owner] = sealed.KeyVersion()
		}
		return sealed, false, nil
	})
	if err != nil {
		return nil, err
	}
	use := &KeyUse{Versions: map[uint32]int{}, Missing: map[vault.Owner]*vault.KeyError{}}
	for _, version := range versions {
		use.Versions[version]++
	}
	for owner, err := range failed {
		var missing *vault.KeyError
		if errors.As(err, &missing) {
			use.Missing[owner] = missing
		} else {
			use.Damaged = append(use.Damaged, owner)
		}
	}
	return use, nil
}

// Rewrap has all sealed secrets wrapped by the newest version of the master
// key and returns how many were not yet. Secrets that no key opens stay
// unchanged; [FindKeyUse] lists them.
func Rewrap(ctx context.Context, s Sealed, ring *vault.Keyring) (int, error) {
	return s.Reseal(ctx, func(owner vault.Owner, sealed vault.Sealed) (vault.Sealed, bool, error) {
		wrapped, changed, err := ring.Rewrap(owner, sealed)
		if err != nil {
			return sealed, false, nil //nolint:nilerr // the others are wrapped nevertheless
		}
		return wrapped, changed, nil
	})
}

func byName(a, b vault.Owner) int { return strings.Compare(a.String(), b.String()) }
