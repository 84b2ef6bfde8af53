package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/store"
)

// Access returns the part of the store that keeps the callers of a platform.
func (s *Store) Access() access.Store { return accessStore{s} }

// accessStore is an [access.Store] in the same database.
type accessStore struct{ s *Store }

// change runs an operation that is durable when it returns. what names it for
// errors.
func (a accessStore) change(ctx context.Context, what string, run func(*tx) error) error {
	return forAccess(what, a.s.writer.do(ctx, survivesPowerLoss, run))
}

// forAccess gives an error the kind that callers of an [access.Store] know.
func forAccess(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("%s: %w", what, access.ErrNotFound)
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

// found turns a change of no row into an error.
func found(n int64, err error) error {
	if err == nil && n == 0 {
		return access.ErrNotFound
	}
	return err
}

// isNew turns an insertion of no row into an error.
func isNew(n int64, err error) error {
	if err == nil && n == 0 {
		return access.ErrExists
	}
	return err
}

// stamp and moment are the form of a time in the database, where 0 is none.
func stamp(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// A tenantRow scans the columns of a tenant.
type tenantRow struct {
	access.Tenant
	created int64
}

func (r *tenantRow) into() []any {
	return []any{&r.ID, &r.Kind, &r.Name, &r.DisplayName, &r.Description, &r.Email, &r.created}
}

func (r *tenantRow) tenant() access.Tenant {
	r.CreatedAt = moment(r.created)
	return r.Tenant
}

func createTenant(t *tx, n access.Tenant) error {
	return isNew(t.exec(insertTenant, n.ID, string(n.Kind), n.Name, n.DisplayName, n.Description, n.Email, stamp(n.CreatedAt)))
}

// CreateUser implements [access.Tenants].
func (a accessStore) CreateUser(ctx context.Context, user access.Tenant) error {
	return a.change(ctx, "make a user", func(t *tx) error { return createTenant(t, user) })
}

// CreateOrganization implements [access.Tenants].
func (a accessStore) CreateOrganization(ctx context.Context, organization access.Tenant, owner string) error {
	return a.change(ctx, "make an organization", func(t *tx) error {
		if err := createTenant(t, organization); err != nil {
			return err
		}
		_, err := t.exec(upsertMember, organization.ID, owner, string(access.Owner), stamp(organization.CreatedAt))
		return err
	})
}

// Tenant implements [access.Tenants].
func (a accessStore) Tenant(ctx context.Context, id string) (access.Tenant, error) {
	var r tenantRow
	err := a.s.readOne(ctx, selectTenant, []any{id}, r.into()...)
	return r.tenant(), forAccess("read a tenant", err)
}

// UserByName implements [access.Tenants].
func (a accessStore) UserByName(ctx context.Context, name string) (access.Tenant, error) {
	var r tenantRow
	err := a.s.readOne(ctx, selectTenantByName, []any{string(access.User), name}, r.into()...)
	return r.tenant(), forAccess("read a user", err)
}

// UpdateOrganization implements [access.Tenants].
func (a accessStore) UpdateOrganization(ctx context.Context, o access.Tenant) error {
	return a.change(ctx, "change an organization", func(t *tx) error {
		return found(t.exec(updateOrganization, o.DisplayName, o.Description, o.ID))
	})
}

// DeleteOrganization implements [access.Tenants].
func (a accessStore) DeleteOrganization(ctx context.Context, id string) error {
	return a.change(ctx, "delete an organization", func(t *tx) error {
		t.destroyed = true // perhaps: of its access keys
		for _, query := range []string{deleteSecretsOfTenant, deleteServiceSharesWith} {
			if _, err := t.exec(query, id); err != nil {
				return err
			}
		}
		return found(t.exec(deleteOrganization, id))
	})
}

// Memberships implements [access.Members].
func (a accessStore) Memberships(ctx context.Context, user string) ([]access.Membership, error) {
	memberships := []access.Membership{}
	err := a.s.read(ctx, selectMemberships, []any{user}, func(row scanner) error {
		var r tenantRow
		var m access.Membership
		err := row.Scan(append(r.into(), &m.Role)...)
		m.Tenant = r.tenant()
		memberships = append(memberships, m)
		return err
	})
	return memberships, forAccess("list the organizations of a user", err)
}

// Members implements [access.Members].
func (a accessStore) Members(ctx context.Context, organization string) ([]access.Member, error) {
	members := []access.Member{}
	err := a.s.read(ctx, selectMembers, []any{organization}, func(row scanner) error {
		var r tenantRow
		var since int64
		m := access.Member{Organization: organization}
		err := row.Scan(append(r.into(), &m.Role, &since)...)
		m.User, m.Since = r.tenant(), moment(since)
		members = append(members, m)
		return err
	})
	return members, forAccess("list the members of an organization", err)
}

// Role implements [access.Members].
func (a accessStore) Role(ctx context.Context, organization, user string) (access.Role, error) {
	var role access.Role
	err := a.s.readOne(ctx, selectRole, []any{organization, user}, &role)
	return role, forAccess("read a role", err)
}

// SetRole implements [access.Members].
func (a accessStore) SetRole(ctx context.Context, organization, user string, role access.Role) error {
	return a.change(ctx, "change a role", func(t *tx) error {
		if err := found(t.exec(updateRole, string(role), organization, user)); err != nil {
			return err
		}
		return keepsOwner(t, organization)
	})
}

// RemoveMember implements [access.Members].
func (a accessStore) RemoveMember(ctx context.Context, organization, user string) error {
	return a.change(ctx, "remove a member", func(t *tx) error {
		if err := found(t.exec(deleteMember, organization, user)); err != nil {
			return err
		}
		return keepsOwner(t, organization)
	})
}

// keepsOwner refuses a change after which an organization has no OWNER.
func keepsOwner(t *tx, organization string) error {
	var owners int
	if err := t.row(countOwners, []any{organization, string(access.Owner)}, &owners); err != nil {
		return err
	}
	if owners == 0 {
		return fmt.Errorf("%w: the organization needs an OWNER", access.ErrConflict)
	}
	return nil
}
