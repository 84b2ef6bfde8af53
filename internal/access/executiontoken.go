package access

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// The form of an execution token is our own. It is a secret of each execution, and
// each masker has to know it: a JWT is three times as long.
//
//	qhe_ base64url( form, expiry, execution, tenant, application, signature )
const (
	executionPrefix = "qhe_"
	executionForm   = 1
	// executionDomain is signed with the token: no signature of a JWT fits.
	executionDomain = "qhubctl execution token\x00"
	// packedUUID is the length of an id that is a UUID.
	packedUUID = 0x80 | 16
)

// signExecution makes the token of an execution.
func (s *signer) signExecution(expires time.Time, execution, tenant, application string) (plaintext.Bytes, error) {
	body := binary.BigEndian.AppendUint32([]byte{executionForm}, uint32(expires.Unix()))
	for _, id := range []string{execution, tenant, application} {
		if len(id) > maxID {
			return plaintext.Bytes{}, invalid("id: it is too long for a token")
		}
		if u, err := uuid.Parse(id); err == nil && u.String() == id {
			body = append(append(body, packedUUID), u[:]...)
		} else {
			body = append(append(body, byte(len(id))), id...)
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.private.Len() != ed25519.PrivateKeySize {
		return plaintext.Bytes{}, errors.New("no key signs tokens")
	}
	body = append(body, ed25519.Sign(s.private.Reveal(), append([]byte(executionDomain), body...))...)
	return plaintext.FromString(executionPrefix + base64.RawURLEncoding.EncodeToString(body)), nil
}

// An executionToken is what the token of an execution says.
type executionToken struct {
	expires                        time.Time
	execution, tenant, application string
}

// verifyExecution reads the token of an execution. All failures are the same error.
func (s *signer) verifyExecution(text string, now time.Time) (executionToken, error) {
	body, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimPrefix(text, executionPrefix))
	split := len(body) - ed25519.SignatureSize
	if err != nil || split < 1 || body[0] != executionForm || !s.signed(append([]byte(executionDomain), body[:split]...), body[split:]) {
		return executionToken{}, ErrUnauthenticated
	}
	t, ok := readExecution(body[1:split])
	if !ok || !now.Before(t.expires) {
		return executionToken{}, ErrUnauthenticated
	}
	return t, nil
}

// signed reports whether one of the keys has made a signature.
func (s *signer) signed(message, signature []byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, public := range s.public {
		if ed25519.Verify(public, message, signature) {
			return true
		}
	}
	return false
}

func readExecution(body []byte) (t executionToken, ok bool) {
	if len(body) < 4 {
		return t, false
	}
	t.expires = time.Unix(int64(binary.BigEndian.Uint32(body)), 0)
	body = body[4:]
	for _, into := range []*string{&t.execution, &t.tenant, &t.application} {
		if len(body) == 0 {
			return t, false
		}
		packed, length := body[0] == packedUUID, int(body[0]&^0x80)
		if body = body[1:]; len(body) < length {
			return t, false
		}
		*into = string(body[:length])
		if packed {
			*into = uuid.UUID(body[:length]).String()
		}
		body = body[length:]
	}
	return t, len(body) == 0
}
