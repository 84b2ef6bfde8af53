package access_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
)

func TestPersonalTokens(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.advance(time.Second)
	token, value, err := p.CreateToken(t.Context(), p.owner, "laptop", nil, p.Now().Add(time.Hour))
	p.must(err)
	text := string(value.Reveal())
	if !strings.HasPrefix(text, token.Prefix+"_") || len(text)-len(token.Prefix) < 44 {
		t.Errorf("the token has the prefix %q and %d characters, want it to begin so, with 43 more", token.Prefix, len(text))
	}
	for name, set := range map[string]func(*http.Request){
		"X-Auth-Token": func(r *http.Request) { r.Header.Set("X-Auth-Token", text) },
		"Bearer":       func(r *http.Request) { r.Header.Set("Authorization", "bearer "+text) },
		"Basic":        func(r *http.Request) { r.SetBasicAuth("anyone", text) },
	} {
		r := request("", "")
		set(r)
		caller, err := p.Authenticate(r)
		if err != nil || caller.Kind != access.Person || caller.ID != p.owner.ID || caller.Tenant != caller.ID || caller.Role != access.Owner {
			t.Errorf("Authenticate(%s) = %+v, %v, want the owner", name, caller, err)
		}
	}
	tokens, err := p.Tokens(t.Context(), p.owner)
	p.must(err)
	if len(tokens) != 2 || tokens[0].ID != token.ID || !tokens[0].UsedAt.Equal(p.Now()) {
		t.Errorf("Tokens = %+v, want two, the newest used now", tokens)
	}
	p.advance(time.Hour)
	p.refuses(text)
	p.wants(access.ErrNotFound, p.DeleteToken(t.Context(), p.owner, "another"))
	p.must(p.DeleteToken(t.Context(), p.owner, p.owner.Credential))
	p.refuses(p.token) // although it was cached
}

// Every credential that is not valid has the same error.
func TestTokensThatAreNone(t *testing.T) {
	t.Parallel()
	p := open(t)
	for _, token := range []string{"", "x", "a.b.c", "qhp_AAAAAA_" + strings.Repeat("A", 43), p.token + "x", p.token[:len(p.token)-1], strings.Repeat("x", 1<<15)} {
		p.refuses(token)
	}
}

// A token gives no more than its scopes, and makes none with more.
func TestScopes(t *testing.T) {
	t.Parallel()
	p := open(t)
	_, value, err := p.CreateToken(t.Context(), p.owner, "ci", []access.Scope{access.ScopeRead, access.ScopeWrite}, time.Time{})
	p.must(err)
	ci := p.as(string(value.Reveal()), "")
	for right, want := range map[access.Right]bool{
		access.Read: true, access.Identify: true, access.Deploy: true, access.ManageApplications: true,
		access.Execute: false, access.RunJob: false, access.ManageKeys: false, access.ManageTokens: false, access.ManageMembers: false,
	} {
		if got := ci.May(right); got != want {
			t.Errorf("a token with read and write: May(%s) = %t, want %t", right, got, want)
		}
	}
	_, _, err = p.CreateToken(t.Context(), ci, "more", nil, time.Time{})
	p.wants(access.ErrForbidden, err)
	_, admin, err := p.CreateToken(t.Context(), p.owner, "admin", []access.Scope{access.ScopeAdmin}, time.Time{})
	p.must(err)
	_, _, err = p.CreateToken(t.Context(), p.as(string(admin.Reveal()), ""), "more", []access.Scope{access.ScopeWrite}, time.Time{})
	p.wants(access.ErrForbidden, err)
	p.must(p.DeleteToken(t.Context(), ci, ci.Credential)) // a logout takes no scope
	p.refuses(string(value.Reveal()))
}

// The last token is made again for a server that has lost it, and no other works.
func TestOwnerToken(t *testing.T) {
	t.Parallel()
	p := open(t)
	value, err := p.OwnerToken(t.Context(), "owner")
	p.must(err)
	p.refuses(p.token)
	if again := p.as(string(value.Reveal()), ""); again.ID != p.owner.ID {
		t.Errorf("OwnerToken made user %s, want the one there was: %s", again.ID, p.owner.ID)
	}
}

func TestMembership(t *testing.T) {
	t.Parallel()
	p := open(t)
	token, organization := p.person("ada", access.Maintainer)
	ada := p.as(token, organization)
	if ada.Tenant != organization || ada.Role != access.Maintainer || !ada.May(access.Deploy) || ada.May(access.ManageMembers) {
		t.Errorf("Authenticate(a MAINTAINER) = %+v, want the rights of one", ada)
	}
	if self := p.as(token, ada.ID); self.Tenant != ada.ID || self.Role != access.Owner {
		t.Errorf("Authenticate(own account) = %+v, want its OWNER", self)
	}
	other, err := p.CreateOrganization(t.Context(), p.owner, "other", "")
	p.must(err)
	for _, id := range []string{other.ID, p.owner.ID, "none", strings.Repeat("x", 1000)} {
		_, err := p.Authenticate(request(token, id))
		p.wants(access.ErrNotMember, err)
	}
	p.must(p.SetRole(t.Context(), p.owner, organization, ada.ID, access.Viewer))
	if now := p.as(token, organization); now.Role != access.Viewer || now.May(access.Deploy) {
		t.Errorf("Authenticate(after SetRole) = %+v, want a VIEWER at once", now)
	}
	p.wants(access.ErrForbidden, p.SetRole(t.Context(), p.as(token, ""), organization, ada.ID, access.Owner))
	p.must(p.RemoveMember(t.Context(), p.owner, organization, ada.ID))
	_, err = p.Authenticate(request(token, organization))
	p.wants(access.ErrNotMember, err)
	p.wants(access.ErrConflict, p.RemoveMember(t.Context(), p.owner, organization, p.owner.ID))
	p.wants(access.ErrConflict, p.SetRole(t.Context(), p.owner, organization, p.owner.ID, access.Viewer))
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	p := open(t)
	token, organization := p.person("ada", access.Viewer)
	second, err := p.CreateOrganization(t.Context(), p.owner, "second", "")
	p.must(err)
	_, _, err = p.Invite(t.Context(), p.owner, second.ID, "ada", access.Maintainer)
	p.wants(access.ErrNotFound, err) // a name could be guessed
	i, value, err := p.Invite(t.Context(), p.owner, second.ID, p.as(token, "").ID, access.Maintainer)
	p.must(err)
	if value.Len() > 0 {
		t.Error("Invite(a user) made a token, want none")
	}
	ada := p.as(token, "")
	p.wants(access.ErrNotFound, p.Decide(t.Context(), p.owner, i.ID, true)) // of another
	p.must(p.Decide(t.Context(), ada, i.ID, true))
	p.wants(access.ErrNotFound, p.Decide(t.Context(), ada, i.ID, true)) // once
	p.as(token, second.ID)

	_, late, err := p.Invite(t.Context(), p.owner, organization, "", access.Viewer)
	p.must(err)
	_, once, err := p.Invite(t.Context(), p.owner, organization, "", access.Viewer)
	p.must(err)
	_, _, _, err = p.Redeem(t.Context(), once, "ada", "", "127.0.0.1:1") //nolint:dogsled // the error is what is tested
	p.wants(access.ErrExists, err)
	_, _, _, err = p.Redeem(t.Context(), once, "grace", "Grace", "127.0.0.1:1") //nolint:dogsled // the error is what is tested
	p.must(err)
	_, _, _, err = p.Redeem(t.Context(), once, "joan", "", "127.0.0.1:1") //nolint:dogsled // the error is what is tested
	p.wants(access.ErrNotFound, err)
	p.advance(access.InvitationLifetime)
	_, _, _, err = p.Redeem(t.Context(), late, "joan", "", "127.0.0.1:1") //nolint:dogsled // the error is what is tested
	p.wants(access.ErrNotFound, err)
	members, err := p.Members(t.Context(), p.owner, organization)
	p.must(err)
	if len(members) != 3 {
		t.Errorf("Members = %d, want 3", len(members))
	}
}

// A member of no organization learns nothing of it and changes nothing there.
func TestOrganizationsAreApart(t *testing.T) {
	t.Parallel()
	p := open(t)
	token, _ := p.person("ada", access.Owner)
	other, err := p.CreateOrganization(t.Context(), p.owner, "other", "")
	p.must(err)
	ada := p.as(token, "")
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Organization":       func() error { _, err := p.Organization(ctx, ada, other.ID); return err },
		"UpdateOrganization": func() error { _, err := p.UpdateOrganization(ctx, ada, other.ID, "x", ""); return err },
		"DeleteOrganization": func() error { return p.DeleteOrganization(ctx, ada, other.ID) },
		"Members":            func() error { _, err := p.Members(ctx, ada, other.ID); return err },
		"SetRole":            func() error { return p.SetRole(ctx, ada, other.ID, ada.ID, access.Owner) },
		"RemoveMember":       func() error { return p.RemoveMember(ctx, ada, other.ID, p.owner.ID) },
		"Invite":             func() error { _, _, err := p.Invite(ctx, ada, other.ID, "ada", access.Owner); return err },
		"PendingInvitations": func() error { _, err := p.PendingInvitations(ctx, ada, other.ID); return err },
	} {
		if err := call(); !isNotFound(err) {
			t.Errorf("%s(an organization of others) = %v, want %v", name, err, access.ErrNotFound)
		}
	}
}

// The names of organizations are unique for their members only, so that no user learns
// from a refusal which others there are.
func TestOrganizationNames(t *testing.T) {
	t.Parallel()
	p := open(t)
	token, _ := p.person("ada", access.Owner)
	ada := p.as(token, "")
	_, err := p.CreateOrganization(t.Context(), p.owner, "secret project", "")
	p.must(err)
	_, err = p.CreateOrganization(t.Context(), ada, "secret project", "")
	p.must(err)
	_, err = p.CreateOrganization(t.Context(), ada, "secret project", "")
	p.wants(access.ErrExists, err)
}
