package access

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// The types of tokens that are signed. A token of one type is no token of another.
const (
	typeAccess = "at+jwt" // RFC 9068
	typeGrant  = "grant+jwt"
)

const (
	issuer      = "qhubctl"
	privateName = "privateKey" // of a signing key, in the vault
)

// claims are what a signed token says.
type claims struct {
	jwt.RegisteredClaims
	// Tenant is the id of the tenant that the subject belongs to.
	Tenant string `json:"tenant,omitempty"`
	// Key is the access key by which an access token was got.
	Key string `json:"key,omitempty"`
	// Application is the one that a grant is for.
	Application string `json:"application,omitempty"`
	// Pool and Permission are of a grant.
	Pool       string `json:"dataPool,omitempty"`
	Permission string `json:"permission,omitempty"`
}

// A signer signs tokens with the newest key, and verifies those of all keys.
type signer struct {
	mu      sync.RWMutex
	current string
	private plaintext.Bytes
	made    time.Time
	public  map[string]ed25519.PublicKey
	order   []string // the newest first
}

func newSigningKey(ring *vault.Keyring, now time.Time) (SigningKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return SigningKey{}, err
	}
	value := plaintext.New(private)
	defer value.Clear()
	key := SigningKey{ID: rand.Text()[:16], Public: public, CreatedAt: now}
	key.Sealed, err = ring.Seal(vault.SigningKeyOwner(key.ID), vault.Secrets{privateName: value})
	return key, err
}

// newest is when the key was made that signs; zero without one.
func (s *signer) newest() time.Time {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.made
}

// load takes keys over, the newest first.
func (s *signer) load(ring *vault.Keyring, keys []SigningKey) error {
	if len(keys) == 0 {
		return errors.New("no key signs tokens")
	}
	secrets, err := ring.Open(vault.SigningKeyOwner(keys[0].ID), keys[0].Sealed)
	if err != nil {
		return err
	}
	if private := secrets[privateName]; private.Len() != ed25519.PrivateKeySize {
		secrets.Clear()
		return vault.ErrTampered
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.private.Clear()
	s.current, s.private, s.made = keys[0].ID, secrets[privateName], keys[0].CreatedAt
	s.public, s.order = map[string]ed25519.PublicKey{}, nil
	for _, key := range keys {
		s.public[key.ID] = key.Public
		s.order = append(s.order, key.ID)
	}
	return nil
}

func (s *signer) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.private.Clear()
}

// sign makes a token of a type.
func (s *signer) sign(kind string, c *claims) (plaintext.Bytes, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.private.Len() != ed25519.PrivateKeySize {
		return plaintext.Bytes{}, errors.New("no key signs tokens")
	}
	c.Issuer = issuer
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	token.Header["typ"], token.Header["kid"] = kind, s.current
	text, err := token.SignedString(ed25519.PrivateKey(s.private.Reveal()))
	if err != nil {
		return plaintext.Bytes{}, fmt.Errorf("sign a token: %w", err)
	}
	return plaintext.FromString(text), nil
}

// verify reads a token of a type. All failures are the same error.
func (s *signer) verify(text string, now time.Time, kind string) (*claims, error) {
	c := &claims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithIssuer(issuer), jwt.WithExpirationRequired(),
		jwt.WithStrictDecoding(), jwt.WithTimeFunc(func() time.Time { return now }))
	_, err := parser.ParseWithClaims(text, c, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		s.mu.RLock()
		defer s.mu.RUnlock()
		if public, ok := s.public[id]; ok && t.Header["typ"] == kind {
			return public, nil
		}
		return nil, ErrUnauthenticated
	})
	if err != nil {
		return nil, ErrUnauthenticated
	}
	return c, nil
}

// A JWK is a public key that verifies tokens (RFC 7517 and 8037).
type JWK struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	X         string `json:"x"`
}

// Keys are the public keys of all tokens that are valid, the newest first.
func (s *Service) Keys() []JWK {
	s.signer.mu.RLock()
	defer s.signer.mu.RUnlock()
	keys := make([]JWK, 0, len(s.signer.order))
	for _, id := range s.signer.order {
		keys = append(keys, JWK{
			Type: "OKP", Curve: "Ed25519", Use: "sig", Algorithm: "EdDSA", ID: id,
			X: base64.RawURLEncoding.EncodeToString(s.signer.public[id]),
		})
	}
	return keys
}
