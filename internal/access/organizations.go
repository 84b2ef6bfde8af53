package access

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// inOrganization checks that the caller is a member of an organization whose role
// there has a right. It may act for another tenant. Others learn nothing of it.
func (s *Service) inOrganization(ctx context.Context, p Principal, organization string, right Right) error {
	if p.Kind != Person {
		return ErrNotFound
	}
	role, err := s.Store.Role(ctx, organization, p.ID)
	if err != nil {
		return err
	}
	if organization != p.Tenant { // the rights of p are of another role
		tokens, err := s.Store.Tokens(ctx, p.ID)
		if err != nil {
			return err
		}
		p.Rights = rights.ofPerson(role, scopesOf(tokens, p.Credential))
	}
	audit.In(ctx, organization)
	if !p.May(right) {
		return ErrForbidden
	}
	return nil
}

// CreateOrganization makes an organization. The caller becomes its OWNER.
func (s *Service) CreateOrganization(ctx context.Context, p Principal, displayName, description string) (Tenant, error) {
	if p.Kind != Person || !p.May(ManageTokens) {
		return Tenant{}, ErrForbidden
	}
	displayName, err := checkName("name of an organization", displayName)
	if err != nil {
		return Tenant{}, err
	}
	owned, err := s.Store.Memberships(ctx, p.ID)
	if err != nil {
		return Tenant{}, err
	}
	for _, m := range owned { // others may use the name: nothing of them shows
		if m.Tenant.DisplayName == displayName {
			return Tenant{}, ErrExists
		}
	}
	if len(owned) >= maxOrganizations {
		return Tenant{}, fmt.Errorf("%w: you are a member of %d organizations", ErrConflict, len(owned))
	}
	id := uuid.NewString()
	o := Tenant{ID: id, Kind: Organization, Name: id, DisplayName: displayName, Description: description, CreatedAt: s.Now()}
	audit.Note(ctx, "organization", id)
	audit.Note(ctx, "name", displayName)
	defer s.changed()
	return o, s.Store.CreateOrganization(ctx, o, p.ID)
}

// Organization reads an organization of the caller, and its role there.
func (s *Service) Organization(ctx context.Context, p Principal, id string) (Membership, error) {
	if err := s.inOrganization(ctx, p, id, ViewTenant); err != nil {
		return Membership{}, err
	}
	o, err := s.Store.Tenant(ctx, id)
	if err != nil {
		return Membership{}, err
	}
	role, err := s.Store.Role(ctx, id, p.ID)
	return Membership{Tenant: o, Role: role}, err
}

// UpdateOrganization changes the display name and the description.
func (s *Service) UpdateOrganization(ctx context.Context, p Principal, id, displayName, description string) (Membership, error) {
	if err := s.inOrganization(ctx, p, id, ManageMembers); err != nil {
		return Membership{}, err
	}
	displayName, err := checkName("name of an organization", displayName)
	if err != nil {
		return Membership{}, err
	}
	err = s.Store.UpdateOrganization(ctx, Tenant{ID: id, DisplayName: displayName, Description: description})
	if err != nil {
		return Membership{}, err
	}
	return s.Organization(ctx, p, id)
}

// DeleteOrganization deletes an organization and its applications. The caller has
// made sure that it owns no services.
func (s *Service) DeleteOrganization(ctx context.Context, p Principal, id string) error {
	if err := s.inOrganization(ctx, p, id, ManageMembers); err != nil {
		return err
	}
	defer s.changed()
	return s.Store.DeleteOrganization(ctx, id)
}

// Members are those of an organization of the caller.
func (s *Service) Members(ctx context.Context, p Principal, organization string) ([]Member, error) {
	if err := s.inOrganization(ctx, p, organization, ViewTenant); err != nil {
		return nil, err
	}
	return s.Store.Members(ctx, organization)
}

// KnownUsers are the caller, and the users with whom it shares an organization. Of
// others a caller learns nothing.
func (s *Service) KnownUsers(ctx context.Context, p Principal) ([]Tenant, error) {
	if p.Kind != Person {
		return nil, ErrForbidden
	}
	self, err := s.User(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	known, seen := []Tenant{self}, map[string]bool{self.ID: true}
	organizations, err := s.Store.Memberships(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	for _, o := range organizations {
		members, err := s.Store.Members(ctx, o.Tenant.ID)
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			if !seen[m.User.ID] {
				known, seen[m.User.ID] = append(known, m.User), true
			}
		}
	}
	return known, nil
}

// SetRole changes the role of a member.
func (s *Service) SetRole(ctx context.Context, p Principal, organization, user string, role Role) error {
	if err := s.inOrganization(ctx, p, organization, ManageMembers); err != nil {
		return err
	}
	if !role.Valid() {
		return invalid("role: there are VIEWER, MAINTAINER and OWNER")
	}
	audit.Note(ctx, "member", user)
	audit.Note(ctx, "role", string(role))
	defer s.changed()
	return s.Store.SetRole(ctx, organization, user, role)
}

// RemoveMember ends a membership. Every member may end its own.
func (s *Service) RemoveMember(ctx context.Context, p Principal, organization, user string) error {
	right := ManageMembers
	if user == p.ID {
		right = ManageTokens
	}
	if err := s.inOrganization(ctx, p, organization, right); err != nil {
		return err
	}
	defer s.changed()
	return s.Store.RemoveMember(ctx, organization, user)
}

// Invite invites a user by its id, or with an empty one whoever is given the token. The
// token is returned in that case only, once. Names of users are not looked up, so
// that no caller can guess who there is.
func (s *Service) Invite(ctx context.Context, p Principal, organization, user string, role Role) (Invitation, plaintext.Bytes, error) {
	none := plaintext.Bytes{}
	if err := s.inOrganization(ctx, p, organization, ManageMembers); err != nil {
		return Invitation{}, none, err
	}
	if !role.Valid() {
		return Invitation{}, none, invalid("role: there are VIEWER, MAINTAINER and OWNER")
	}
	o, err := s.Store.Tenant(ctx, organization)
	if err != nil {
		return Invitation{}, none, err
	}
	inviter, err := s.User(ctx, p.ID)
	if err != nil {
		return Invitation{}, none, err
	}
	now := s.Now()
	i := Invitation{
		ID: uuid.NewString(), Organization: o, Inviter: inviter, Role: role, Status: InvitationPending,
		CreatedAt: now, ExpiresAt: now.Add(InvitationLifetime),
	}
	audit.Note(ctx, "invitation", i.ID)
	audit.Note(ctx, "role", string(role))
	if user == "" {
		value, _ := newSecret("qhi_")
		return i, value, s.Store.CreateInvitation(ctx, i, digest(value.Reveal()))
	}
	invitee, err := s.User(ctx, user)
	if err != nil {
		return Invitation{}, none, err
	}
	i.Invitee = invitee.ID
	return i, none, s.Store.CreateInvitation(ctx, i, nil)
}

// Invitations are those to the caller, the newest first.
func (s *Service) Invitations(ctx context.Context, p Principal) ([]Invitation, error) {
	if p.Kind != Person || !p.May(Identify) {
		return nil, ErrForbidden
	}
	return s.Store.Invitations(ctx, "", p.ID)
}

// PendingInvitations are those of an organization that can be accepted.
func (s *Service) PendingInvitations(ctx context.Context, p Principal, organization string) ([]Invitation, error) {
	if err := s.inOrganization(ctx, p, organization, ViewTenant); err != nil {
		return nil, err
	}
	all, err := s.Store.Invitations(ctx, organization, "")
	pending := []Invitation{}
	for _, i := range all {
		if i.Status == InvitationPending && !expired(i.ExpiresAt, s.Now()) {
			pending = append(pending, i)
		}
	}
	return pending, err
}

// DeleteInvitation withdraws an invitation.
func (s *Service) DeleteInvitation(ctx context.Context, p Principal, organization, id string) error {
	if err := s.inOrganization(ctx, p, organization, ManageMembers); err != nil {
		return err
	}
	return s.Store.DeleteInvitation(ctx, organization, id)
}

// Decide accepts or declines an invitation to the caller.
func (s *Service) Decide(ctx context.Context, p Principal, id string, accept bool) error {
	if p.Kind != Person || !p.May(ManageTokens) {
		return ErrForbidden
	}
	d := Decision{ID: id, User: p.ID, Status: InvitationDeclined, Now: s.Now()}
	if accept {
		d.Status = InvitationAccepted
	}
	defer s.changed()
	_, err := s.Store.DecideInvitation(ctx, d)
	return err
}

// Redeem accepts an invitation by its token, which works once. It makes a user with
// a name, and a token for it. address is the caller's, who needs no other credential:
// each address may try as often as it may fail to authenticate.
func (s *Service) Redeem(ctx context.Context, token plaintext.Bytes, name, displayName, address string) (Invitation, Token, plaintext.Bytes, error) {
	now := s.Now()
	if !s.redeeming.allow(network(address), now) {
		return Invitation{}, Token{}, plaintext.Bytes{}, ErrTooManyFailures
	}
	user, err := newUser(name, displayName, now)
	if err != nil {
		return Invitation{}, Token{}, plaintext.Bytes{}, err
	}
	// The organization is known to the store only.
	ctx = audit.With(ctx, audit.NewRecord(audit.Entry{
		Time: now, Actor: audit.Actor{Kind: string(Person), ID: user.ID}, Action: "redeemInvitation", Outcome: audit.Done,
		Details: map[string]string{"name": name},
	}))
	login, value := newToken(user.ID, "invitation", AllScopes(), now.Add(loginLifetime), now)
	defer s.changed()
	i, err := s.Store.DecideInvitation(ctx, Decision{
		Digest: digest(token.Reveal()), User: user.ID, NewUser: user, NewToken: login, NewTokenDigest: digest(value.Reveal()),
		Status: InvitationAccepted, Now: now,
	})
	if err != nil {
		return Invitation{}, Token{}, plaintext.Bytes{}, err
	}
	return i, login, value, nil
}

// loginLifetime is how long a token lives that an invitation gives.
const loginLifetime = 90 * 24 * time.Hour
