package vault

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// A VerifyKey checks the signatures of one version of the master key, for one purpose.
type VerifyKey struct {
	Version uint32
	Public  ed25519.PublicKey
}

// Sign signs message for a purpose with a key that the newest version of the master key
// makes. It returns the public key, which [Keyring.VerifyKeys] lists while the keyring has
// that version. Signatures of one purpose are none of another.
func (k *Keyring) Sign(purpose string, message []byte) (VerifyKey, []byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	m, ok := k.keys[k.current]
	if !ok {
		return VerifyKey{}, nil, errors.New("sign: the keyring has no key")
	}
	private, err := m.signingKey(purpose)
	if err != nil {
		return VerifyKey{}, nil, err
	}
	var signature []byte
	err = shielded(func() error {
		signature = ed25519.Sign(private.Reveal(), message)
		return nil
	})
	return m.verifyKey(private), signature, err
}

// VerifyKeys are the keys of all versions for a purpose, the newest first.
func (k *Keyring) VerifyKeys(purpose string) ([]VerifyKey, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var keys []VerifyKey
	for _, version := range slices.Backward(k.versions()) {
		m := k.keys[version]
		private, err := m.signingKey(purpose)
		if err != nil {
			return nil, err
		}
		keys = append(keys, m.verifyKey(private))
	}
	return keys, nil
}

func (m *masterKey) verifyKey(private Plaintext) VerifyKey {
	public, _ := ed25519.PrivateKey(private.Reveal()).Public().(ed25519.PublicKey)
	return VerifyKey{m.version, public}
}

// signingKey derives the private key of a purpose, once.
func (m *masterKey) signingKey(purpose string) (Plaintext, error) {
	m.signing.mu.Lock()
	defer m.signing.mu.Unlock()
	if key, ok := m.signing.keys[purpose]; ok {
		return key, nil
	}
	seed, err := hkdf.Key(sha256.New, m.key.Reveal(), nil, "qhubctl signature: "+purpose, ed25519.SeedSize)
	if err != nil {
		return Plaintext{}, fmt.Errorf("derive a key that signs: %w", err)
	}
	defer clear(seed)
	if m.signing.keys == nil {
		m.signing.keys = map[string]Plaintext{}
	}
	private := plaintext.New(ed25519.NewKeyFromSeed(seed))
	m.signing.keys[purpose] = private
	return private, nil
}

// clear wipes the key and those that were derived from it.
func (m *masterKey) clear() {
	m.key.Clear()
	m.signing.mu.Lock()
	defer m.signing.mu.Unlock()
	for private := range maps.Values(m.signing.keys) {
		private.Clear()
	}
	m.signing.keys = nil
}
