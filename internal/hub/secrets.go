package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// storedSecrets gives the executions of a version the secrets that are stored for its
// service.
type storedSecrets struct {
	hub              *Hub
	service, version string // the ids
	signature        *signature.Signature
}

var _ engine.StoredSecrets = (*storedSecrets)(nil)

// Offer implements [engine.StoredSecrets]. The environment of the service takes
// precedence over secrets of its tenant: it is nearer to the service.
func (s *storedSecrets) Offer(ctx context.Context) (map[string]engine.StoredVersion, error) {
	caller := access.From(ctx)
	candidates, err := s.hub.secrets.Offer(ctx, caller, s.service)
	if err != nil || len(candidates) == 0 {
		return nil, err
	}
	environment, err := s.hub.secretNames(ctx, s.version)
	if err != nil {
		return nil, err
	}
	offered := make(map[string]engine.StoredVersion, len(candidates))
	for name, c := range candidates {
		p, ok := s.signature.Lookup(name)
		if !ok || p.Kind != signature.Secret || c.Place.Kind == secretstore.OfTenant && slices.Contains(environment, p.Env) {
			continue
		}
		fixed := !c.Override.Allows(caller.Tenant, c.Place.Tenant)
		offered[name] = engine.StoredVersion{Version: c.Pin, Fixed: fixed, From: func() string { return storedFrom(c, caller.Tenant, fixed) }}
	}
	return offered, nil
}

// storedFrom says in a description where a secret is stored. Callers of other accounts do
// not learn the version.
func storedFrom(c secretstore.Candidate, tenant string, fixed bool) string {
	text := "The provider of the service has stored it"
	if c.Place.Tenant == tenant {
		of := map[secretstore.Kind]string{secretstore.OfService: "service", secretstore.OfSubscription: "subscription", secretstore.OfTenant: "account"}[c.Place.Kind]
		text = fmt.Sprintf("Stored for the %s, version %d", of, c.Number)
	}
	if fixed {
		return text + "; requests may not bring it."
	}
	return text + "; requests may leave it out."
}

// Open implements [engine.StoredSecrets].
func (s *storedSecrets) Open(ctx context.Context, e execution.Execution, pins map[string]int64) (map[string]engine.ResolvedSecret, error) {
	opened, err := s.hub.secrets.OpenPinned(ctx, pins)
	if reference, ok := errors.AsType[*secretstore.ReferenceError](err); ok {
		return nil, &engine.SourceError{Reason: reference.Public(e.TenantID), Err: err}
	}
	if err != nil {
		return nil, err
	}
	resolved := make(map[string]engine.ResolvedSecret, len(opened))
	for name, o := range opened {
		resolved[name] = engine.ResolvedSecret{Value: o.Value, From: o.From, Owner: o.Tenant}
	}
	return resolved, nil
}

// Used implements [engine.StoredSecrets].
func (s *storedSecrets) Used(e execution.Execution, pins map[string]int64) {
	s.hub.secrets.NoteUse(e.ID.String(), pins)
}

// secretServices tells the store of secrets about services.
type secretServices struct{ hub *Hub }

var _ secretstore.Services = (*secretServices)(nil)

// Owner implements [secretstore.Services].
func (s *secretServices) Owner(ctx context.Context, service string) (string, error) {
	found, err := s.hub.store.Service(ctx, service)
	return found.Tenant, asAccess(err)
}

// Parameters implements [secretstore.Services].
func (s *secretServices) Parameters(ctx context.Context, service string) (declared []signature.Parameter, environment []string, err error) {
	found, err := s.hub.store.Service(ctx, service)
	if err != nil {
		return nil, nil, asAccess(err)
	}
	version, revision, err := s.hub.callable(ctx, found)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, nil, errNoRevision
	}
	if err == nil {
		environment, err = s.hub.secretNames(ctx, version.ID)
	}
	if err != nil {
		return nil, nil, err
	}
	return revision.Signature.Of(signature.Secret), environment, nil
}

var errNoRevision = problem(http.StatusConflict, "The service has no active revision, so what it takes is not known.")

// asAccess is an error of the registry as one of package access.
func asAccess(err error) error {
	if errors.Is(err, registry.ErrNotFound) {
		return access.ErrNotFound
	}
	return err
}
