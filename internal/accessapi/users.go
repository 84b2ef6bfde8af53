package accessapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

// overview is what a caller sees of another user.
type overview struct {
	ID        string `json:"id"`
	Firstname string `json:"firstname"`
	Lastname  string `json:"lastname"`
}

func asOverview(u access.Tenant) overview {
	first, last := splitName(u)
	return overview{ID: u.ID, Firstname: first, Lastname: last}
}

// resolved are users by their ids.
type resolved struct {
	Users    []overview `json:"users"`
	NotFound *string    `json:"notFound" doc:"The other ids, with commas between them."`
}

func (r routes) users(api *platformapi.API) {
	const tag = "Users"
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: users + "/users/{id}", ID: "getUser", Tag: tag,
		Summary: "Read a user with whom the caller shares an organization", Right: access.Identify,
	}, func(ctx context.Context, in *ByID) (*platformapi.Body[overview], error) {
		known, err := r.Access.KnownUsers(ctx, access.From(ctx))
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(known, func(u access.Tenant) bool { return u.ID == in.ID })
		if at < 0 {
			return nil, access.ErrNotFound
		}
		return answer(asOverview(known[at]), nil)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: users + "/users/batch", ID: "resolveUsers", Tag: tag,
		Summary: "Read users with whom the caller shares an organization", Right: access.Identify,
	}, func(ctx context.Context, in *struct {
		Body struct {
			IDs []string `json:"ids" maxItems:"1000"`
		}
	}) (*platformapi.Body[resolved], error) {
		known, err := r.Access.KnownUsers(ctx, access.From(ctx))
		found := resolved{Users: []overview{}}
		var missing []string
		for _, id := range in.Body.IDs {
			if at := slices.IndexFunc(known, func(u access.Tenant) bool { return u.ID == id }); at >= 0 {
				found.Users = append(found.Users, asOverview(known[at]))
			} else {
				missing = append(missing, id)
			}
		}
		if len(missing) > 0 {
			text := strings.Join(missing, ",")
			found.NotFound = &text
		}
		return answer(found, err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: users + "/search", ID: "searchUsers", Tag: tag,
		Summary: "Search users with whom the caller shares an organization", Right: access.Identify,
	}, func(ctx context.Context, in *struct {
		platformapi.PageQuery
		Query string `query:"q" maxLength:"100" doc:"A part of the name."`
	}) (*platformapi.List[overview], error) {
		known, err := r.Access.KnownUsers(ctx, access.From(ctx))
		text := strings.ToLower(in.Query)
		known = slices.DeleteFunc(known, func(u access.Tenant) bool {
			return !strings.Contains(strings.ToLower(u.DisplayName), text) && !strings.Contains(u.Name, text)
		})
		return page(&in.PageQuery, list(known, asOverview), err)
	})
}
