package accessapi

import (
	"context"
	"net/http"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

// accessToken is a personal access token.
type accessToken struct {
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Prefix    string         `json:"prefix" doc:"The beginning of its value."`
	Scopes    []access.Scope `json:"scopes"`
	CreatedAt *string        `json:"createdAt"`
	UsedAt    *string        `json:"usedAt" doc:"Exact to a minute."`
	ExpiresAt *string        `json:"expiresAt" doc:"The day until whose end it is valid; null if it does not expire."`
	Value     string         `json:"value,omitempty" doc:"Shown once, when the token is made."`
}

func asToken(t access.Token) accessToken {
	return accessToken{
		ID: t.ID, Name: t.Name, Prefix: t.Prefix, Scopes: t.Scopes,
		CreatedAt: text(t.CreatedAt), UsedAt: text(t.UsedAt), ExpiresAt: day(lastDay(t.ExpiresAt)),
	}
}

type accessTokens struct {
	DefaultToken *string       `json:"defaultToken" doc:"Always null: no token can be read again."`
	AccessTokens []accessToken `json:"accessTokens"`
}

// pageOfTokens has the headers of a plain list.
type pageOfTokens struct {
	Total int    `header:"X-Total-Count" doc:"How many elements there are on all pages."`
	Link  string `header:"Link" doc:"The addresses of the pages before and after, as RFC 8288 has it."`
	Body  accessTokens
}

type newToken struct {
	Body struct {
		Name      string         `json:"name" maxLength:"100"`
		ExpiresAt *string        `json:"expiresAt,omitempty" format:"date" doc:"The last day on which it is valid. Absent: it does not expire."`
		Scopes    []access.Scope `json:"scopes,omitempty" doc:"read, execute, write, admin. Absent: those of the caller's token."`
	}
}

func (r routes) tokens(api *platformapi.API) {
	const path = users + "/me/access-tokens"
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodGet, Path: path, ID: "getAccessTokens", Tag: "Tokens",
		Summary: "List the caller's personal access tokens", Right: access.Identify,
	}, func(ctx context.Context, in *platformapi.PageQuery) (*pageOfTokens, error) {
		tokens, err := r.Access.Tokens(ctx, access.From(ctx))
		part, err := page(in, list(tokens, asToken), err)
		if err != nil {
			return nil, err
		}
		return &pageOfTokens{Total: part.Total, Link: part.Link, Body: accessTokens{AccessTokens: part.Body}}, nil
	})

	platformapi.Register(api, platformapi.Route{
		Method: http.MethodPost, Path: path, ID: "createAccessToken", Tag: "Tokens",
		Summary: "Make a personal access token", Right: access.ManageTokens, Status: http.StatusCreated,
	}, func(ctx context.Context, in *newToken) (*platformapi.Body[accessToken], error) {
		var expires time.Time
		if in.Body.ExpiresAt != nil {
			last, err := time.Parse(time.DateOnly, *in.Body.ExpiresAt)
			if err != nil {
				return nil, platformapi.NewProblem(http.StatusBadRequest, "body.expiresAt: it must be a date, such as 2030-12-31.")
			}
			expires = last.AddDate(0, 0, 1)
		}
		token, value, err := r.Access.CreateToken(ctx, access.From(ctx), in.Body.Name, in.Body.Scopes, expires)
		if err != nil {
			return nil, err
		}
		defer value.Clear()
		made := asToken(token)
		made.Value = string(value.Reveal())
		return answer(made, nil)
	})

	// Every token may revoke itself, so the right is checked there.
	platformapi.Register(api, platformapi.Route{
		Method: http.MethodDelete, Path: path + "/{id}", ID: "deleteAccessToken", Tag: "Tokens",
		Summary: "Revoke a personal access token", Right: access.Identify,
	}, func(ctx context.Context, in *ByID) (*none, error) {
		return nil, r.Access.DeleteToken(ctx, access.From(ctx), in.ID)
	})
}

// lastDay is a moment of the last day on which what expires is valid.
func lastDay(expires time.Time) time.Time {
	if expires.IsZero() {
		return expires
	}
	return expires.Add(-time.Second)
}
