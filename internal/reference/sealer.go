package reference

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// A sealer seals values with a key that lives as long as this process.
type sealer struct{ aead cipher.AEAD }

func newSealer() (*sealer, error) {
	key := make([]byte, 32)
	defer clear(key)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make a key for values: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &sealer{aead}, err
}

// seal seals a value for a reference.
func (s *sealer) seal(value plaintext.Bytes, text string) ([]byte, error) {
	//nolint:gosec // it makes a random nonce
	return s.aead.Seal(nil, nil, value.Reveal(), []byte(text)), nil
}

func (s *sealer) open(sealed []byte, text string) (plaintext.Bytes, error) {
	value, err := s.aead.Open(nil, nil, sealed, []byte(text))
	if err != nil {
		return plaintext.Bytes{}, fmt.Errorf("open a kept value: %w", err)
	}
	return plaintext.New(value), nil
}
