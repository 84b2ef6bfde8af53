package secretstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
)

// A Status is what a check says about a secret.
type Status string

// The statuses. All but [StatusOK] and [StatusOptional] ask for something to be done.
const (
	// StatusOK says that executions get the secret.
	StatusOK Status = "OK"
	// StatusOptional says that nothing is stored for a parameter that may be left out.
	StatusOptional Status = "OPTIONAL"
	// StatusMissing says that each request must bring the secret.
	StatusMissing Status = "MISSING"
	// StatusUnused says that no parameter takes the secret.
	StatusUnused Status = "UNUSED"
	// StatusExpired says that no version of a stored secret is live.
	StatusExpired Status = "EXPIRED"
	// StatusExpiring says that executions get the secret, but not for long.
	StatusExpiring Status = "EXPIRING"
)

// Problem reports whether somebody must act.
func (s Status) Problem() bool { return s != StatusOK && s != StatusOptional }

// A Finding is what a check says about a parameter or a stored secret.
type Finding struct {
	Status Status
	// Name is the parameter, or the name of a secret of the tenant.
	Name string
	// Variable is the environment variable of the parameter.
	Variable string
	Required bool
	// From is the kind of place that the secret comes from, and Version the version.
	From      Kind
	Version   int
	ExpiresAt time.Time
	// Service and Application say which secret it is, in a check of a tenant.
	Service, Application string
}

// Check compares the parameters of a service with its stored secrets, for executions of an
// application or of the owner. Without a service it finds the secrets of the tenant that
// have expired, will expire within a time, or serve no parameter: at most 1,000 of each.
func (s *Service) Check(ctx context.Context, p access.Principal, a Address, within time.Duration) ([]Finding, error) {
	if within < 0 || within > maxWithin {
		return nil, invalid("within: it may be up to ten years")
	}
	if a == (Address{}) {
		return s.checkTenant(ctx, p, within)
	}
	place, err := s.place(ctx, p, a, "", access.ViewSecrets)
	if err != nil {
		return nil, err
	}
	declared, environment, err := s.Services.Parameters(ctx, a.Service)
	if err != nil {
		return nil, err
	}
	offered, err := s.offer(ctx, a.Service, a.Application)
	if err != nil {
		return nil, err
	}
	own, err := s.ownSecrets(ctx, place)
	if err != nil {
		return nil, err
	}
	bound, err := s.expiredBound(ctx, place)
	if err != nil {
		return nil, err
	}
	soon := s.Now().Add(within)
	findings := make([]Finding, 0, len(declared))
	for _, parameter := range declared {
		f := Finding{Status: StatusMissing, Name: parameter.Name, Variable: parameter.Env, Required: parameter.Required}
		if !parameter.Required {
			f.Status = StatusOptional
		}
		if c, ok := offered[parameter.Name]; ok {
			f.offered(c, place.Tenant, soon)
		} else if slices.Contains(environment, parameter.Env) {
			f.Status, f.From = StatusOK, OfEnvironment
		}
		if expired, ok := own[parameter.Name]; ok && expired.Live == 0 {
			f.expired(expired)
		} else if expired, ok := bound[parameter.Name]; ok && f.From == "" {
			f.expired(expired)
		}
		delete(own, parameter.Name)
		findings = append(findings, f)
	}
	for _, secret := range own {
		findings = append(findings, Finding{
			Status: StatusUnused, Name: secret.Name, From: secret.Kind, Version: secret.Newest.Number, ExpiresAt: secret.Newest.ExpiresAt,
		})
	}
	slices.SortFunc(findings, func(a, b Finding) int { return strings.Compare(a.Name, b.Name) })
	return findings, nil
}

// offered notes the version that executions get. Versions of a provider are no concern of
// a subscriber.
func (f *Finding) offered(c Candidate, tenant string, soon time.Time) {
	f.Status, f.From = StatusOK, c.Place.Kind
	if c.Place.Tenant != tenant {
		return
	}
	f.Version, f.ExpiresAt = c.Number, c.ExpiresAt
	if !f.ExpiresAt.IsZero() && f.ExpiresAt.Before(soon) {
		f.Status = StatusExpiring
	}
}

// expired notes a secret without a live version.
func (f *Finding) expired(s Secret) {
	f.Status, f.From, f.Version, f.ExpiresAt = StatusExpired, s.Kind, s.Newest.Number, s.Newest.ExpiresAt
}

// expiredBound are the secrets of the tenant that are bound to parameters of its service
// and have no live version, by parameter.
func (s *Service) expiredBound(ctx context.Context, place Place) (map[string]Secret, error) {
	if place.Kind != OfService {
		return nil, nil
	}
	all, _, err := s.Store.Secrets(ctx, Query{Tenant: place.Tenant, Kind: OfTenant, BoundTo: place.Service, Now: s.Now()})
	if err != nil {
		return nil, err
	}
	bound := map[string]Secret{}
	for _, secret := range all {
		for _, b := range secret.Bindings {
			if secret.Live == 0 && b.Service == place.Service {
				bound[b.Parameter] = secret
			}
		}
	}
	return bound, nil
}

// ownSecrets are the secrets of a place by name.
func (s *Service) ownSecrets(ctx context.Context, place Place) (map[string]Secret, error) {
	all, _, err := s.Store.Secrets(ctx, Query{Tenant: place.Tenant, Kind: place.Kind, Service: place.Service, Application: place.Application, Now: s.Now()})
	if err != nil {
		return nil, err
	}
	own := make(map[string]Secret, len(all))
	for _, secret := range all {
		own[secret.Name] = secret
	}
	return own, nil
}

func (s *Service) checkTenant(ctx context.Context, p access.Principal, within time.Duration) ([]Finding, error) {
	now := s.Now()
	ending, _, err := s.List(ctx, p, Query{ExpiresBefore: now.Add(within), Limit: maxFindings})
	if err != nil {
		return nil, err
	}
	unbound, _, err := s.List(ctx, p, Query{Unbound: true, Limit: maxFindings})
	if err != nil {
		return nil, err
	}
	findings := make([]Finding, 0, len(ending)+len(unbound))
	add := func(secret Secret, status Status) {
		findings = append(findings, Finding{
			Status: status, Name: secret.Name, From: secret.Kind, Version: secret.Newest.Number, ExpiresAt: secret.Newest.ExpiresAt,
			Service: secret.Service, Application: secret.Application,
		})
	}
	for _, secret := range ending {
		if secret.Live == 0 {
			add(secret, StatusExpired)
		} else {
			add(secret, StatusExpiring)
		}
	}
	for _, secret := range unbound {
		add(secret, StatusUnused)
	}
	return findings, nil
}
