package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"
)

// The headers of the published clients.
const (
	headerToken        = "X-Auth-Token"
	headerOrganization = "X-OrganizationId"
)

var _ Authenticator = (*Service)(nil)

// Challenge asks programs for a token, and browsers for one as a password.
func (s *Service) Challenge() string {
	return `Bearer realm="qhubctl", Basic realm="qhubctl", charset="UTF-8"`
}

// Authenticate implements [Authenticator]. A credential stands in X-Auth-Token, after
// Authorization: Bearer, or is the password of any user.
//
// A credential that is missing, malformed, unknown, expired or revoked takes the same
// path to the same error. An error of another kind is one of the store.
func (s *Service) Authenticate(r *http.Request) (Principal, error) {
	now := s.Now()
	value := credential(r)
	key := cacheKey{sha256.Sum256([]byte(value)), r.Header.Get(headerOrganization)}
	changes := s.changes.Load()
	p, ok := s.cache.principal(key, now, changes)
	if !ok {
		found, err := s.identify(r.Context(), value, key, now)
		if err != nil {
			return Principal{}, s.failed(r, err, now)
		}
		found.changes = changes
		s.cache.put(key, found)
		p = found.principal
	}
	if p.Kind == Execution {
		if err := s.stillRuns(r.Context(), p.ID); err != nil {
			return Principal{}, s.failed(r, err, now)
		}
	}
	return p, nil
}

// failed counts a failure of an address.
func (s *Service) failed(r *http.Request, err error, now time.Time) error {
	if !errors.Is(err, ErrUnauthenticated) {
		return err
	}
	from := network(s.Address(r))
	if credential(r) != "" {
		s.rejected.note(from, now)
	}
	if !s.failures.allow(from, now) {
		return ErrTooManyFailures
	}
	return err
}

// credential is what a request shows; empty if nothing.
func credential(r *http.Request) string {
	if token := strings.TrimSpace(r.Header.Get(headerToken)); token != "" {
		return token
	}
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// identify finds out whose a credential is.
func (s *Service) identify(ctx context.Context, value string, key cacheKey, now time.Time) (cached, error) {
	var found cached
	var err error
	switch {
	case strings.HasPrefix(value, executionPrefix):
		found, err = s.identifyExecution(value, now)
	case strings.Count(value, ".") == 2:
		found, err = s.identifyApplication(ctx, value, now)
	default:
		found, err = s.identifyPerson(ctx, key, now)
	}
	if err != nil {
		return cached{}, err
	}
	if until := now.Add(cacheFor); found.until.IsZero() || until.Before(found.until) {
		found.until = until
	}
	return found, nil
}

func (s *Service) identifyPerson(ctx context.Context, key cacheKey, now time.Time) (cached, error) {
	token, stored, err := s.Store.TokenByDigest(ctx, key.digest[:])
	if err != nil && !errors.Is(err, ErrNotFound) {
		return cached{}, err
	}
	var kept [sha256.Size]byte // of no token, for one that does not exist
	copy(kept[:], stored)
	same := subtle.ConstantTimeCompare(kept[:], key.digest[:]) == 1
	if !same || expired(token.ExpiresAt, now) {
		return cached{}, ErrUnauthenticated
	}
	tenant, role := token.User, Owner
	if key.organization != "" && key.organization != token.User {
		tenant = key.organization
		if len(tenant) > maxID {
			return cached{}, ErrNotMember
		}
		role, err = s.Store.Role(ctx, tenant, token.User)
		if errors.Is(err, ErrNotFound) {
			return cached{}, ErrNotMember
		}
		if err != nil {
			return cached{}, err
		}
	}
	s.noteUse(token.ID, token.UsedAt, now)
	return cached{until: token.ExpiresAt, principal: Principal{
		Kind: Person, ID: token.User, Tenant: tenant, Role: role, Credential: token.ID,
		Rights: rights.ofPerson(role, token.Scopes),
	}}, nil
}

func (s *Service) identifyExecution(value string, now time.Time) (cached, error) {
	t, err := s.signer.verifyExecution(value, now)
	if err != nil {
		return cached{}, err
	}
	return cached{until: t.expires, principal: Principal{
		Kind: Execution, ID: t.execution, Tenant: t.tenant, Application: t.application, Credential: t.execution, Rights: rights.execution,
	}}, nil
}

func (s *Service) identifyApplication(ctx context.Context, value string, now time.Time) (cached, error) {
	c, err := s.signer.verify(value, now, typeAccess)
	if err != nil {
		return cached{}, err
	}
	until := c.ExpiresAt.Time
	// A key that was rotated has expired, but its tokens run out; a revoked one is gone.
	key, err := s.Store.Key(ctx, c.Key)
	if errors.Is(err, ErrNotFound) || err == nil && key.Application != c.Subject {
		return cached{}, ErrUnauthenticated
	}
	if err != nil {
		return cached{}, err
	}
	s.noteUse(key.ID, key.UsedAt, now)
	return cached{until: until, principal: Principal{
		Kind: Application, ID: key.Application, Tenant: key.Tenant, Application: key.Application, Credential: key.ID, Rights: rights.application,
	}}, nil
}

// ExecutionOf returns the id of the running execution that a token belongs to.
// [ErrUnauthenticated]: it is no such token.
func (s *Service) ExecutionOf(ctx context.Context, token string) (string, error) {
	t, err := s.signer.verifyExecution(token, s.Now())
	if err != nil {
		return "", err
	}
	return t.execution, s.stillRuns(ctx, t.execution)
}

// stillRuns reports an execution that does not run as a token that is not valid.
func (s *Service) stillRuns(ctx context.Context, id string) error {
	if s.Executions == nil {
		return ErrUnauthenticated
	}
	runs, err := s.Executions.Running(ctx, id)
	if err == nil && !runs {
		return ErrUnauthenticated
	}
	return err
}

func expired(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// Authorize narrows the rights of a principal to those that it has on the executions
// of one service. [ErrNotFound]: the service does not exist for this caller.
//
// A person has its rights on services of the tenant that it acts for. An execution has
// them on services of the tenant that owns its service, and an application on services
// that it is subscribed to.
func (s *Service) Authorize(ctx context.Context, p Principal, service ServiceRef) (Principal, error) {
	allowed := false
	switch p.Kind {
	case Person, Execution:
		allowed = service.Tenant != "" && p.Tenant == service.Tenant
	case Application:
		var err error
		if allowed, err = s.subscribed(ctx, p.ID, service.ID); err != nil {
			return Principal{}, err
		}
	}
	if !allowed {
		return Principal{}, ErrNotFound
	}
	return p, nil
}

func (s *Service) subscribed(ctx context.Context, application, service string) (bool, error) {
	now, changes := s.Now(), s.changes.Load()
	key := [2]string{application, service}
	if yes, ok := s.cache.subscription(key, now, changes); ok {
		return yes, nil
	}
	yes, err := s.Store.Subscribed(ctx, application, service)
	if err != nil {
		return false, err
	}
	s.cache.putSubscription(key, subscribed{yes: yes, until: now.Add(cacheFor), changes: changes})
	return yes, nil
}
