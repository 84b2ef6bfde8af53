package hub

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/registry"
)

// roleIn is the role of the caller in a service: that of the caller in its account, and in
// a service of another one at most that of the share. Empty: it has none.
func (h *Hub) roleIn(ctx context.Context, s registry.Service) (access.Role, error) {
	caller := access.From(ctx)
	if s.Tenant == caller.Tenant {
		return cmp.Or(caller.Role, access.Viewer), nil
	}
	share, err := h.store.ShareWith(ctx, s.ID, caller.Tenant)
	if errors.Is(err, registry.ErrNotFound) || err == nil && !share.Active(time.Now()) {
		return "", nil
	}
	role := access.Role(share.Role)
	if !caller.Role.Includes(role) {
		role = caller.Role
	}
	return role, err
}

// shared reports why a caller may not do with a service of another account what a route
// is for. A share as MAINTAINER is enough to deploy it and to run it. Only the account
// that owns it publishes, shares and deletes it.
func (h *Hub) shared(ctx context.Context, s registry.Service) error {
	role, err := h.roleIn(ctx, s)
	switch {
	case err != nil:
		return err
	case role == "":
		return registry.ErrNotFound
	case !role.Includes(access.Maintainer):
		return access.ErrForbidden
	}
	switch platformapi.RightOf(ctx) {
	case access.ViewTenant, access.Deploy, access.RunJob:
		return nil
	default:
		return access.ErrForbidden
	}
}

// mine finds a service that the caller's account owns.
func (h *Hub) mine(ctx context.Context, id string) (registry.Service, error) {
	s, err := h.store.Service(ctx, id)
	if err != nil || s.Tenant == access.From(ctx).Tenant {
		return s, err
	}
	role, err := h.roleIn(ctx, s)
	switch {
	case err != nil:
		return s, err
	case role == "":
		return s, registry.ErrNotFound
	default:
		return s, access.ErrForbidden
	}
}

// sharedWith are the services of other accounts that an account has a share of.
func (h *Hub) sharedWith(ctx context.Context, tenant string) ([]registry.Service, error) {
	shares, err := h.store.SharesWith(ctx, tenant)
	if err != nil {
		return nil, err
	}
	var services []registry.Service
	for _, share := range shares {
		s, err := h.store.Service(ctx, share.Service)
		switch {
		case errors.Is(err, registry.ErrNotFound): // deleted meanwhile
		case err != nil:
			return nil, err
		case share.Active(time.Now()):
			services = append(services, s)
		}
	}
	return services, nil
}

// shareTarget names an account.
type shareTarget struct {
	Type  access.TenantKind `json:"tenantType" enum:"USER,ORGANIZATION"`
	Value string            `json:"value" maxLength:"64" doc:"Its id."`
}

// shareConstraint bounds a share to a time.
type shareConstraint struct {
	ID         string  `json:"id" doc:"The id of the share: it has one constraint at most."`
	Type       string  `json:"type" enum:"TIME_BASED"`
	ValidFrom  string  `json:"validFrom"`
	ValidUntil string  `json:"validUntil"`
	CreatedAt  *string `json:"createdAt"`
	RevokedAt  *string `json:"revokedAt"`
	Active     bool    `json:"active"`
}

type serviceShare struct {
	ID          string            `json:"id"`
	SharedWith  shareTarget       `json:"sharedWith"`
	Role        string            `json:"role" enum:"VIEWER,MAINTAINER,OWNER"`
	CreatedAt   *string           `json:"createdAt"`
	RevokedAt   *string           `json:"revokedAt" doc:"Always null: a share that was revoked is not listed."`
	Active      bool              `json:"active" doc:"Whether it counts now."`
	Constraints []shareConstraint `json:"constraints"`
}

// forGood is the end of a share without one.
var forGood = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)

func constraintOf(s registry.Share) shareConstraint {
	from, until := s.ValidFrom, s.ValidUntil
	if from.IsZero() {
		from = s.CreatedAt
	}
	if until.IsZero() {
		until = forGood
	}
	return shareConstraint{
		ID: s.ID, Type: "TIME_BASED", ValidFrom: from.UTC().Format(timeLayout), ValidUntil: until.UTC().Format(timeLayout),
		CreatedAt: formatTime(s.CreatedAt), Active: s.Active(time.Now()),
	}
}

func shareOf(s registry.Share) serviceShare {
	view := serviceShare{
		ID: s.ID, SharedWith: shareTarget{access.TenantKind(s.TenantKind), s.Tenant}, Role: s.Role, CreatedAt: formatTime(s.CreatedAt),
		Active: s.Active(time.Now()), Constraints: []shareConstraint{},
	}
	if !s.ValidFrom.IsZero() || !s.ValidUntil.IsZero() {
		view.Constraints = append(view.Constraints, constraintOf(s))
	}
	return view
}

// ByShare names a share of a service in the address.
type ByShare struct {
	ByID
	Share string `path:"shareId" maxLength:"64" doc:"The id of the share."`
}

// ByConstraint names the constraint of a share in the address.
type ByConstraint struct {
	ByShare
	Constraint string `path:"constraintId" maxLength:"64" doc:"The id of the constraint."`
}

const tagShares = "Shares"

func (h *Hub) shareRoutes(api *platformapi.API) {
	const shares = "/services/{id}/shares"
	platformapi.Register(api, op("GET "+shares, "getServiceShares", access.Publish, tagShares, "List the shares of a service"), h.listShares)
	platformapi.Register(api, with(op("POST "+shares, "shareService", access.Publish, tagShares, "Give another account a role in a service"), func(r *platformapi.Route) {
		r.Description = "A VIEWER reads it; a MAINTAINER also deploys it and runs jobs. Only the account that owns it publishes, shares and deletes it. An account has one share at most: sharing again sets its role."
		r.Status = http.StatusCreated
	}), h.shareService)
	platformapi.Register(api, op("PUT "+shares+"/{shareId}", "updateServiceShare", access.Publish, tagShares, "Change the role of a share"), h.setShareRole)
	platformapi.Register(api, op("DELETE "+shares+"/{shareId}", "deleteServiceShare", access.Publish, tagShares, "End a share"), h.endShare)
	platformapi.Register(api, with(op("POST "+shares+"/{shareId}/constraints", "constrainServiceShare", access.Publish, tagShares, "Bound a share to a time"), func(r *platformapi.Route) {
		r.Status = http.StatusCreated
	}), h.constrainShare)
	platformapi.Register(api, op("PUT "+shares+"/{shareId}/constraints/{constraintId}", "updateServiceShareConstraint", access.Publish, tagShares, "Change the time of a share"), h.changeConstraint)
	platformapi.Register(api, op("DELETE "+shares+"/{shareId}/constraints/{constraintId}", "deleteServiceShareConstraint", access.Publish, tagShares, "Let a share count at any time"), h.endConstraint)
}

func (h *Hub) listShares(ctx context.Context, in *PageByID) (*platformapi.List[serviceShare], error) {
	s, err := h.mine(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	all, err := h.store.Shares(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	views := []serviceShare{}
	for _, share := range all {
		views = append(views, shareOf(share))
	}
	return platformapi.ListOf(&in.PageQuery, views), nil
}

type shareInput struct {
	ByID
	Body struct {
		SharedWith shareTarget `json:"sharedWith"`
		Role       access.Role `json:"role,omitempty" doc:"VIEWER, MAINTAINER or OWNER. Absent: VIEWER."`
	}
}

func (h *Hub) shareService(ctx context.Context, in *shareInput) (*platformapi.Body[serviceShare], error) {
	s, err := h.mine(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	role := cmp.Or(in.Body.Role, access.Viewer)
	if !role.Valid() {
		return nil, errRole
	}
	with, err := h.Access.Tenant(ctx, in.Body.SharedWith.Value)
	if errors.Is(err, access.ErrNotFound) || err == nil && with.Kind != in.Body.SharedWith.Type {
		return nil, problem(http.StatusNotFound, "There is no such account to share with.")
	}
	if err != nil {
		return nil, err
	}
	if with.ID == s.Tenant {
		return nil, problem(http.StatusBadRequest, "The service belongs to this account.")
	}
	share, err := h.store.PutShare(ctx, registry.Share{ID: uuid.NewString(), Service: s.ID, Tenant: with.ID, TenantKind: string(with.Kind), Role: string(role)})
	return &platformapi.Body[serviceShare]{Body: shareOf(share)}, err
}

var errRole = problem(http.StatusBadRequest, "role must be VIEWER, MAINTAINER or OWNER.")

func (h *Hub) changeShare(ctx context.Context, in *ByShare, change func(*registry.Share) error) (registry.Share, error) {
	s, err := h.mine(ctx, in.ID)
	if err != nil {
		return registry.Share{}, err
	}
	return h.store.ChangeShare(ctx, s.ID, in.Share, change)
}

type shareRoleInput struct {
	ByShare
	Body struct {
		Role access.Role `json:"role,omitempty" doc:"VIEWER, MAINTAINER or OWNER."`
	}
}

func (h *Hub) setShareRole(ctx context.Context, in *shareRoleInput) (*platformapi.Body[serviceShare], error) {
	share, err := h.changeShare(ctx, &in.ByShare, func(s *registry.Share) error {
		if !in.Body.Role.Valid() {
			return errRole
		}
		s.Role = string(in.Body.Role)
		return nil
	})
	return &platformapi.Body[serviceShare]{Body: shareOf(share)}, err
}

func (h *Hub) endShare(ctx context.Context, in *ByShare) (*none, error) {
	s, err := h.mine(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, h.store.DeleteShare(ctx, s.ID, in.Share)
}

// validity is when a share counts.
type validity struct {
	Type       string `json:"type,omitempty" enum:"TIME_BASED"`
	ValidFrom  string `json:"validFrom,omitempty" doc:"As 2026-01-31 23:59:59 in UTC, or as RFC 3339 has it."`
	ValidUntil string `json:"validUntil,omitempty" doc:"The same."`
}

// bound bounds a share.
func (v validity) bound(s *registry.Share) error {
	from, err := moment("validFrom", v.ValidFrom)
	if err != nil {
		return err
	}
	until, err := moment("validUntil", v.ValidUntil)
	if err != nil {
		return err
	}
	if !until.IsZero() && !until.After(from) {
		return problem(http.StatusBadRequest, "validUntil must be after validFrom.")
	}
	s.ValidFrom, s.ValidUntil = from, until
	return nil
}

type constrainInput struct {
	ByShare
	Body validity
}

func (h *Hub) constrainShare(ctx context.Context, in *constrainInput) (*platformapi.Body[shareConstraint], error) {
	share, err := h.changeShare(ctx, &in.ByShare, in.Body.bound)
	return &platformapi.Body[shareConstraint]{Body: constraintOf(share)}, err
}

type changeConstraintInput struct {
	ByConstraint
	Body validity
}

func (h *Hub) changeConstraint(ctx context.Context, in *changeConstraintInput) (*platformapi.Body[shareConstraint], error) {
	share, err := h.changeShare(ctx, &in.ByShare, func(s *registry.Share) error { return errors.Join(in.exists(s), in.Body.bound(s)) })
	return &platformapi.Body[shareConstraint]{Body: constraintOf(share)}, err
}

func (h *Hub) endConstraint(ctx context.Context, in *ByConstraint) (*none, error) {
	_, err := h.changeShare(ctx, &in.ByShare, func(s *registry.Share) error {
		err := in.exists(s)
		s.ValidFrom, s.ValidUntil = time.Time{}, time.Time{}
		return err
	})
	return nil, err
}

// exists reports a constraint that a share does not have.
func (c *ByConstraint) exists(s *registry.Share) error {
	if c.Constraint != s.ID || s.ValidFrom.IsZero() && s.ValidUntil.IsZero() {
		return registry.ErrNotFound
	}
	return nil
}
