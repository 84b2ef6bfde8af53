package accessapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

type organization struct {
	ID            string      `json:"id"`
	Name          string      `json:"name"`
	DisplayName   string      `json:"displayName"`
	Description   string      `json:"description"`
	AccountType   string      `json:"accountType"`
	Permission    access.Role `json:"currentUserPermission"`
	LastOwner     bool        `json:"isUserLastOwner"`
	AlsoLastOwner bool        `json:"userLastOwner" doc:"The same as isUserLastOwner."`
}

func asOrganization(m access.Membership) organization {
	return organization{
		ID: m.Tenant.ID, Name: m.Tenant.Name, DisplayName: m.Tenant.DisplayName, Description: m.Tenant.Description,
		AccountType: accountType, Permission: m.Role,
	}
}

type organizationFields struct {
	DisplayName string `json:"displayName" maxLength:"100"`
	Description string `json:"description,omitempty" maxLength:"2000"`
}

// organization is a membership as clients see it.
func (r routes) organization(ctx context.Context, p access.Principal, m access.Membership) (organization, error) {
	o := asOrganization(m)
	if m.Role != access.Owner {
		return o, nil
	}
	members, err := r.Access.Store.Members(ctx, m.Tenant.ID)
	last := true
	for _, member := range members {
		last = last && (member.Role != access.Owner || member.User.ID == p.ID)
	}
	o.LastOwner, o.AlsoLastOwner = last, last
	return o, err
}

func (r routes) organizations(api *platformapi.API) {
	const path, tag = catalog + "/organizations", "Organizations"
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: path, ID: "getOrganizations", Tag: tag,
		Summary: "List the caller's organizations", Right: access.Identify,
	}, func(ctx context.Context, in *platformapi.PageQuery) (*platformapi.List[organization], error) {
		all, err := r.own(ctx, "")
		return page(in, all, err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: path + "/search", ID: "searchOrganizations", Tag: tag,
		Summary: "Search the caller's organizations by name", Right: access.Identify,
	}, func(ctx context.Context, in *struct {
		platformapi.PageQuery
		Query string `query:"q" maxLength:"100" doc:"A part of the name."`
	}) (*platformapi.List[organization], error) {
		all, err := r.own(ctx, in.Query)
		return page(&in.PageQuery, all, err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: path, ID: "createOrganization", Tag: tag,
		Summary: "Make an organization", Right: access.ManageTokens, Status: http.StatusCreated,
	}, func(ctx context.Context, in *struct{ Body organizationFields }) (*platformapi.Body[organization], error) {
		o, err := r.Access.CreateOrganization(ctx, access.From(ctx), in.Body.DisplayName, in.Body.Description)
		made := asOrganization(access.Membership{Tenant: o, Role: access.Owner})
		made.LastOwner, made.AlsoLastOwner = true, true
		return answer(made, err)
	})

	r.oneOrganization(api, path, tag)
}

func (r routes) oneOrganization(api *platformapi.API, path, tag string) {
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: path + "/{id}", ID: "getOrganization", Tag: tag,
		Summary: "Read an organization", Right: access.Identify,
	}, func(ctx context.Context, in *ByID) (*platformapi.Body[organization], error) {
		p := access.From(ctx)
		m, err := r.Access.Organization(ctx, p, in.ID)
		if err != nil {
			return nil, err
		}
		return answer(r.organization(ctx, p, m))
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPut, Path: path + "/{id}", ID: "updateOrganization", Tag: tag,
		Summary: "Change an organization", Right: access.Identify,
	}, func(ctx context.Context, in *struct {
		ByID
		Body organizationFields
	}) (*platformapi.Body[organization], error) {
		p := access.From(ctx)
		m, err := r.Access.UpdateOrganization(ctx, p, in.ID, in.Body.DisplayName, in.Body.Description)
		if err != nil {
			return nil, err
		}
		return answer(r.organization(ctx, p, m))
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: path + "/{id}", ID: "deleteOrganization", Tag: tag,
		Summary: "Delete an organization without services", Right: access.Identify,
	}, func(ctx context.Context, in *ByID) (*none, error) {
		p := access.From(ctx)
		if _, err := r.Access.Organization(ctx, p, in.ID); err != nil {
			return nil, err
		}
		if r.Catalog != nil {
			n, err := r.Catalog.Owned(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			if n > 0 {
				return nil, fmt.Errorf("%w: the organization owns services (%d); delete them first", access.ErrConflict, n)
			}
		}
		return nil, r.Access.DeleteOrganization(ctx, p, in.ID)
	})
}

// own are the caller's organizations whose name contains a text.
func (r routes) own(ctx context.Context, text string) ([]organization, error) {
	p := access.From(ctx)
	if p.Kind != access.Person {
		return nil, access.ErrForbidden
	}
	all, err := r.Access.Accounts(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	found := []organization{}
	for _, m := range all[1:] {
		if !strings.Contains(strings.ToLower(m.Tenant.DisplayName), strings.ToLower(text)) {
			continue
		}
		o, err := r.organization(ctx, p, m)
		if err != nil {
			return nil, err
		}
		found = append(found, o)
	}
	return found, nil
}
