package registry

import (
	"context"
	"time"
)

// A Share gives another tenant a role in a service.
type Share struct {
	ID, Service string
	// Tenant is the other one, and TenantKind the word for its kind.
	Tenant, TenantKind string
	Role               string
	CreatedAt          time.Time
	// ValidFrom and ValidUntil bound it. Zero: no bound.
	ValidFrom, ValidUntil time.Time
}

// Active reports whether the share counts at a time.
func (s Share) Active(now time.Time) bool {
	return !now.Before(s.ValidFrom) && (s.ValidUntil.IsZero() || now.Before(s.ValidUntil))
}

// Shares keeps the shares of services: a tenant has at most one of each.
type Shares interface {
	// PutShare makes a share. Where the tenant has one, it gets the role of the new one.
	PutShare(ctx context.Context, s Share) (Share, error)
	// Shares are those of a service, the oldest first.
	Shares(ctx context.Context, service string) ([]Share, error)
	// SharesWith are those that a tenant has, the oldest first.
	SharesWith(ctx context.Context, tenant string) ([]Share, error)
	// ShareWith is the share that a tenant has of a service.
	ShareWith(ctx context.Context, service, tenant string) (Share, error)
	// ChangeShare changes the role and the bounds of a share.
	ChangeShare(ctx context.Context, service, id string, change func(*Share) error) (Share, error)
	DeleteShare(ctx context.Context, service, id string) error
}
