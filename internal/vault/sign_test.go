package vault_test

import (
	"bytes"
	"crypto/ed25519"
	"testing"

	"github.com/qhubctl/qhubctl/internal/vault"
)

// TestSignaturesAreByPurposeAndVersion signs with two versions of a key.
func TestSignaturesAreByPurposeAndVersion(t *testing.T) {
	t.Parallel()
	const first, second = "1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
	ring, err := vault.FromText([]byte(first + "," + second))
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("a message")
	key, signature, err := ring.Sign("a", message)
	if err != nil || key.Version != 2 || !ed25519.Verify(key.Public, message, signature) {
		t.Fatalf("Sign() = version %d, %v, want a valid signature of version 2", key.Version, err)
	}
	if other, _, err := ring.Sign("b", message); err != nil || bytes.Equal(other.Public, key.Public) {
		t.Errorf("Sign(another purpose) = the same key, %v, want another one", err)
	}
	keys, err := ring.VerifyKeys("a")
	if err != nil || len(keys) != 2 || !bytes.Equal(keys[0].Public, key.Public) || keys[1].Version != 1 {
		t.Errorf("VerifyKeys() = %v, %v, want both versions, the newest first", keys, err)
	}
	alone, err := vault.FromText([]byte(second))
	if err != nil {
		t.Fatal(err)
	}
	if again, _, err := alone.Sign("a", message); err != nil || !bytes.Equal(again.Public, key.Public) {
		t.Errorf("Sign() after a restart = another key, %v, want the same", err)
	}
	ring.Clear()
	if _, _, err := ring.Sign("a", message); err == nil {
		t.Error("Sign() of a cleared keyring = nil, want an error")
	}
}
