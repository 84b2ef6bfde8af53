package hub

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
)

// replaceSecrets is the action of a caller that brings a secret in place of a stored one.
const replaceSecrets = "replaceSecrets"

// Denials of each account that are recorded: more are in the log of the server only.
const (
	denialsPerSecond = 1
	denialsAtOnce    = 20
)

// Denied implements [engine.StoredSecrets]. The log of each account that a secret belongs
// to has an entry, with the names. An execution that was refused has no id.
func (s *storedSecrets) Denied(ctx context.Context, parameters []string) {
	caller := access.From(ctx)
	candidates, err := s.hub.secrets.Offer(ctx, caller, s.service)
	if err != nil {
		s.hub.Log.Error("cannot record that a stored secret may not be replaced", "service", s.service, "error", err)
		return
	}
	names := map[string][]string{}
	for _, parameter := range parameters {
		if c, ok := candidates[parameter]; ok {
			names[c.Place.Tenant] = append(names[c.Place.Tenant], parameter)
		}
	}
	for tenant, list := range names {
		slices.Sort(list)
		s.deny(ctx, caller, tenant, strings.Join(list, ","))
	}
}

func (s *storedSecrets) deny(ctx context.Context, caller access.Principal, tenant, names string) {
	limiter, _ := s.hub.denials.LoadOrStore(tenant, rate.NewLimiter(denialsPerSecond, denialsAtOnce))
	if !limiter.(*rate.Limiter).Allow() { //nolint:forcetypeassert // nothing else is in the map
		s.hub.Log.Warn("a caller may not replace stored secrets", "tenant", tenant, "service", s.service, "actor", caller.ID, "secrets", names)
		return
	}
	entry := audit.Entry{
		Tenant: tenant, Time: time.Now().UTC(), Action: replaceSecrets, Target: "/qc-catalog/services/" + s.service, Outcome: audit.Denied,
		Actor: audit.Actor{Kind: string(caller.Kind), ID: caller.ID}, Details: map[string]string{"service": s.service, "secrets": names},
	}
	if caller.Tenant == tenant {
		entry.Actor.Credential = caller.Credential
	}
	if err := s.hub.Server.Store().Audit().Append(ctx, entry); err != nil {
		s.hub.Log.Error("cannot record that a stored secret may not be replaced", "service", s.service, "error", err)
	}
}
