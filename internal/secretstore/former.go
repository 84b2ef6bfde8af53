package secretstore

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/vault"
)

// A FormerSet is a set of secrets that former programs have kept with one seal: those
// in the environment of a version of a service, or the token of a provider.
type FormerSet struct {
	Tenant string
	// Service and Version are ids; empty for the token of a provider.
	Service, Version string
	// Provider is the name of a provider; empty for an environment.
	Provider string
	Owner    vault.Owner
	Sealed   vault.Sealed
}

// Split makes versions of stored secrets of the set. The store sets their times.
func (f FormerSet) Split(ring *vault.Keyring) ([]NewVersion, error) {
	secrets, err := ring.Open(f.Owner, f.Sealed)
	if err != nil {
		return nil, err
	}
	defer secrets.Clear()
	if f.Provider != "" {
		v, err := f.version(ring, ForProvider(f.Tenant, f.Provider), secrets)
		v.Override = OverrideNone
		return []NewVersion{v}, err
	}
	versions := make([]NewVersion, 0, len(secrets))
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		v, err := f.version(ring, InEnvironment(f.Tenant, f.Service, f.Version, name), Sealable(secrets[name]))
		if err != nil {
			return nil, err
		}
		v.Override = OverrideAny
		versions = append(versions, v)
	}
	return versions, nil
}

func (f FormerSet) version(ring *vault.Keyring, place Place, secrets vault.Secrets) (NewVersion, error) {
	v := NewVersion{Place: place, ID: uuid.NewString()}
	var err error
	v.Sealed, err = ring.Seal(place.Owner(v.ID), secrets)
	return v, err
}
