package access

import (
	"context"
	"time"

	"github.com/qhubctl/qhubctl/internal/audit"
)

// recordLogins is how often the login of a token is recorded: some clients log in with
// each command.
const recordLogins = time.Minute

// RecordLogin records that a person has logged in with a token. If that fails, so must the
// login.
func (s *Service) RecordLogin(ctx context.Context, p Principal) error {
	now := s.Now()
	if !s.logins.allow(p.Credential, now) {
		return nil
	}
	return s.record(ctx, p, "login", now)
}

// record writes that a caller has got something that is not kept in the store.
func (s *Service) record(ctx context.Context, p Principal, action string, now time.Time) error {
	if s.Audit == nil {
		return nil
	}
	return s.Audit.Append(ctx, audit.Entry{
		Tenant: p.Tenant, Time: now.UTC(), Action: action, Outcome: audit.Done,
		Actor: audit.Actor{Kind: string(p.Kind), ID: p.ID, Credential: p.Credential},
	})
}
