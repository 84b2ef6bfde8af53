package storetest

import (
	"errors"

	"github.com/qhubctl/qhubctl/internal/store"
	"github.com/qhubctl/qhubctl/internal/vault"
)

const (
	firstKey  = "1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	secondKey = "2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
)

func (f *fixture) keyring(text string) *vault.Keyring {
	f.Helper()
	ring, err := vault.FromText([]byte(text))
	f.must(err)
	return ring
}

func (f *fixture) keyUse(ring *vault.Keyring) *store.KeyUse {
	f.Helper()
	use, err := store.FindKeyUse(f.Context(), f, ring)
	f.must(err)
	return use
}

// owner is what the secrets of an execution are sealed for.
func owner(a store.NewExecution) vault.Owner {
	return vault.ExecutionOwner(string(a.Execution.ID))
}

// checkKeyUse looks through sealed secrets of every kind, and has them wrapped
// by another key. Those that no key opens stay, and keep no others back.
func checkKeyUse(f *fixture) {
	const many = 130
	both := f.keyring(firstKey + "," + secondKey)
	var damaged store.NewExecution
	for i := range many {
		a := newExecution(service)
		a.Secrets = f.seal(a.Execution.ID, "value")
		if i == many/2 {
			a.Secrets[len(a.Secrets)-1] ^= 1  // a value: only Open finds that it was changed
			a.Secrets[len("qhs\x02")+20] ^= 1 // the wrapped key
			damaged = a
		}
		f.accept(a)
	}
	f.accept(newExecution(service)) // which has no secrets
	lost := newExecution(service)
	var err error
	lost.Secrets, err = f.keyring("7:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=").Seal(vault.ExecutionOwner(string(lost.Execution.ID)), vault.Secrets{"a": {}})
	f.must(err)
	f.accept(lost)

	for _, step := range []struct {
		ring               *vault.Keyring
		first, second, all int
		rewrap             int
	}{
		{both, many - 1, 0, many + 1, many - 1},
		{both, 0, many - 1, many + 1, 0},
		{f.keyring(secondKey), 0, many - 1, many + 1, 0},
	} {
		use := f.keyUse(step.ring)
		if use.Versions[1] != step.first || use.Versions[2] != step.second || use.Sealed() != step.all {
			f.Errorf("%v of %d, want %d and %d of %d", use.Versions, use.Sealed(), step.first, step.second, step.all)
		}
		if missing := use.Missing[owner(lost)]; missing == nil || missing.Version != 7 || !errors.Is(use.Err(), vault.ErrUnknownKey) {
			f.Errorf("missing: %v, %v", use.Missing, use.Err())
		}
		changed, err := store.Rewrap(f.Context(), f, step.ring)
		f.must(err)
		if changed != step.rewrap {
			f.Errorf("%d were wrapped again, want %d", changed, step.rewrap)
		}
	}
	if use := f.keyUse(both); len(use.Damaged) != 1 || use.Damaged[0] != owner(damaged) {
		f.Errorf("damaged: %v", use.Damaged)
	}
	if use := f.keyUse(new(vault.Keyring)); len(use.Versions) > 0 || use.Sealed() != many+1 {
		f.Errorf("without a key: %v of %d", use.Versions, use.Sealed())
	}
}
