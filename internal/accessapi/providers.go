package accessapi

import (
	"context"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/platformapi"
)

// providerToken is a token in the description.
type providerToken struct {
	Type       access.Provider `json:"type" enum:"IBM,IBM_CLOUD,DWAVE"`
	Value      string          `json:"value,omitempty" doc:"The token. It reads back as [redacted]."`
	ServiceCRN string          `json:"serviceCrn,omitempty" doc:"Of IBM_CLOUD: the name of the instance. It reads back as [redacted]."`
	APIKey     string          `json:"apiKey,omitempty" doc:"Of IBM_CLOUD: the key. It reads back as [redacted]."`
}

// providerBody is a token as a request.
type providerBody struct {
	Type       access.Provider `json:"type"`
	Value      secretText      `json:"value"`
	ServiceCRN secretText      `json:"serviceCrn"`
	APIKey     secretText      `json:"apiKey"`
}

// A secretText is a text of a request that is wiped.
type secretText []byte

// UnmarshalJSON implements [encoding/json.Unmarshaler].
func (t *secretText) UnmarshalJSON(raw []byte) error {
	if string(raw) == "null" {
		return nil
	}
	value, err := jsontext.AppendUnquote(make([]byte, 0, len(raw)), raw)
	if err != nil {
		clear(value)
		return platformapi.NewProblem(http.StatusBadRequest, "The parts of a token must be texts.")
	}
	*t = value
	return nil
}

// ByProvider names a provider in the address.
type ByProvider struct {
	Type access.Provider `path:"type" maxLength:"32" doc:"The provider: IBM, IBM_CLOUD or DWAVE."`
}

// ProviderOf names a provider of an organization in the address.
type ProviderOf struct {
	ByID
	ByProvider
}

// redacted is how the parts of a token read back.
const redacted = "[redacted]"

// providerTokens adds the routes of tokens for providers of quantum computers. Their
// values can be written, and never read.
func (r routes) providerTokens(api *platformapi.API) {
	const tag, text = "Provider tokens", "Its values are sealed, and never shown. Executions of services with applyProviderTokens find them in their environment."
	my, organization := catalog+"/my/provider-tokens", catalog+"/organizations/{id}/provider-tokens"
	self := func(ctx context.Context) string { return access.From(ctx).ID }

	list := platformapi.Route{Method: http.MethodGet, Path: my, ID: "getMyProviderTokens", Tag: tag, Summary: "Tell for which providers the caller has a token", Right: access.Identify}
	platformapi.Register(api, list, func(ctx context.Context, _ *none) (*platformapi.Body[map[access.Provider]bool], error) {
		return answer(r.Access.ProvidersOf(ctx, access.From(ctx), self(ctx)))
	})
	list.Path, list.ID, list.Summary = organization, "getProviderTokens", "Tell for which providers an organization has a token"
	platformapi.Register(api, list, func(ctx context.Context, in *ByID) (*platformapi.Body[map[access.Provider]bool], error) {
		return answer(r.Access.ProvidersOf(ctx, access.From(ctx), in.ID))
	})

	get := platformapi.Route{Method: http.MethodGet, Path: my + "/{type}", ID: "getMyProviderToken", Tag: tag, Summary: "Tell that the caller has a token", Description: text, Right: access.Identify}
	platformapi.Register(api, get, func(ctx context.Context, in *ByProvider) (*platformapi.Body[providerToken], error) {
		return answer(r.providerToken(ctx, self(ctx), in.Type))
	})
	get.Path, get.ID, get.Summary = organization+"/{type}", "getProviderToken", "Tell that an organization has a token"
	platformapi.Register(api, get, func(ctx context.Context, in *ProviderOf) (*platformapi.Body[providerToken], error) {
		return answer(r.providerToken(ctx, in.ID, in.Type))
	})

	put := platformapi.Route{
		Method: http.MethodPut, Path: my + "/{type}", ID: "setMyProviderToken", Tag: tag, Summary: "Keep a token of the caller", Description: text,
		Right: access.ManageTokens, Status: http.StatusNoContent, Takes: platformapi.JSONOf[providerToken](),
	}
	platformapi.Stream(api, put, func(ctx context.Context, in *ByProvider, w http.ResponseWriter, req *http.Request) error {
		return r.setProviderToken(ctx, self(ctx), in.Type, w, req)
	})
	put.Path, put.ID, put.Summary, put.Right = organization+"/{type}", "setProviderToken", "Keep a token of an organization", access.Identify
	platformapi.Stream(api, put, func(ctx context.Context, in *ProviderOf, w http.ResponseWriter, req *http.Request) error {
		return r.setProviderToken(ctx, in.ID, in.Type, w, req)
	})

	remove := platformapi.Route{Method: http.MethodDelete, Path: my + "/{type}", ID: "deleteMyProviderToken", Tag: tag, Summary: "Remove a token of the caller", Right: access.ManageTokens}
	platformapi.Register(api, remove, func(ctx context.Context, in *ByProvider) (*none, error) {
		return nil, r.Access.DeleteProviderToken(ctx, access.From(ctx), self(ctx), in.Type)
	})
	remove.Path, remove.ID, remove.Summary, remove.Right = organization+"/{type}", "deleteProviderToken", "Remove a token of an organization", access.Identify
	platformapi.Register(api, remove, func(ctx context.Context, in *ProviderOf) (*none, error) {
		return nil, r.Access.DeleteProviderToken(ctx, access.From(ctx), in.ID, in.Type)
	})
}

// providerToken describes a token that an account has, without its values.
func (r routes) providerToken(ctx context.Context, tenant string, provider access.Provider) (providerToken, error) {
	has, err := r.Access.ProvidersOf(ctx, access.From(ctx), tenant)
	if err == nil && !has[provider] {
		err = access.ErrNotFound
	}
	if err != nil {
		return providerToken{}, err
	}
	if len(provider.Variables()) > 1 {
		return providerToken{Type: provider, ServiceCRN: redacted, APIKey: redacted}, nil
	}
	return providerToken{Type: provider, Value: redacted}, nil
}

func (r routes) setProviderToken(ctx context.Context, tenant string, provider access.Provider, w http.ResponseWriter, req *http.Request) error {
	var body providerBody
	err := platformapi.ReadJSON(w, req, &body)
	defer func() {
		for _, value := range []secretText{body.Value, body.ServiceCRN, body.APIKey} {
			clear(value)
		}
	}()
	if err != nil {
		return err
	}
	if body.Type != "" && body.Type != provider {
		return platformapi.NewProblem(http.StatusBadRequest, "The type in the body is another one than that in the address.")
	}
	given := []secretText{body.Value}
	names := provider.Variables()
	if len(names) > 1 {
		given = []secretText{body.APIKey, body.ServiceCRN}
	}
	values := map[string]plaintext.Bytes{}
	for i, name := range names {
		if string(given[i]) == redacted {
			return platformapi.NewProblem(http.StatusBadRequest, "The token is "+redacted+", which stands for one that is kept; send the token itself.")
		}
		values[name] = plaintext.New(given[i])
	}
	if err := r.Access.SetProviderToken(ctx, access.From(ctx), tenant, access.ProviderToken{Provider: provider, Values: values}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
