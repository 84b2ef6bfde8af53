package audit

import "github.com/qhubctl/qhubctl/internal/vault"

// NewSigner signs with keys that a master key makes.
func NewSigner(ring *vault.Keyring) Signer { return keyringSigner{ring} }

type keyringSigner struct{ ring *vault.Keyring }

// Sign implements [Signer].
func (s keyringSigner) Sign(message []byte) (string, []byte, error) {
	key, signature, err := s.ring.Sign(SigningPurpose, message)
	if err != nil {
		return "", nil, err
	}
	return NewKey(key.Version, key.Public).ID, signature, nil
}

// Keys implements [Signer].
func (s keyringSigner) Keys() ([]Key, error) {
	found, err := s.ring.VerifyKeys(SigningPurpose)
	keys := make([]Key, 0, len(found))
	for _, k := range found {
		keys = append(keys, NewKey(k.Version, k.Public))
	}
	return keys, err
}
