package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// Plaintext is the value of a secret in the clear. It prints and logs as a
// mask and refuses to be encoded; Reveal gives the bytes and Clear wipes them.
type Plaintext = plaintext.Bytes

const (
	keySize   = 32
	keyIDSize = 8
)

// keyID is a fingerprint of a master key. It tells keys apart and says
// nothing about them.
type keyID [keyIDSize]byte

// A Keyring holds the versions of a master key. It is safe for concurrent use.
type Keyring struct {
	mu      sync.RWMutex
	keys    map[uint32]*masterKey
	current uint32
	follows *following // nil: the versions never change
}

// masterKey is one version, ready for use.
type masterKey struct {
	version uint32
	id      keyID
	key     Plaintext
	aead    cipher.AEAD
	// signing has the private keys that were derived, by purpose.
	signing struct {
		mu   sync.Mutex
		keys map[string]Plaintext
	}
}

// newKeyring takes ownership of the keys.
func newKeyring(keys map[uint32]Plaintext) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: it holds no key", ErrKeyFormat)
	}
	ring := &Keyring{keys: make(map[uint32]*masterKey, len(keys))}
	for version, key := range keys {
		m, err := newMasterKey(version, key)
		if err != nil {
			return nil, err
		}
		ring.keys[version] = m
		ring.current = max(ring.current, version)
	}
	return ring, nil
}

func newMasterKey(version uint32, key Plaintext) (*masterKey, error) {
	if version == 0 {
		return nil, fmt.Errorf("%w: versions start at 1", ErrKeyFormat)
	}
	if key.Len() != keySize {
		return nil, fmt.Errorf("%w: version %d has %d bytes instead of %d", ErrKeyFormat, version, key.Len(), keySize)
	}
	m := &masterKey{version: version, key: key}
	fingerprint, err := hkdf.Key(sha256.New, key.Reveal(), nil, "qhubctl master key id", keyIDSize)
	if err != nil {
		return nil, fmt.Errorf("derive a key id: %w", err)
	}
	m.id = keyID(fingerprint)
	m.aead, err = newAEAD(key.Reveal())
	return m, err
}

// newAEAD gives AES-256-GCM that draws a random nonce for every message and
// puts it in front. A key may seal 2³² messages: far beyond the executions of
// one master key, and a data key seals one set only.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use a key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("use a key: %w", err)
	}
	return aead, nil
}

// newKey draws a random key.
func newKey() Plaintext {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails: it ends the program instead
	return plaintext.New(key)
}

// Version is the version of the key that seals.
func (k *Keyring) Version() uint32 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.current
}

// Versions lists all versions that can open, oldest first.
func (k *Keyring) Versions() []uint32 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.versions()
}

func (k *Keyring) versions() []uint32 { return slices.Sorted(maps.Keys(k.keys)) }

// ID is the fingerprint of a version, which tells keys apart and says nothing
// about them. It is empty for one that is not at hand.
func (k *Keyring) ID(version uint32) string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	m, ok := k.keys[version]
	if !ok {
		return ""
	}
	return hex.EncodeToString(m.id[:])
}

// String names the versions and shows no key.
func (k *Keyring) String() string {
	return fmt.Sprintf("keyring with versions %v", k.Versions())
}

// GoString is as silent as String.
func (k *Keyring) GoString() string { return k.String() }

// Clear wipes the keys. The Keyring must not be used afterwards.
func (k *Keyring) Clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.keys {
		m.clear()
	}
	clear(k.keys)
}

// find gives the key that a header names.
func (k *Keyring) find(version uint32, id keyID) (*masterKey, error) {
	m, ok := k.keys[version]
	if !ok || m.id != id {
		return nil, &KeyError{Version: version, ID: hex.EncodeToString(id[:]), Replaced: ok}
	}
	return m, nil
}

// MACs authenticates message for one purpose, such as recognising a repeated
// request, without storing anything from which the message could be guessed:
// a plain hash of a short secret is as good as the secret. It gives one MAC
// for each version of the key, the current one first. Store the first; what
// was stored before a rotation equals one of the others.
func (k *Keyring) MACs(purpose string, message []byte) ([][]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	versions := k.versions()
	slices.Reverse(versions)
	macs := make([][]byte, 0, len(versions))
	for _, version := range versions {
		key, err := hkdf.Key(sha256.New, k.keys[version].key.Reveal(), nil, "qhubctl mac: "+purpose, keySize)
		if err != nil {
			return nil, fmt.Errorf("derive a key for %s: %w", purpose, err)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(message)
		macs = append(macs, mac.Sum(nil))
		clear(key)
	}
	return macs, nil
}
