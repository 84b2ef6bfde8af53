package accessapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

// principal describes the caller: a person, or an execution.
type principal struct {
	Type string `json:"type" enum:"token.personal,token.execution"`
	// Of a person.
	ID          string        `json:"id,omitempty"`
	AccountType string        `json:"accountType,omitempty"`
	Memberships *[]membership `json:"organizationMemberships,omitempty"`
	AccessToken *accessToken  `json:"accessToken,omitempty"`
	User        *authorized   `json:"user,omitempty"`
	Roles       *[]string     `json:"roles,omitempty"`
	// Of an execution.
	Execution any       `json:"serviceExecution,omitempty"`
	Provider  *provider `json:"serviceProvider,omitempty"`
}

type membership struct {
	ID          string      `json:"id"`
	AccountType string      `json:"accountType"`
	Role        access.Role `json:"role"`
}

// authorized is the user of a login. The names of its members are those of the older
// command line.
type authorized struct {
	ID        string `json:"id"`
	Username  string `json:"username"`
	FirstName string `json:"firstName"`
	LastName  string `json:"lastName"`
	Email     string `json:"email"`
}

type provider struct {
	_           struct{}  `nullable:"true"`
	ID          string    `json:"id"`
	ContextType string    `json:"contextType" enum:"USER,ORGANIZATION,SERVICE_EXECUTION"`
	AccountType string    `json:"accountType"`
	Parent      *provider `json:"parent" required:"false"`
}

// user is the caller's own user.
type user struct {
	ID        string `json:"id"`
	Username  string `json:"username"`
	Email     string `json:"email"`
	Firstname string `json:"firstname"`
	Lastname  string `json:"lastname"`
}

type account struct {
	ID             string      `json:"id"`
	TenantType     string      `json:"tenantType" enum:"USER,ORGANIZATION"`
	DisplayName    string      `json:"displayName"`
	Role           access.Role `json:"role"`
	AccountType    string      `json:"accountType"`
	Organization   bool        `json:"organization"`
	IsOrganization bool        `json:"isOrganization"`
}

func (r routes) login(api *platformapi.API) {
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: catalog + "/authorize", ID: "authorize", Tag: "Login",
		Summary: "Tell who the caller is", Right: access.Identify,
	}, func(ctx context.Context, _ *none) (*platformapi.Body[principal], error) {
		return answer(r.authorize(ctx))
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: users + "/authorize", ID: "authorizeUser", Tag: "Login",
		Summary: "Tell which user calls, by which token", Right: access.Identify,
	}, func(ctx context.Context, _ *none) (*platformapi.Body[principal], error) {
		return answer(r.authorize(ctx))
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: users + "/me", ID: "getMe", Tag: "Login",
		Summary: "Read the caller's user", Right: access.Identify,
	}, func(ctx context.Context, _ *none) (*platformapi.Body[user], error) {
		p := access.From(ctx)
		if p.Kind != access.Person {
			return nil, access.ErrForbidden
		}
		u, err := r.Access.User(ctx, p.ID)
		first, last := splitName(u)
		return answer(user{ID: u.ID, Username: u.Name, Email: u.Email, Firstname: first, Lastname: last}, err)
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: catalog + "/my/accounts", ID: "getMyAccounts", Tag: "Login",
		Summary: "List the accounts that the caller can act for", Right: access.Identify,
	}, func(ctx context.Context, in *platformapi.PageQuery) (*platformapi.List[account], error) {
		p := access.From(ctx)
		if p.Kind != access.Person {
			return nil, access.ErrForbidden
		}
		accounts, err := r.Access.Accounts(ctx, p.ID)
		return page(in, list(accounts, asAccount), err)
	})
}

func asAccount(m access.Membership) account {
	organization := m.Tenant.Kind == access.Organization
	return account{
		ID: m.Tenant.ID, TenantType: string(m.Tenant.Kind), DisplayName: m.Tenant.DisplayName, Role: m.Role,
		AccountType: accountType, Organization: organization, IsOrganization: organization,
	}
}

// splitName makes the two names that clients want of one.
func splitName(u access.Tenant) (first, last string) {
	first, last, _ = strings.Cut(u.DisplayName, " ")
	return first, last
}

func (r routes) authorize(ctx context.Context) (principal, error) {
	p := access.From(ctx)
	if p.Kind == access.Execution {
		return r.authorizeExecution(ctx, p)
	}
	if p.Kind != access.Person {
		return principal{}, access.ErrForbidden
	}
	if err := r.Access.RecordLogin(ctx, p); err != nil {
		return principal{}, err
	}
	accounts, err := r.Access.Accounts(ctx, p.ID)
	if err != nil {
		return principal{}, err
	}
	tokens, err := r.Access.Tokens(ctx, p)
	if err != nil {
		return principal{}, err
	}
	self := accounts[0].Tenant
	first, last := splitName(self)
	memberships := list(accounts[1:], func(m access.Membership) membership { return membership{m.Tenant.ID, accountType, m.Role} })
	answer := principal{
		Type: "token.personal", ID: self.ID, AccountType: accountType, Memberships: &memberships, Roles: &[]string{},
		User: &authorized{ID: self.ID, Username: self.Name, FirstName: first, LastName: last, Email: self.Email},
	}
	for _, token := range tokens {
		if token.ID == p.Credential {
			described := asToken(token)
			answer.AccessToken = &described
		}
	}
	return answer, nil
}

func (r routes) authorizeExecution(ctx context.Context, p access.Principal) (principal, error) {
	answer := principal{Type: "token.execution", Execution: map[string]string{"id": p.ID}}
	if r.Execution != nil {
		described, err := r.Execution(ctx, p.ID)
		if err != nil {
			return principal{}, err
		}
		answer.Execution = described
	}
	owner, err := r.Access.Store.Tenant(ctx, p.Tenant)
	answer.Provider = &provider{ID: owner.ID, ContextType: string(owner.Kind), AccountType: accountType}
	return answer, err
}
