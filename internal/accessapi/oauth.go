package accessapi

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"reflect"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/store"
)

// maxForm bounds the body of a request for a token.
const maxForm = 16 << 10

// oauth adds the endpoints of OAuth 2.0, which have errors in their own form.
func (r routes) oauth(api *platformapi.API) {
	const tag = "Tokens"
	platformapi.Stream(api, platformapi.Route{
		Method: http.MethodPost, Path: "/token", ID: "issueToken", Tag: tag, Public: true, Summary: "Get an access token for an access key",
		Description: "The client credentials grant of OAuth 2.0. The key comes by HTTP Basic, or in the form. Errors are those of RFC 6749, section 5.2.",
		Takes:       []platformapi.Content{{Type: "application/x-www-form-urlencoded", Of: reflect.TypeFor[tokenForm]()}},
		Gives:       platformapi.JSONOf[issuedToken](),
		Refusals:    map[int][]platformapi.Content{http.StatusBadRequest: platformapi.JSONOf[oauthError](), http.StatusUnauthorized: platformapi.JSONOf[oauthError]()},
	}, func(_ context.Context, _ *none, w http.ResponseWriter, req *http.Request) error {
		r.token(w, req)
		return nil
	})
	platformapi.Stream(api, platformapi.Route{
		Method: http.MethodGet, Path: "/jwks", ID: "getKeys", Tag: tag, Public: true,
		Summary: "Read the public keys of access tokens (RFC 7517)", Gives: platformapi.JSONOf[keySet](),
	}, func(_ context.Context, _ *none, w http.ResponseWriter, _ *http.Request) error {
		write(w, http.StatusOK, keySet{r.Access.Keys()})
		return nil
	})
}

type tokenForm struct {
	GrantType    string `json:"grant_type" enum:"client_credentials"`
	ClientID     string `json:"client_id,omitempty" doc:"The id of the access key, where HTTP Basic does not have it."`
	ClientSecret string `json:"client_secret,omitempty" doc:"Its secret."`
}

type issuedToken struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type" enum:"Bearer"`
	ExpiresIn   int    `json:"expires_in" doc:"Seconds."`
	Scope       string `json:"scope"`
}

type keySet struct {
	Keys []access.JWK `json:"keys"`
}

// oauthError is an error of RFC 6749, section 5.2.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

// token gives an access token for an access key: the client credentials grant. The key
// comes by HTTP Basic, or in the form.
func (r routes) token(w http.ResponseWriter, req *http.Request) {
	req.Body = http.MaxBytesReader(w, req.Body, maxForm)
	kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err := req.ParseForm(); err != nil || kind != "application/x-www-form-urlencoded" {
		write(w, http.StatusBadRequest, oauthError{"invalid_request", "The body must be a form (application/x-www-form-urlencoded)."})
		return
	}
	if req.PostForm.Get("grant_type") != "client_credentials" {
		write(w, http.StatusBadRequest, oauthError{"unsupported_grant_type", "The grant_type must be client_credentials."})
		return
	}
	id, secret := clientCredentials(req)
	given := plaintext.FromString(secret)
	defer given.Clear()
	token, err := r.Access.IssueToken(req.Context(), id, given, r.Access.Address(req))
	switch {
	case errors.Is(err, access.ErrUnauthenticated):
		w.Header().Set("WWW-Authenticate", `Basic realm="qhubctl", charset="UTF-8"`)
		write(w, http.StatusUnauthorized, oauthError{"invalid_client", "The access key or its secret is not valid, or was revoked or replaced."})
	case errors.Is(err, access.ErrTooManyFailures):
		w.Header().Set("Retry-After", "2")
		write(w, http.StatusTooManyRequests, oauthError{"temporarily_unavailable", "Too many requests for tokens; try again later."})
	case errors.Is(err, store.ErrBusy), errors.Is(err, store.ErrClosed):
		write(w, http.StatusServiceUnavailable, oauthError{"temporarily_unavailable", "The server cannot do this now; try again later."})
	case err != nil:
		write(w, http.StatusInternalServerError, oauthError{"server_error", "The server could not make a token."})
	default:
		defer token.Clear()
		write(w, http.StatusOK, issuedToken{
			AccessToken: string(token.Reveal()), TokenType: "Bearer", ExpiresIn: int(access.AccessTokenLifetime.Seconds()),
		})
	}
}

// clientCredentials are those of HTTP Basic, in which RFC 6749 has both parts encoded
// as in a form, or of the form.
func clientCredentials(r *http.Request) (id, secret string) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		return r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	return decoded(id), decoded(secret)
}

func decoded(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

func write(w http.ResponseWriter, status int, document any) {
	text, err := json.Marshal(document)
	if err != nil {
		platformapi.WriteProblem(w, platformapi.NewProblem(http.StatusInternalServerError, "The server could not do this."))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Pragma", "no-cache")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a client that is gone needs no answer
}
