package vault_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/qhubctl/qhubctl/internal/vault"
)

// TestOwnersAreApart opens the secrets of one owner for every other one.
func TestOwnersAreApart(t *testing.T) {
	t.Parallel()
	k := ring(t, map[int]byte{1: 7})
	owners := []vault.Owner{
		vault.ExecutionOwner("a"), vault.AccessKeyOwner("a"), vault.SigningKeyOwner("a"), vault.ExecutionOwner("a/b"), vault.ExecutionOwner(""), vault.ExecutionOwner("secret"),
		vault.SecretOwner("a", "b"), vault.SecretOwner("a/b", ""), vault.SecretOwner("", "a/b"), vault.SecretOwner("ab", ""),
		vault.StoredSecretOwner("SERVICE", "a", "b"), vault.StoredSecretOwner("TENANT", "a", "b"), vault.StoredSecretOwner("SERVICE", "a/b", ""),
		vault.SecretOwner("a", ""), vault.SecretOwner("", "a"), vault.SecretOwner("a\x00\x00\x00\x01b", ""),
	}
	for _, owner := range owners {
		sealed, err := k.Seal(owner, secrets("name", "value"))
		if err != nil {
			t.Fatalf("Seal(%v) = %v, want no error", owner, err)
		}
		for _, other := range owners {
			_, err := k.Open(other, sealed)
			_, _, rewrap := k.Rewrap(other, sealed)
			check := k.Check(other, sealed)
			for method, err := range map[string]error{"Open": err, "Rewrap": rewrap, "Check": check} {
				if other == owner && err != nil || other != owner && !errors.Is(err, vault.ErrTampered) {
					t.Errorf("%s(%v) of what %v owns = %v, want %v for others only", method, other, owner, err, vault.ErrTampered)
				}
			}
		}
	}
}

// TestNoOwner refuses to seal for the zero value.
func TestNoOwner(t *testing.T) {
	t.Parallel()
	k := ring(t, map[int]byte{1: 7})
	if _, err := k.Seal(vault.Owner{}, secrets("name", "value")); err == nil {
		t.Error("Seal(no owner) = no error, want one")
	}
	if _, err := k.Open(vault.Owner{}, seal(t, k, secrets("name", "value"))); !errors.Is(err, vault.ErrTampered) {
		t.Errorf("Open(no owner) = %v, want %v", err, vault.ErrTampered)
	}
}

// TestForm1 reads secrets that an earlier program has sealed: for their execution
// alone, also after a rotation, and under no other form.
func TestForm1(t *testing.T) {
	t.Parallel()
	given := secrets("a", "one", "b", "two")
	old, err := ring(t, map[int]byte{1: 7}).SealForm1(owner, given)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(old, []byte("qhs\x01")) || !old.WellFormed() || old.KeyVersion() != 1 {
		t.Fatalf("form 1 begins with %q, well-formed %t, version %d; want qhs and 1", old[:4], old.WellFormed(), old.KeyVersion())
	}
	both := ring(t, map[int]byte{1: 7, 2: 9})
	assertOpens(t, both, old, given)
	wrapped, changed, err := both.Rewrap(owner, old)
	if err != nil || !changed {
		t.Fatalf("Rewrap(form 1) = changed %t, %v; want true", changed, err)
	}
	assertOpens(t, ring(t, map[int]byte{2: 9}), wrapped, given)
	for _, other := range []vault.Owner{
		vault.ExecutionOwner("another"),
		vault.SecretOwner("8a9c2a5e-6a3f-4d0e-9c5f-0d8f4f3f1a11", ""), vault.SecretOwner("", "8a9c2a5e-6a3f-4d0e-9c5f-0d8f4f3f1a11"),
	} {
		if _, err := both.Open(other, old); !errors.Is(err, vault.ErrTampered) {
			t.Errorf("Open(%v) of form 1 = %v, want %v", other, err, vault.ErrTampered)
		}
	}
	for form, sealed := range map[byte]vault.Sealed{2: old, 1: seal(t, both, given), 3: old, 0: old} {
		forged := slices.Clone(sealed)
		forged[3] = form
		if _, err := both.Open(owner, forged); !errors.Is(err, vault.ErrTampered) {
			t.Errorf("Open(form changed to %d) = %v, want %v", form, err, vault.ErrTampered)
		}
	}
}
