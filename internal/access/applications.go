package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/vault"
)

const (
	// secretName is the name of the secret of an access key in the vault.
	secretName = "secretAccessKey"
	// executionTokenLifetime bounds an execution token whose execution never ends.
	executionTokenLifetime = 30 * 24 * time.Hour
	// maxKeyLifetime bounds the expiry that a caller may ask for.
	maxKeyLifetime = 10 * 365 * 24 * time.Hour
)

// may checks a right of a person or execution in its tenant.
func may(p Principal, right Right) error {
	if p.Tenant == "" || !p.May(right) {
		return ErrForbidden
	}
	return nil
}

// newAccessKey makes a key, and its secret, which the caller clears.
func (s *Service) newAccessKey(tenant, application string, lifetime time.Duration) (StoredKey, plaintext.Bytes, error) {
	now := s.Now()
	secret, _ := newSecret("qhs_")
	key := StoredKey{
		Key:    Key{ID: "qhk_" + rand.Text(), Application: application, CreatedAt: now, RevealUntil: now.Add(RevealFor)},
		Digest: digest(secret.Reveal()), Tenant: tenant,
	}
	if lifetime > 0 {
		key.ExpiresAt = now.Add(lifetime)
	}
	sealed, err := s.Keyring.Seal(vault.AccessKeyOwner(key.ID), vault.Secrets{secretName: secret})
	key.Sealed = sealed
	return key, secret, err
}

// CreateApplication makes an application with one access key.
func (s *Service) CreateApplication(ctx context.Context, p Principal, name string) (App, error) {
	if err := may(p, ManageApplications); err != nil {
		return App{}, err
	}
	name, err := checkName("name of an application", name)
	if err != nil {
		return App{}, err
	}
	apps, err := s.Store.Applications(ctx, p.Tenant)
	if err != nil {
		return App{}, err
	}
	if len(apps) >= maxApplications {
		return App{}, fmt.Errorf("%w: there are %d applications", ErrConflict, len(apps))
	}
	app := App{ID: uuid.NewString(), Tenant: p.Tenant, Name: name, CreatedAt: s.Now()}
	key, secret, err := s.newAccessKey(p.Tenant, app.ID, 0)
	defer secret.Clear()
	if err != nil {
		return App{}, err
	}
	audit.Note(ctx, "application", app.ID)
	audit.Note(ctx, "name", name)
	audit.Note(ctx, "accessKey", key.ID)
	return app, s.Store.CreateApplication(ctx, app, key)
}

// Applications are those of the caller's tenant, by name.
func (s *Service) Applications(ctx context.Context, p Principal) ([]App, error) {
	if err := may(p, ViewTenant); err != nil {
		return nil, err
	}
	return s.Store.Applications(ctx, p.Tenant)
}

// Application reads an application of the caller's tenant.
func (s *Service) Application(ctx context.Context, p Principal, id string) (App, error) {
	if err := may(p, ViewTenant); err != nil {
		return App{}, err
	}
	return s.Store.Application(ctx, p.Tenant, id)
}

// DeleteApplication deletes an application. Its tokens end at once.
func (s *Service) DeleteApplication(ctx context.Context, p Principal, id string) error {
	if err := may(p, ManageApplications); err != nil {
		return err
	}
	defer s.changed()
	return s.Store.DeleteApplication(ctx, p.Tenant, id)
}

// A RevealedKey is an access key with its secret, as long as that can be read.
type RevealedKey struct {
	Key
	Secret plaintext.Bytes // empty if it cannot be read
}

// AccessKeys are the live keys of an application, with their secrets as long as an
// OWNER can read them. Callers with fewer rights, as far as they see the
// application, get the keys without secrets. The caller clears the secrets.
func (s *Service) AccessKeys(ctx context.Context, p Principal, application string) ([]RevealedKey, error) {
	if _, err := s.Application(ctx, p, application); err != nil {
		return nil, err
	}
	if err := s.flushUses(ctx); err != nil {
		return nil, err
	}
	now := s.Now()
	stored, err := s.Store.Keys(ctx, p.Tenant, application, now)
	if err != nil {
		return nil, err
	}
	keys := make([]RevealedKey, 0, len(stored))
	for _, key := range stored {
		revealed := RevealedKey{Key: key.Key}
		if p.May(ManageKeys) && len(key.Sealed) > 0 && (s.RevealAccessKeys || now.Before(key.RevealUntil)) {
			secrets, err := s.Keyring.Open(vault.AccessKeyOwner(key.ID), key.Sealed)
			if err != nil {
				return nil, fmt.Errorf("open the secret of access key %s: %w", key.ID, err)
			}
			revealed.Secret = secrets[secretName]
		}
		keys = append(keys, revealed)
	}
	return keys, nil
}

// CreateAccessKey adds a key to an application. A lifetime of zero means that it does
// not expire. The caller clears the secret.
func (s *Service) CreateAccessKey(ctx context.Context, p Principal, application string, lifetime time.Duration) (RevealedKey, error) {
	return s.addKey(ctx, p, application, lifetime, "", time.Time{})
}

// RotateAccessKey adds a key that takes the place of another one. That one gets tokens
// for a grace period longer, and its tokens run out.
func (s *Service) RotateAccessKey(ctx context.Context, p Principal, application, id string, grace time.Duration) (RevealedKey, error) {
	if grace < 0 || grace > 30*24*time.Hour {
		return RevealedKey{}, invalid("grace period: it may be up to 30 days")
	}
	return s.addKey(ctx, p, application, 0, id, s.Now().Add(grace))
}

func (s *Service) addKey(ctx context.Context, p Principal, application string, lifetime time.Duration, replaced string, until time.Time) (RevealedKey, error) {
	if err := may(p, ManageKeys); err != nil {
		return RevealedKey{}, err
	}
	if lifetime < 0 || lifetime > maxKeyLifetime {
		return RevealedKey{}, invalid("lifetime: it may be up to ten years")
	}
	key, secret, err := s.newAccessKey(p.Tenant, application, lifetime)
	if err == nil {
		audit.Note(ctx, "accessKey", key.ID)
		err = s.Store.AddKey(ctx, key, replaced, until)
	}
	if err != nil {
		secret.Clear()
		return RevealedKey{}, err
	}
	return RevealedKey{Key: key.Key, Secret: secret}, nil
}

// DeleteAccessKey revokes a key. Its tokens end at once.
func (s *Service) DeleteAccessKey(ctx context.Context, p Principal, application, id string) error {
	if err := may(p, ManageKeys); err != nil {
		return err
	}
	defer s.changed()
	return s.Store.DeleteKey(ctx, p.Tenant, application, id)
}

// IssueToken gives an access token for an access key and its secret: the client
// credentials grant of OAuth 2.0. address is the caller's.
func (s *Service) IssueToken(ctx context.Context, id string, secret plaintext.Bytes, address string) (plaintext.Bytes, error) {
	now := s.Now()
	key, err := s.Store.Key(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return plaintext.Bytes{}, err
	}
	var stored [sha256.Size]byte // of no secret, for a key that does not exist
	copy(stored[:], key.Digest)
	given := sha256.Sum256(secret.Reveal())
	same := subtle.ConstantTimeCompare(stored[:], given[:]) == 1
	if !same || expired(key.ExpiresAt, now) {
		s.rejected.note(network(address), now)
		if !s.failures.allow(network(address), now) {
			return plaintext.Bytes{}, ErrTooManyFailures
		}
		return plaintext.Bytes{}, ErrUnauthenticated
	}
	if !s.issuing.allow(id, now) {
		return plaintext.Bytes{}, ErrTooManyFailures
	}
	s.noteUse(key.ID, key.UsedAt, now)
	if s.logins.allow(key.ID, now) {
		p := Principal{Kind: Application, ID: key.Application, Tenant: key.Tenant, Credential: key.ID}
		if err := s.record(ctx, p, "login", now); err != nil {
			return plaintext.Bytes{}, err
		}
	}
	return s.signer.sign(typeAccess, &claims{
		RegisteredClaims: registered(key.Application, now, AccessTokenLifetime), Tenant: key.Tenant, Key: key.ID,
	})
}

func registered(subject string, now time.Time, lifetime time.Duration) jwt.RegisteredClaims {
	return jwt.RegisteredClaims{
		Subject: subject, ID: uuid.NewString(), IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
	}
}

// ExecutionToken gives the token of an execution, which ends with it. tenant is the
// owner of its service, application the one that started it, or empty.
func (s *Service) ExecutionToken(id, tenant, application string) (plaintext.Bytes, error) {
	return s.signer.signExecution(s.Now().Add(executionTokenLifetime), id, tenant, application)
}

// A Grant lets the executions that an application starts use a data pool.
type Grant struct {
	Pool, Application, Permission string
	ExpiresAt                     time.Time
}

// GrantLifetime is how long a grant can be used.
const GrantLifetime = 10 * time.Minute

// IssueGrant signs a grant. The caller has checked that its principal may give it.
func (s *Service) IssueGrant(g Grant) (plaintext.Bytes, Grant, error) {
	c := &claims{
		RegisteredClaims: registered(g.Pool, s.Now(), GrantLifetime), Application: g.Application, Pool: g.Pool, Permission: g.Permission,
	}
	g.ExpiresAt = c.ExpiresAt.Time
	token, err := s.signer.sign(typeGrant, c)
	return token, g, err
}

// OpenGrant verifies a grant. [ErrUnauthenticated]: it is none, or has expired.
func (s *Service) OpenGrant(token string) (Grant, error) {
	c, err := s.signer.verify(token, s.Now(), typeGrant)
	if err != nil {
		return Grant{}, err
	}
	return Grant{Pool: c.Pool, Application: c.Application, Permission: c.Permission, ExpiresAt: c.ExpiresAt.Time}, nil
}

// Subscribe subscribes an application of the caller's tenant to a service, which the
// caller has checked to be open to that tenant.
func (s *Service) Subscribe(ctx context.Context, p Principal, application, service string) (Subscription, error) {
	if err := may(p, ManageApplications); err != nil {
		return Subscription{}, err
	}
	app, err := s.Store.Application(ctx, p.Tenant, application)
	if err != nil {
		return Subscription{}, err
	}
	defer s.changed()
	audit.Note(ctx, "application", application)
	audit.Note(ctx, "service", service)
	return s.Store.Subscribe(ctx, p.Tenant, Subscription{ID: uuid.NewString(), Application: app, Service: service, CreatedAt: s.Now()})
}

// Subscriptions are those of the applications of the caller's tenant, as far as a
// query names them.
func (s *Service) Subscriptions(ctx context.Context, p Principal, q SubscriptionQuery) ([]Subscription, error) {
	if err := may(p, ViewTenant); err != nil {
		return nil, err
	}
	q.Tenant = p.Tenant
	return s.Store.Subscriptions(ctx, q)
}

// SubscriptionsOf are all subscriptions of a service, of any tenant. The caller has
// checked that its principal may see them.
func (s *Service) SubscriptionsOf(ctx context.Context, service string) ([]Subscription, error) {
	return s.Store.Subscriptions(ctx, SubscriptionQuery{Service: service})
}

// Unsubscribe ends a subscription of the caller's tenant.
func (s *Service) Unsubscribe(ctx context.Context, p Principal, id string) error {
	if err := may(p, ManageApplications); err != nil {
		return err
	}
	if id == "" {
		return ErrNotFound
	}
	defer s.changed()
	n, err := s.Store.Unsubscribe(ctx, SubscriptionQuery{Tenant: p.Tenant, ID: id})
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

// UnsubscribeAll ends all subscriptions of a service, of any tenant, as when it is
// deleted or no longer published.
func (s *Service) UnsubscribeAll(ctx context.Context, service string) error {
	if service == "" {
		return ErrNotFound
	}
	defer s.changed()
	_, err := s.Store.Unsubscribe(ctx, SubscriptionQuery{Service: service})
	return err
}
