package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

const (
	// ownerTokenName is the token that a server makes at its first start.
	ownerTokenName = "first start"
	// maxTokens, maxOrganizations and maxApplications bound what one tenant makes.
	maxTokens        = 100
	maxOrganizations = 100
	maxApplications  = 1000
	maxName          = 100
)

// secretBytes is how much of a secret is random: 256 bits.
const secretBytes = 32

// newSecret makes a secret with a prefix that says what it is, and the part of it that
// can be shown: the prefix and six random characters, which tell secrets apart.
func newSecret(prefix string) (value plaintext.Bytes, shown string) {
	shown = prefix + rand.Text()[:6]
	random := make([]byte, secretBytes)
	_, _ = rand.Read(random) // never fails
	defer clear(random)
	text := base64.RawURLEncoding.AppendEncode([]byte(shown+"_"), random)
	return plaintext.New(text), shown
}

func digest(value []byte) []byte {
	sum := sha256.Sum256(value)
	return sum[:]
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// checkName refuses names that a person could not read or tell apart.
func checkName(what, name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return "", invalid("%s: it is empty", what)
	case utf8.RuneCountInString(name) > maxName:
		return "", invalid("%s: it has more than %d characters", what, maxName)
	case !utf8.ValidString(name), strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", invalid("%s: it may have printable characters only", what)
	}
	return name, nil
}

var userName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)

func newUser(name, displayName string, now time.Time) (Tenant, error) {
	if !userName.MatchString(name) {
		return Tenant{}, invalid("user name: it may have lower-case letters, digits, and inside . _ and -; at most 64")
	}
	if displayName == "" {
		displayName = name
	}
	displayName, err := checkName("display name", displayName)
	return Tenant{ID: uuid.NewString(), Kind: User, Name: name, DisplayName: displayName, CreatedAt: now}, err
}

// OwnerToken makes the first user of a platform, unless it exists, and a token for it
// that does not expire. A token that a former call has made is revoked: a caller
// that could not keep it calls again.
func (s *Service) OwnerToken(ctx context.Context, name string) (plaintext.Bytes, error) {
	defer s.changed()
	now := s.Now()
	user, err := s.Store.UserByName(ctx, name)
	if errors.Is(err, ErrNotFound) {
		if user, err = newUser(name, "", now); err == nil {
			err = s.Store.CreateUser(ctx, user)
		}
	}
	if err != nil {
		return plaintext.Bytes{}, err
	}
	former, err := s.Store.Tokens(ctx, user.ID)
	if err != nil {
		return plaintext.Bytes{}, err
	}
	token, value := newToken(user.ID, ownerTokenName, AllScopes(), time.Time{}, now)
	if err := s.Store.CreateToken(ctx, token, digest(value.Reveal())); err != nil {
		return plaintext.Bytes{}, err
	}
	for _, old := range former {
		if old.Name == ownerTokenName {
			err = errors.Join(err, s.Store.DeleteToken(ctx, user.ID, old.ID))
		}
	}
	return value, err
}

func newToken(user, name string, scopes []Scope, expires, now time.Time) (Token, plaintext.Bytes) {
	value, prefix := newSecret("qhp_")
	return Token{
		ID: uuid.NewString(), User: user, Name: name, Prefix: prefix, Scopes: scopes, CreatedAt: now, ExpiresAt: expires,
	}, value
}

// User reads a user.
func (s *Service) User(ctx context.Context, id string) (Tenant, error) {
	t, err := s.Store.Tenant(ctx, id)
	if err == nil && t.Kind != User {
		return Tenant{}, ErrNotFound
	}
	return t, err
}

// Tenant reads a user or an organization.
func (s *Service) Tenant(ctx context.Context, id string) (Tenant, error) {
	return s.Store.Tenant(ctx, id)
}

// CreateToken makes a token for the caller, and returns its value, which is not shown
// again. No scopes means those of the caller's token. A token cannot have more
// scopes than the one that makes it. A zero time means that it does not expire.
func (s *Service) CreateToken(ctx context.Context, p Principal, name string, scopes []Scope, expires time.Time) (Token, plaintext.Bytes, error) {
	none := plaintext.Bytes{}
	if p.Kind != Person || !p.May(ManageTokens) {
		return Token{}, none, ErrForbidden
	}
	name, err := checkName("name of a token", name)
	if err != nil {
		return Token{}, none, err
	}
	now := s.Now()
	if expired(expires, now) {
		return Token{}, none, invalid("expiry: it is in the past")
	}
	tokens, err := s.Store.Tokens(ctx, p.ID)
	if err != nil {
		return Token{}, none, err
	}
	if len(tokens) >= maxTokens {
		return Token{}, none, fmt.Errorf("%w: you have %d tokens; revoke some first", ErrConflict, len(tokens))
	}
	has := scopesOf(tokens, p.Credential)
	if len(scopes) == 0 {
		scopes = has
	}
	for _, scope := range scopes {
		if !scope.Valid() {
			return Token{}, none, invalid("scope: there are %v", AllScopes())
		}
		if !slices.Contains(has, scope) {
			return Token{}, none, fmt.Errorf("%w: your own token lacks the scope %q", ErrForbidden, scope)
		}
	}
	token, value := newToken(p.ID, name, scopes, expires, now)
	audit.Note(ctx, "token", token.ID)
	audit.Note(ctx, "name", name)
	audit.Note(ctx, "scopes", joinScopes(scopes))
	return token, value, s.Store.CreateToken(ctx, token, digest(value.Reveal()))
}

func scopesOf(tokens []Token, id string) []Scope {
	for _, token := range tokens {
		if token.ID == id {
			return token.Scopes
		}
	}
	return nil
}

// Tokens are the caller's own, the newest first.
func (s *Service) Tokens(ctx context.Context, p Principal) ([]Token, error) {
	if p.Kind != Person || !p.May(Identify) {
		return nil, ErrForbidden
	}
	if err := s.flushUses(ctx); err != nil {
		return nil, err
	}
	return s.Store.Tokens(ctx, p.ID)
}

// DeleteToken revokes a token of the caller at once. Any token may revoke itself.
func (s *Service) DeleteToken(ctx context.Context, p Principal, id string) error {
	if p.Kind != Person || !p.May(ManageTokens) && p.Credential != id {
		return ErrForbidden
	}
	defer s.changed()
	return s.Store.DeleteToken(ctx, p.ID, id)
}

// Accounts are what a person can act for: itself first, then its organizations.
func (s *Service) Accounts(ctx context.Context, user string) ([]Membership, error) {
	self, err := s.User(ctx, user)
	if err != nil {
		return nil, err
	}
	organizations, err := s.Store.Memberships(ctx, user)
	return append([]Membership{{Tenant: self, Role: Owner}}, organizations...), err
}
