package datapool

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
)

func sortByName(pools []Pool) {
	slices.SortFunc(pools, func(a, b Pool) int { return strings.Compare(a.Name+"\x00"+a.ID, b.Name+"\x00"+b.ID) })
}

// shareable finds a pool that the caller may share: one of its tenant.
func (s *Service) shareable(ctx context.Context, p access.Principal, pool string) (Pool, error) {
	found, err := s.reach(ctx, p, pool, access.SharePools)
	if err == nil && found.Tenant != p.Tenant {
		err = access.ErrForbidden
	}
	return found, err
}

// ShareWith gives another tenant a role in a pool for a time; zero times are no bounds. If
// the tenant has a share already, its role changes, and its time if one is given.
func (s *Service) ShareWith(ctx context.Context, p access.Principal, pool, tenant string, kind access.TenantKind, role access.Role, from, until time.Time) (Share, error) {
	found, err := s.shareable(ctx, p, pool)
	if err != nil {
		return Share{}, err
	}
	if !role.Valid() {
		return Share{}, invalid("role: it must be VIEWER, MAINTAINER or OWNER")
	}
	if err := checkValidity(from, until); err != nil {
		return Share{}, err
	}
	if tenant == found.Tenant {
		return Share{}, invalid("share: the pool belongs to this account")
	}
	other, err := s.Access.Store.Tenant(ctx, tenant)
	if err == nil && other.Kind != kind {
		err = access.ErrNotFound
	}
	if err != nil {
		return Share{}, err
	}
	audit.Note(ctx, "sharedWith", tenant)
	audit.Note(ctx, "role", string(role))
	return s.Store.Share(ctx, Share{
		ID: uuid.NewString(), Pool: pool, Tenant: tenant, TenantKind: kind, Role: role,
		ValidFrom: from, ValidUntil: until, CreatedAt: s.Now(),
	})
}

// Shares are those of a pool of the caller's tenant, the oldest first.
func (s *Service) Shares(ctx context.Context, p access.Principal, pool string) ([]Share, error) {
	if _, err := s.shareable(ctx, p, pool); err != nil {
		return nil, err
	}
	return s.Store.Shares(ctx, pool)
}

// SetShareRole changes the role of a share.
func (s *Service) SetShareRole(ctx context.Context, p access.Principal, pool, id string, role access.Role) (Share, error) {
	if !role.Valid() {
		return Share{}, invalid("role: it must be VIEWER, MAINTAINER or OWNER")
	}
	return s.changeShare(ctx, p, pool, id, func(share *Share) error {
		share.Role = role
		return nil
	})
}

// SetShareValidity bounds a share to a time. Zero times are no bounds.
func (s *Service) SetShareValidity(ctx context.Context, p access.Principal, pool, id string, from, until time.Time) (Share, error) {
	if err := checkValidity(from, until); err != nil {
		return Share{}, err
	}
	return s.changeShare(ctx, p, pool, id, func(share *Share) error {
		share.ValidFrom, share.ValidUntil = from, until
		return nil
	})
}

func checkValidity(from, until time.Time) error {
	if !until.IsZero() && !from.Before(until) {
		return invalid("validity: it must end after its beginning")
	}
	return nil
}

func (s *Service) changeShare(ctx context.Context, p access.Principal, pool, id string, change func(*Share) error) (Share, error) {
	if _, err := s.shareable(ctx, p, pool); err != nil {
		return Share{}, err
	}
	return s.Store.ChangeShare(ctx, pool, id, change)
}

// Unshare ends a share.
func (s *Service) Unshare(ctx context.Context, p access.Principal, pool, id string) error {
	if _, err := s.shareable(ctx, p, pool); err != nil {
		return err
	}
	return s.Store.Unshare(ctx, pool, id)
}
