package datapoolapi

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

// A tenantRef names a user or an organization.
type tenantRef struct {
	Type  access.TenantKind `json:"tenantType" doc:"USER or ORGANIZATION."`
	Value string            `json:"value" maxLength:"64" doc:"Its id."`
}

// A constraintView bounds a share to a time.
type constraintView struct {
	ID         string `json:"id" doc:"The id of the share: it has one constraint at most."`
	Type       string `json:"type" enum:"TIME_BASED"`
	ValidFrom  string `json:"validFrom"`
	ValidUntil string `json:"validUntil"`
	Active     bool   `json:"active"`
}

type shareView struct {
	ID          string           `json:"id"`
	SharedWith  tenantRef        `json:"sharedWith"`
	Role        access.Role      `json:"role"`
	CreatedAt   string           `json:"createdAt"`
	RevokedAt   *string          `json:"revokedAt" doc:"Always null: a share that was revoked is not listed."`
	Active      bool             `json:"active" doc:"Whether it counts now."`
	Constraints []constraintView `json:"constraints"`
}

// forGood is the end of a share without one.
var forGood = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)

func (r routes) asConstraint(s datapool.Share) constraintView {
	from, until := s.ValidFrom, s.ValidUntil
	if from.IsZero() {
		from = s.CreatedAt
	}
	if until.IsZero() {
		until = forGood
	}
	return constraintView{ID: s.ID, Type: "TIME_BASED", ValidFrom: text(from), ValidUntil: text(until), Active: s.Active(r.Now())}
}

func (r routes) asShare(s datapool.Share) shareView {
	v := shareView{
		ID: s.ID, SharedWith: tenantRef{s.TenantKind, s.Tenant}, Role: s.Role, CreatedAt: text(s.CreatedAt),
		Active: s.Active(r.Now()), Constraints: []constraintView{},
	}
	if !s.ValidFrom.IsZero() || !s.ValidUntil.IsZero() {
		v.Constraints = append(v.Constraints, r.asConstraint(s))
	}
	return v
}

// ByShare names a share in the address.
type ByShare struct {
	ByID
	Share string `path:"shareId" maxLength:"64" doc:"The id of the share."`
}

// ByConstraint names the constraint of a share in the address.
type ByConstraint struct {
	ByShare
	Constraint string `path:"constraintId" maxLength:"64" doc:"The id of the constraint."`
}

// validity is when a share counts.
type validity struct {
	ValidFrom  string `json:"validFrom,omitempty" doc:"yyyy-MM-dd HH:mm:ss in UTC, a date, or a time as RFC 3339 has it."`
	ValidUntil string `json:"validUntil,omitempty" doc:"The same."`
}

func (v validity) times() (from, until time.Time, err error) {
	if from, err = moment(v.ValidFrom); err == nil {
		until, err = moment(v.ValidUntil)
	}
	return from, until, err
}

// moment reads a time; the zero time of an empty text.
func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateTime, time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, platformapi.NewProblem(http.StatusBadRequest, "A time must be such as 2030-12-31 23:59:59.")
}

func (r routes) shares(api *platformapi.API) {
	const shares = base + "/{id}/shares"
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: shares, ID: "getDataPoolShares", Tag: tag, Right: access.SharePools, Summary: "List the shares of a data pool",
	}, func(ctx context.Context, in *struct {
		ByID
		platformapi.PageQuery
	}) (*platformapi.List[shareView], error) {
		all, err := r.Shares(ctx, access.From(ctx), in.ID)
		if err != nil {
			return nil, err
		}
		return platformapi.ListOf(&in.PageQuery, list(all, r.asShare)), nil
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: shares, ID: "shareDataPool", Tag: tag, Right: access.SharePools, Status: http.StatusCreated,
		Summary: "Give another account a role in a data pool", Description: "An account has one share at most: sharing again sets its role.",
	}, r.share)

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPut, Path: shares + "/{shareId}", ID: "updateDataPoolShare", Tag: tag, Right: access.SharePools,
		Summary: "Change the role of a share",
	}, func(ctx context.Context, in *struct {
		ByShare
		Body struct {
			Role access.Role `json:"role" doc:"VIEWER, MAINTAINER or OWNER."`
		}
	}) (*platformapi.Body[shareView], error) {
		s, err := r.SetShareRole(ctx, access.From(ctx), in.ID, in.Share, in.Body.Role)
		return answer(r.asShare(s), err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: shares + "/{shareId}", ID: "deleteDataPoolShare", Tag: tag, Right: access.SharePools, Summary: "End a share",
	}, func(ctx context.Context, in *ByShare) (*none, error) {
		return nil, r.Unshare(ctx, access.From(ctx), in.ID, in.Share)
	})
}

func (r routes) share(ctx context.Context, in *struct {
	ByID
	Body struct {
		SharedWith tenantRef   `json:"sharedWith"`
		Role       access.Role `json:"role,omitempty" doc:"VIEWER, MAINTAINER or OWNER. Absent: VIEWER."`
		validity
	}
}) (*platformapi.Body[shareView], error) {
	caller := access.From(ctx)
	from, until, err := in.Body.times()
	if err != nil {
		return nil, err
	}
	to := in.Body.SharedWith
	s, err := r.ShareWith(ctx, caller, in.ID, to.Value, to.Type, cmp.Or(in.Body.Role, access.Viewer), from, until)
	return answer(r.asShare(s), err)
}

func (r routes) constraints(api *platformapi.API) {
	const constraints = base + "/{id}/shares/{shareId}/constraints"
	set := func(ctx context.Context, share ByShare, v validity) (*platformapi.Body[constraintView], error) {
		from, until, err := v.times()
		if err != nil {
			return nil, err
		}
		s, err := r.SetShareValidity(ctx, access.From(ctx), share.ID, share.Share, from, until)
		return answer(r.asConstraint(s), err)
	}

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: constraints, ID: "addDataPoolShareConstraint", Tag: tag, Right: access.SharePools, Status: http.StatusCreated,
		Summary: "Bound a share to a time", Description: "It replaces the constraint that the share has.",
	}, func(ctx context.Context, in *struct {
		ByShare
		Body validity
	}) (*platformapi.Body[constraintView], error) {
		return set(ctx, in.ByShare, in.Body)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPut, Path: constraints + "/{constraintId}", ID: "updateDataPoolShareConstraint", Tag: tag, Right: access.SharePools,
		Summary: "Change the time of a share",
	}, func(ctx context.Context, in *struct {
		ByConstraint
		Body validity
	}) (*platformapi.Body[constraintView], error) {
		if in.Constraint != in.Share {
			return nil, access.ErrNotFound
		}
		return set(ctx, in.ByShare, in.Body)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: constraints + "/{constraintId}", ID: "deleteDataPoolShareConstraint", Tag: tag, Right: access.SharePools,
		Summary: "Have a share count for good",
	}, func(ctx context.Context, in *ByConstraint) (*none, error) {
		if in.Constraint != in.Share {
			return nil, access.ErrNotFound
		}
		_, err := set(ctx, in.ByShare, validity{})
		return nil, err
	})
}
