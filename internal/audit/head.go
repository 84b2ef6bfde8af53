package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// SigningPurpose is the purpose of the keys that sign heads.
const SigningPurpose = "audit"

// A Head vouches for a chain from its first entry to its last.
type Head struct {
	Tenant string `json:"tenant"`
	// Anchor is the last entry.
	Anchor
	// Start is the last entry that was dropped because of its age. Zero: none was.
	Start Anchor `json:"start"`
	// Broken is the first entry that was written after the server had found that the
	// chain was not the one that it had signed. Zero: it never has.
	Broken int64 `json:"broken,omitempty"`
	// Sealed is how many changes of sealed values there had been: an older set of them is
	// an old copy.
	Sealed int64 `json:"sealed,omitempty"`
	// Key is the id of the key that has signed. Empty: the head is not signed.
	Key       string `json:"key"`
	Signature []byte `json:"signature"`
}

// statement is what a signature is of. No two heads have the same.
func (h *Head) statement() []byte {
	return fmt.Appendf(nil, "qhubctl audit head 1\n%q\n%d %q\n%d %q\n%d\n%d\n", h.Tenant, h.Number, h.Hash, h.Start.Number, h.Start.Hash, h.Broken, h.Sealed)
}

// Sign signs the head.
func (h *Head) Sign(s Signer) (err error) {
	h.Key, h.Signature, err = s.Sign(h.statement())
	if err != nil {
		return fmt.Errorf("sign the audit log: %w", err)
	}
	return nil
}

// Check returns an error that matches [ErrBroken] unless one of the keys has signed the
// head.
func (h *Head) Check(keys []Key) error {
	at := slices.IndexFunc(keys, func(k Key) bool { return k.ID == h.Key })
	if at < 0 {
		return fmt.Errorf("%w: its head is signed with the key %.32q, which is not one of this platform", ErrBroken, h.Key)
	}
	if !keys[at].verifies(h.statement(), h.Signature) {
		return fmt.Errorf("%w: the signature of its head is not valid", ErrBroken)
	}
	return nil
}

// A Signer signs for one platform. It is safe for concurrent use.
type Signer interface {
	// Sign signs with the newest key, and names it.
	Sign(message []byte) (key string, signature []byte, err error)
	// Keys are those that the signer has, the newest first.
	Keys() ([]Key, error)
}

// A Key checks signatures. One that the signer no longer has is trusted if a newer one
// that is trusted has signed it.
type Key struct {
	// ID is the fingerprint of Public.
	ID string `json:"id"`
	// Version is that of the master key.
	Version uint32 `json:"version"`
	Public  []byte `json:"public"`
	// By is the id of the key that has signed this one, with Signature.
	By        string `json:"by,omitempty"`
	Signature []byte `json:"signature,omitempty"`
}

// NewKey names a public key.
func NewKey(version uint32, public ed25519.PublicKey) Key {
	sum := sha256.Sum256(public)
	return Key{ID: hex.EncodeToString(sum[:16]), Version: version, Public: public}
}

func (k *Key) verifies(message, signature []byte) bool {
	return len(k.Public) == ed25519.PublicKeySize && ed25519.Verify(k.Public, message, signature)
}

func (k *Key) statement() []byte {
	return fmt.Appendf(nil, "qhubctl audit key 1\n%q\n%d\n%x\n", k.ID, k.Version, k.Public)
}

// Endorse signs a key with the newest key of the signer.
func (k *Key) Endorse(s Signer) (err error) {
	k.By, k.Signature, err = s.Sign(k.statement())
	if err != nil {
		return fmt.Errorf("sign a key of the audit log: %w", err)
	}
	return nil
}

// Trusted are the keys of the signer, and those that keys which are trusted have signed.
func Trusted(s Signer, kept []Key) ([]Key, error) {
	trusted, err := s.Keys()
	if err != nil {
		return nil, err
	}
	for grown := true; grown; {
		grown = false
		for _, k := range kept {
			if slices.ContainsFunc(trusted, func(t Key) bool { return t.ID == k.ID }) || NewKey(k.Version, k.Public).ID != k.ID {
				continue
			}
			by := slices.IndexFunc(trusted, func(t Key) bool { return t.ID == k.By })
			if by >= 0 && trusted[by].verifies(k.statement(), k.Signature) {
				trusted, grown = append(trusted, k), true
			}
		}
	}
	return trusted, nil
}
