package accessapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

type member struct {
	ID          string      `json:"id"`
	SID         string      `json:"sid" doc:"The same as id."`
	DisplayName string      `json:"displayName"`
	Role        access.Role `json:"accessPermissionRole"`
	Principal   bool        `json:"principal"`
	Pending     bool        `json:"invitationPending"`
}

func asMember(m access.Member) member {
	return member{ID: m.User.ID, SID: m.User.ID, DisplayName: m.User.DisplayName, Role: m.Role, Principal: true}
}

// permission is a role of a user, as the published clients send it.
type permission struct {
	SID  string      `json:"sid,omitempty" maxLength:"64" doc:"The id of a user."`
	Role access.Role `json:"accessPermissionRole,omitempty" doc:"VIEWER, MAINTAINER or OWNER."`
}

// MemberOf names a member in the address.
type MemberOf struct {
	ByID
	User string `path:"userId" maxLength:"64" doc:"The id of the user."`
}

func (r routes) members(api *platformapi.API) {
	const path, tag = catalog + "/organizations/{id}/members", "Organizations"
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: path, ID: "getMembers", Tag: tag,
		Summary: "List the members of an organization, and invited users", Right: access.Identify,
	}, func(ctx context.Context, in *PageByID) (*platformapi.List[member], error) {
		all, err := r.allMembers(ctx, in.ID)
		return page(&in.PageQuery, all, err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: path, ID: "addMember", Tag: tag,
		Summary: "Invite a user to an organization", Right: access.Identify, Status: http.StatusCreated,
	}, func(ctx context.Context, in *struct {
		ByID
		Body permission
	}) (*platformapi.Body[member], error) {
		if in.Body.SID == "" {
			return nil, platformapi.NewProblem(http.StatusBadRequest, "body.sid: name a user; to invite a person without one, use "+catalog+"/organizations/{id}/invitations.")
		}
		i, _, err := r.Access.Invite(ctx, access.From(ctx), in.ID, in.Body.SID, in.Body.Role)
		return answer(member{ID: i.Invitee, SID: i.Invitee, Role: i.Role, Principal: true, Pending: true}, err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: path + "/{userId}", ID: "getMember", Tag: tag,
		Summary: "Read a member of an organization", Right: access.Identify,
	}, func(ctx context.Context, in *MemberOf) (*platformapi.Body[member], error) {
		return answer(r.member(ctx, in.ID, in.User))
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPut, Path: path + "/{userId}", ID: "updateMember", Tag: tag,
		Summary: "Change the role of a member", Right: access.Identify,
	}, func(ctx context.Context, in *struct {
		MemberOf
		Body permission
	}) (*platformapi.Body[member], error) {
		if err := r.Access.SetRole(ctx, access.From(ctx), in.ID, in.User, in.Body.Role); err != nil {
			return nil, err
		}
		return answer(r.member(ctx, in.ID, in.User))
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: path + "/{userId}", ID: "deleteMember", Tag: tag,
		Summary: "Remove a member, or leave", Right: access.Identify,
	}, func(ctx context.Context, in *MemberOf) (*none, error) {
		return nil, r.Access.RemoveMember(ctx, access.From(ctx), in.ID, in.User)
	})
}

func (r routes) allMembers(ctx context.Context, organization string) ([]member, error) {
	p := access.From(ctx)
	members, err := r.Access.Members(ctx, p, organization)
	if err != nil {
		return nil, err
	}
	pending, err := r.Access.PendingInvitations(ctx, p, organization)
	all := list(members, asMember)
	for _, i := range pending {
		if i.Invitee != "" {
			all = append(all, member{ID: i.Invitee, SID: i.Invitee, Role: i.Role, Principal: true, Pending: true})
		}
	}
	return all, err
}

func (r routes) member(ctx context.Context, organization, user string) (member, error) {
	all, err := r.allMembers(ctx, organization)
	if err != nil {
		return member{}, err
	}
	for _, m := range all {
		if m.ID == user {
			return m, nil
		}
	}
	return member{}, access.ErrNotFound
}

type invitation struct {
	ID          string                  `json:"id"`
	InviteeID   string                  `json:"inviteeId" doc:"Empty: whoever has the token."`
	InviterID   string                  `json:"inviterId"`
	InviterName string                  `json:"inviterName"`
	EntityName  string                  `json:"entityName"`
	Role        access.Role             `json:"role"`
	Status      access.InvitationStatus `json:"status"`
	CreatedAt   *string                 `json:"createdAt"`
	ExpiresAt   *string                 `json:"expiresAt"`
	Token       string                  `json:"token,omitempty" doc:"Works once, and is shown once."`
}

func asInvitation(i access.Invitation) invitation {
	return invitation{
		ID: i.ID, InviteeID: i.Invitee, InviterID: i.Inviter.ID, InviterName: i.Inviter.DisplayName,
		EntityName: i.Organization.DisplayName, Role: i.Role, Status: i.Status, CreatedAt: text(i.CreatedAt), ExpiresAt: text(i.ExpiresAt),
	}
}

// Redemption is the request of an invited person.
type Redemption struct {
	Body struct {
		Token       string `json:"token" maxLength:"200"`
		Username    string `json:"username" maxLength:"64"`
		DisplayName string `json:"displayName,omitempty" maxLength:"100"`
	}
	request *http.Request
}

// Resolve implements [huma.Resolver]: it keeps the request, whose address counts.
func (in *Redemption) Resolve(ctx huma.Context) []error {
	in.request, _ = humago.Unwrap(ctx)
	return nil
}

// redeemed is what a new user gets for an invitation.
type redeemed struct {
	User         user        `json:"user"`
	Organization string      `json:"organizationId"`
	Role         access.Role `json:"role"`
	AccessToken  accessToken `json:"accessToken"`
}

func (r routes) invitations(api *platformapi.API) {
	const own, tag = catalog + "/my/invitations", "Organizations"
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: own, ID: "getMyInvitations", Tag: tag,
		Summary: "List the invitations to the caller", Right: access.Identify,
	}, func(ctx context.Context, in *platformapi.PageQuery) (*platformapi.List[invitation], error) {
		all, err := r.Access.Invitations(ctx, access.From(ctx))
		return page(in, list(all, asInvitation), err)
	})
	for word, accept := range map[string]bool{"accept": true, "decline": false} {
		platformapi.Register(api, platformapi.Route{
			Method: http.MethodPost, Path: own + "/{id}/" + word, ID: word + "Invitation", Tag: tag,
			Summary: "Answer an invitation: " + word, Right: access.ManageTokens,
		}, func(ctx context.Context, in *ByID) (*none, error) {
			return nil, r.Access.Decide(ctx, access.From(ctx), in.ID, accept)
		})
	}
	r.organizationInvitations(api, tag)

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: catalog + "/invitations/redeem", ID: "redeemInvitation", Tag: tag,
		Summary: "Make a user by the token of an invitation", Public: true, Status: http.StatusCreated,
	}, func(ctx context.Context, in *Redemption) (*platformapi.Body[redeemed], error) {
		given := plaintext.FromString(in.Body.Token)
		defer given.Clear()
		i, token, value, err := r.Access.Redeem(ctx, given, in.Body.Username, in.Body.DisplayName, r.Access.Address(in.request))
		if err != nil {
			return nil, err
		}
		defer value.Clear()
		made := asToken(token)
		made.Value = string(value.Reveal())
		return answer(redeemed{
			User: user{ID: token.User, Username: in.Body.Username}, Organization: i.Organization.ID, Role: i.Role, AccessToken: made,
		}, nil)
	})
}

func (r routes) organizationInvitations(api *platformapi.API, tag string) {
	const path = catalog + "/organizations/{id}/invitations"
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: path, ID: "getInvitations", Tag: tag,
		Summary: "List the pending invitations of an organization", Right: access.Identify,
	}, func(ctx context.Context, in *PageByID) (*platformapi.List[invitation], error) {
		all, err := r.Access.PendingInvitations(ctx, access.From(ctx), in.ID)
		return page(&in.PageQuery, list(all, asInvitation), err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: path, ID: "createInvitation", Tag: tag,
		Summary: "Invite a person, who gets a one-time token", Right: access.Identify, Status: http.StatusCreated,
	}, func(ctx context.Context, in *struct {
		ByID
		Body struct {
			User string      `json:"user,omitempty" maxLength:"64" doc:"The id of a user. Absent: whoever has the token."`
			Role access.Role `json:"role" doc:"VIEWER, MAINTAINER or OWNER."`
		}
	}) (*platformapi.Body[invitation], error) {
		i, value, err := r.Access.Invite(ctx, access.From(ctx), in.ID, in.Body.User, in.Body.Role)
		if err != nil {
			return nil, err
		}
		defer value.Clear()
		made := asInvitation(i)
		made.Token = string(value.Reveal())
		return answer(made, nil)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: path + "/{invitationId}", ID: "deleteInvitation", Tag: tag,
		Summary: "Withdraw an invitation", Right: access.Identify,
	}, func(ctx context.Context, in *struct {
		ByID
		Invitation string `path:"invitationId" maxLength:"64" doc:"The id of the invitation."`
	}) (*none, error) {
		return nil, r.Access.DeleteInvitation(ctx, access.From(ctx), in.ID, in.Invitation)
	})
}
