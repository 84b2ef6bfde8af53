package accessapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// TestLogin is the way from a token to a call with an access key.
func TestLogin(t *testing.T) {
	t.Parallel()
	p := serve(t)
	me := p.as(p.token, "")
	who := me.call("POST", "/qc-catalog/authorize", 200, nil)
	if who["type"] != "token.personal" || field(who, "user", "username") != "owner" || field(who, "accessToken", "id") != p.owner.Credential {
		t.Errorf("authorize = %v, want the owner and its token", who)
	}
	if _, shown := who["accessToken"].(map[string]any)["value"]; shown {
		t.Error("authorize shows the value of the token")
	}
	made := me.call("POST", "/user-service/me/access-tokens", 201, map[string]any{"name": "laptop", "expiresAt": "2999-12-31"})
	laptop := p.as(field(made, "value"), "")
	if tokens := laptop.call("GET", "/user-service/me/access-tokens", 200, nil); len(tokens["accessTokens"].([]any)) != 2 ||
		tokens["defaultToken"] != nil || strings.Contains(field(tokens, "value"), "qhp_") || field(made, "expiresAt") != "2999-12-31" {
		t.Errorf("access-tokens = %v, want two, and no default", tokens)
	}
	app := laptop.call("POST", "/qc-catalog/applications", 201, map[string]any{"name": "app"})
	keys := laptop.call("GET", "/qc-catalog/applications/"+field(app, "id")+"/access-keys", 200, nil)["list"].([]any)
	key := keys[0].(map[string]any)
	subscription := laptop.call("POST", "/qc-catalog/subscriptions", 201, map[string]any{"ids": []string{"x"}, "serviceId": "service", "applicationId": field(app, "id")})
	if field(subscription, "service", "gatewayEndpoint") == "" || field(subscription, "application", "name") != "app" {
		t.Errorf("subscriptions = %v, want the endpoint and the application", subscription)
	}
	token := p.clientCredentials(field(key, "accessKeyId"), field(key, "secretAccessKey"), 200)
	if token["expires_in"] != 3600.0 || token["token_type"] != "Bearer" {
		t.Errorf("token = %v, want expires_in and token_type", token)
	}
	caller, err := p.Authenticate(authenticated(t.Context(), field(token, "access_token"), ""))
	p.must(err)
	if caller.Kind != access.Application || caller.ID != field(app, "id") {
		t.Errorf("the token is that of %+v, want the application", caller)
	}
	laptop.call("DELETE", "/user-service/me/access-tokens/"+field(made, "id"), 204, nil)
	laptop.call("POST", "/qc-catalog/authorize", 401, nil)
}

// clientCredentials gets a token by HTTP Basic.
func (p *platform) clientCredentials(id, secret string, want int) map[string]any {
	p.Helper()
	form := strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode())
	r, err := http.NewRequestWithContext(p.Context(), http.MethodPost, p.url+"/token", form)
	p.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(id, secret)
	response, err := http.DefaultClient.Do(r)
	p.must(err)
	defer func() { _ = response.Body.Close() }()
	var answer map[string]any
	p.must(json.NewDecoder(response.Body).Decode(&answer))
	if response.StatusCode != want {
		p.Fatalf("POST /token = %d %v, want %d", response.StatusCode, answer, want)
	}
	return answer
}

func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	p := serve(t)
	app, err := p.CreateApplication(t.Context(), p.owner, "app")
	p.must(err)
	keys, err := p.AccessKeys(t.Context(), p.owner, app.ID)
	p.must(err)
	id, secret := keys[0].ID, string(keys[0].Secret.Reveal())
	const form = "application/x-www-form-urlencoded"
	nobody := p.as("", "")
	for _, c := range []struct {
		body, contentType string
		status            int
		code              string
	}{
		{"grant_type=client_credentials&client_id=" + id + "&client_secret=" + secret, form, 200, ""},
		{"grant_type=client_credentials&client_id=" + id + "&client_secret=x", form, 401, "invalid_client"},
		{"grant_type=client_credentials", form, 401, "invalid_client"},
		{"grant_type=password&username=a&password=b", form, 400, "unsupported_grant_type"},
		{"", form, 400, "unsupported_grant_type"},
		{`{"grant_type":"client_credentials"}`, "application/json", 400, "invalid_request"},
		{"grant_type=client_credentials&x=" + strings.Repeat("x", 1<<16), form, 400, "invalid_request"},
	} {
		status, _, body := nobody.do("POST", "/token", c.contentType, []byte(c.body))
		var answer map[string]any
		p.must(json.Unmarshal(body, &answer))
		if status != c.status || c.code != "" && (answer["error"] != c.code || answer["error_description"] == "") {
			t.Errorf("POST /token with %.60q = %d %s, want %d %q with a description", c.body, status, body, c.status, c.code)
		}
	}
	p.clientCredentials(id, url.QueryEscape(secret), 200)
	_, _, text := nobody.do("GET", "/jwks", "", nil)
	var set struct{ Keys []map[string]string }
	p.must(json.Unmarshal(text, &set))
	if len(set.Keys) != 1 || set.Keys[0]["crv"] != "Ed25519" || set.Keys[0]["d"] != "" {
		t.Errorf("GET /jwks = %s, want one public key", text)
	}
}

func TestOrganizations(t *testing.T) {
	t.Parallel()
	p := serve(t)
	me := p.as(p.token, "")
	o := me.call("POST", "/qc-catalog/organizations", 201, map[string]any{"displayName": "Team", "billingEmail": "a@b.c"})
	id := field(o, "id")
	invited := me.call("POST", "/qc-catalog/organizations/"+id+"/invitations", 201, map[string]any{"role": "VIEWER"})
	joined := p.as("", "").call("POST", "/qc-catalog/invitations/redeem", 201, map[string]any{"token": field(invited, "token"), "username": "ada"})
	p.as("", "").call("POST", "/qc-catalog/invitations/redeem", 404, map[string]any{"token": field(invited, "token"), "username": "grace"})
	for range 40 {
		p.as("", "").do("POST", "/qc-catalog/invitations/redeem", "application/json", []byte(`{"token": "x", "username": "grace"}`))
	}
	p.as("", "").call("POST", "/qc-catalog/invitations/redeem", 429, map[string]any{"token": "x", "username": "grace"})
	token, ada := field(joined, "accessToken", "value"), field(joined, "user", "id")
	if accounts := p.as(token, "").call("GET", "/qc-catalog/my/accounts", 200, nil)["list"].([]any); len(accounts) != 2 {
		t.Errorf("my/accounts = %v, want two", accounts)
	}
	// The organization's audit log has both, although the caller of the first acts for itself.
	log, err := json.Marshal(p.as(p.token, id).call("GET", "/qc-catalog/audit", 200, nil))
	p.must(err)
	for _, want := range []string{"createInvitation", "redeemInvitation", ada, `"head":2`} {
		if !strings.Contains(string(log), want) {
			t.Errorf("GET /qc-catalog/audit of the organization = %s, want %s in it", log, want)
		}
	}
	if u := me.call("GET", "/user-service/users/"+ada, 200, nil); field(u, "firstname") != "ada" {
		t.Errorf("users/{id} = %v, want ada", u)
	}
	stranger := p.as(p.token, "").call("POST", "/qc-catalog/organizations", 201, map[string]any{"displayName": "Other"})
	invited = me.call("POST", "/qc-catalog/organizations/"+field(stranger, "id")+"/invitations", 201, map[string]any{"role": "VIEWER"})
	p.advance.Add(int64(time.Minute))
	grace := field(p.as("", "").call("POST", "/qc-catalog/invitations/redeem", 201, map[string]any{"token": field(invited, "token"), "username": "grace"}), "user", "id")
	p.as(token, "").call("GET", "/user-service/users/"+grace, 404, nil)
	if found := p.as(token, "").call("GET", "/user-service/search?q=", 200, nil)["list"].([]any); len(found) != 2 {
		t.Errorf("search = %v, want ada and the owner only", found)
	}
	p.as(token, id).call("POST", "/qc-catalog/applications", 403, map[string]any{"name": "app"})
	me.call("PUT", "/qc-catalog/organizations/"+id+"/members/"+ada, 200, map[string]any{"accessPermissionRole": "MAINTAINER"})
	app := p.as(token, id).call("POST", "/qc-catalog/applications", 201, map[string]any{"name": "app"})
	p.as(token, "").call("GET", "/qc-catalog/applications/"+field(app, "id"), 404, nil)
	p.as(token, p.owner.ID).call("GET", "/qc-catalog/applications", 403, nil)
	me.call("DELETE", "/qc-catalog/organizations/"+id+"/members/"+p.owner.ID, 409, nil)
	p.as(token, "").call("DELETE", "/qc-catalog/organizations/"+id, 403, nil)
	me.call("DELETE", "/qc-catalog/organizations/"+id, 204, nil)
	p.as(token, id).call("GET", "/qc-catalog/applications", 403, nil)
}

// TestProviderTokens keeps tokens that can be written and not be read.
func TestProviderTokens(t *testing.T) {
	t.Parallel()
	const value, crn = "a-token-of-a-provider", "crn:v1:of-the-instance"
	p := serve(t)
	me := p.as(p.token, "")
	team := field(me.call("POST", "/qc-catalog/organizations", 201, map[string]any{"displayName": "Team"}), "id")
	for path, tenant := range map[string]string{"/qc-catalog/my/provider-tokens": p.owner.ID, "/qc-catalog/organizations/" + team + "/provider-tokens": team} {
		me.call("PUT", path+"/IBM", 204, map[string]any{"type": "IBM", "value": value})
		me.call("PUT", path+"/IBM_CLOUD", 204, map[string]any{"type": "IBM_CLOUD", "serviceCrn": crn, "apiKey": value})
		me.call("PUT", path+"/DWAVE", 204, map[string]any{"value": value})
		me.call("DELETE", path+"/IBM", 204, nil)
		if has := me.call("GET", path, 200, nil); fmt.Sprint(has) != "map[DWAVE:true IBM:false IBM_CLOUD:true]" {
			t.Errorf("GET %s = %v, want IBM_CLOUD and DWAVE", path, has)
		}
		if got := me.call("GET", path+"/DWAVE", 200, nil); field(got, "value") != "[redacted]" || field(got, "type") != "DWAVE" {
			t.Errorf("GET %s/DWAVE = %v, want no value", path, got)
		}
		if got := me.call("GET", path+"/IBM_CLOUD", 200, nil); field(got, "apiKey") != "[redacted]" || field(got, "serviceCrn") != "[redacted]" {
			t.Errorf("GET %s/IBM_CLOUD = %v, want no value", path, got)
		}
		me.call("GET", path+"/IBM", 404, nil)
		me.call("PUT", path+"/AWS", 404, map[string]any{"value": value})
		for _, bad := range []map[string]any{{"type": "IBM", "value": value}, {"value": ""}, {}, {"value": "[redacted]"}, {"value": 1}, {"value": value + "\x00"}} {
			if refused := me.call("PUT", path+"/DWAVE", 400, bad); strings.Contains(field(refused, "detail"), value) {
				t.Errorf("PUT %s/DWAVE repeats the token: %v", path, refused)
			}
		}
		tokens, err := p.ProviderTokens(t.Context(), tenant)
		p.must(err)
		for name, want := range map[string]string{"QISKIT_IBM_TOKEN": value, "QISKIT_IBM_INSTANCE": crn, "DWAVE_API_TOKEN": value} {
			if got := string(tokens[name].Reveal()); got != want || len(tokens) != 3 {
				t.Errorf("ProviderTokens has %s = %q of %d, want %q of 3", name, got, len(tokens), want)
			}
		}
	}
	me.call("DELETE", "/qc-catalog/organizations/"+team, 204, nil)
	if tokens, err := p.ProviderTokens(t.Context(), team); err != nil || len(tokens) != 0 {
		t.Errorf("ProviderTokens of an organization that was deleted = %v, %v, want none", tokens, err)
	}
}

// Plain lists have pages, too.
func TestListsPage(t *testing.T) {
	t.Parallel()
	p := serve(t)
	me := p.as(p.token, "")
	for _, name := range []string{"a", "b", "c"} {
		me.call("POST", "/qc-catalog/applications", 201, map[string]any{"name": name})
		me.call("POST", "/user-service/me/access-tokens", 201, map[string]any{"name": name})
	}
	for path, want := range map[string]string{"/qc-catalog/applications": "3", "/user-service/me/access-tokens": "4", "/qc-catalog/my/accounts": "1"} {
		status, header, body := me.do("GET", path+"?page=1&size=1", "", nil)
		if status != 200 || header.Get("X-Total-Count") != want || (header.Get("Link") == "") || strings.Count(string(body), `"id"`) > 1 {
			t.Errorf("GET %s?page=1&size=1 = %d %v %s, want at most one of %s", path, status, header, body, want)
		}
	}
}

// Answers to invalid requests are problem documents that repeat no value.
func TestInvalidRequests(t *testing.T) {
	t.Parallel()
	p := serve(t)
	me := p.as(p.token, "")
	const value = "sesame-open-7"
	for _, c := range []struct {
		method, path, contentType, body string
		status                          int
	}{
		{"POST", "/qc-catalog/applications", "application/json", `{"name": {"a": "` + value + `"}}`, 400},
		{"POST", "/qc-catalog/applications", "application/json", `{"name": "` + strings.Repeat(value, 100) + `"}`, 400},
		{"POST", "/qc-catalog/applications", "application/json", `{"nam": "` + value + `"}`, 400},
		{"POST", "/qc-catalog/applications", "application/json", `{"name": ` + value + `}`, 400},
		{"POST", "/qc-catalog/applications", "application/json", ``, 400},
		{"POST", "/qc-catalog/applications", "text/plain", value, 415},
		{"POST", "/user-service/me/access-tokens", "application/json", `{"name": "a", "expiresAt": "` + value + `"}`, 400},
		{"POST", "/user-service/me/access-tokens", "application/json", `{"name": "a", "expiresAt": "2020-01-01"}`, 400},
		{"POST", "/user-service/me/access-tokens", "application/json", `{"name": "a", "scopes": ["` + value + `"]}`, 400},
		{"GET", "/qc-catalog/applications/" + value, "", "", 404},
		{"GET", "/qc-catalog//applications", "", "", 404},
		{"GET", "/qc-catalog/x/../applications", "", "", 404},
		{"GET", "/" + value, "", "", 404},
	} {
		status, header, body := me.do(c.method, c.path, c.contentType, []byte(c.body))
		if status != c.status || header.Get("Content-Type") != "application/problem+json" || strings.Contains(string(body), value) || !strings.Contains(string(body), "errorMessage") {
			t.Errorf("%s %s with %.50q = %d %s %s, want a problem %d without the value", c.method, c.path, c.body, status, header.Get("Content-Type"), body, c.status)
		}
	}
	me.call("GET", "/qc-catalog/applications/", 200, nil) // a slash at the end makes no difference
}

// arguments are values for the parts of an address, and a body that fits, by route.
func (p *platform) arguments(path string, ids map[string]string) (address string, body any) {
	address = path
	for name, id := range ids {
		address = strings.ReplaceAll(address, name, id)
	}
	body = map[string]any{
		"name": "n", "displayName": "n", "role": "VIEWER", "accessPermissionRole": "VIEWER", "sid": "owner",
		"ids": []string{"x"}, "serviceId": "service", "applicationId": ids["/applications/{id}"], "token": "t", "username": "u",
	}
	return address, body
}

// TestEveryRouteAsksForItsRight walks all routes as callers that may not use them.
func TestEveryRouteAsksForItsRight(t *testing.T) {
	t.Parallel()
	p := serve(t)
	ctx := t.Context()
	o, err := p.CreateOrganization(ctx, p.owner, "Team", "")
	p.must(err)
	join := func(organization, name string, role access.Role) string {
		_, invitation, err := p.Invite(ctx, p.owner, organization, "", role)
		p.must(err)
		_, _, value, err := p.Redeem(ctx, invitation, name, "", "127.0.0.1:1")
		p.must(err)
		return string(value.Reveal())
	}
	tokenOf := func(caller access.Principal, scopes []access.Scope, expires time.Time) string {
		_, value, err := p.CreateToken(ctx, caller, "token", scopes, expires)
		p.must(err)
		return string(value.Reveal())
	}
	other, err := p.CreateOrganization(ctx, p.owner, "Other", "")
	p.must(err)
	viewer, stranger := join(o.ID, "viewer", access.Viewer), join(other.ID, "stranger", access.Owner)
	vp, err := p.Authenticate(authenticated(ctx, viewer, ""))
	p.must(err)
	team, err := p.Authenticate(authenticated(ctx, p.token, o.ID))
	p.must(err)
	app, err := p.CreateApplication(ctx, team, "app")
	p.must(err)
	keys, err := p.AccessKeys(ctx, team, app.ID)
	p.must(err)
	subscription, err := p.Subscribe(ctx, team, app.ID, "service")
	p.must(err)
	execution, err := p.ExecutionToken("run-1", o.ID, app.ID)
	p.must(err)
	ended, err := p.ExecutionToken("over-1", o.ID, app.ID)
	p.must(err)
	expired := tokenOf(p.owner, nil, time.Now().Add(time.Hour))
	revoked := tokenOf(p.owner, nil, time.Time{})
	rp, err := p.Authenticate(authenticated(ctx, revoked, ""))
	p.must(err)
	p.must(p.DeleteToken(ctx, p.owner, rp.Credential))
	for _, account := range []string{o.ID, p.owner.ID} {
		p.must(p.SetProviderToken(ctx, p.owner, account, access.ProviderToken{Provider: "IBM", Values: map[string]plaintext.Bytes{"QISKIT_IBM_TOKEN": plaintext.FromString("token")}}))
	}
	readOnly := tokenOf(p.owner, []access.Scope{access.ScopeRead}, time.Time{})
	p.advance.Store(int64(61 * time.Minute))
	application, err := p.IssueToken(ctx, keys[0].ID, keys[0].Secret, "127.0.0.1:1")
	p.must(err)

	ids := map[string]string{
		"/applications/{id}": "/applications/" + app.ID, "/organizations/{id}": "/organizations/" + o.ID, "/subscriptions/{id}": "/subscriptions/" + subscription.ID,
		"/access-tokens/{id}": "/access-tokens/" + p.owner.Credential, "/my/invitations/{id}": "/my/invitations/none", "/users/{id}": "/users/" + vp.ID,
		"{type}": "IBM", "{keyId}": keys[0].ID, "{userId}": p.owner.ID, "{invitationId}": "none",
	}
	table := access.Table()
	for _, route := range p.api.Routes() {
		address, body := p.arguments(route.Path, ids)
		if strings.Contains(address, "{") {
			t.Errorf("%s: the test has no value for an argument", route.Path)
			continue
		}
		if route.Public {
			if !slices.Contains([]string{"redeemInvitation", "issueToken", "getKeys"}, route.ID) {
				t.Errorf("%s %s asks for no token", route.Method, route.Path)
			}
			continue
		}
		rule, ok := table[route.Right]
		if !ok {
			t.Errorf("%s %s asks for the right %q, which is not in the table", route.Method, route.Path, route.Right)
		}
		changes := route.Method != http.MethodGet && !strings.HasSuffix(route.Path, "/authorize") && !strings.HasSuffix(route.Path, "/users/batch")
		low, foreign := http.StatusForbidden, http.StatusNotFound
		own := !strings.Contains(route.Path, "{id}") || strings.Contains(route.Path, "/my/") || strings.Contains(route.Path, "/me/")
		for _, c := range []struct {
			name, token, organization string
			want                      []int
			when                      bool
		}{
			{"the right token", p.token, o.ID, []int{200}, route.Method == http.MethodGet},
			{"no token", "", "", []int{401}, true},
			{"a bad token", "qhp_AAAAAA_" + strings.Repeat("A", 43), "", []int{401}, true},
			{"an expired token", expired, "", []int{401}, true},
			{"a revoked token", revoked, "", []int{401}, true},
			{"the token of an execution that has ended", string(ended.Reveal()), "", []int{401}, true},
			{"a token of no member", stranger, o.ID, []int{403}, true},
			{"a token of another tenant", stranger, "", []int{foreign}, !own},
			{"the token of an application", string(application.Reveal()), "", []int{403}, true},
			{"the token of an execution", string(execution.Reveal()), "", []int{403, 404}, !strings.HasSuffix(route.Path, "/authorize")},
			{"a VIEWER", viewer, o.ID, []int{low}, changes && (rule.Role != access.Viewer || strings.HasPrefix(route.Path, "/qc-catalog/organizations/"))},
			{"a token that reads only", readOnly, o.ID, []int{low}, changes && !strings.Contains(route.Path, "/access-tokens/") && !strings.HasPrefix(route.Path, "/qc-catalog/my/invitations")},
		} {
			if !c.when {
				continue
			}
			text, err := json.Marshal(body)
			p.must(err)
			if route.Method == http.MethodGet || route.Method == http.MethodDelete {
				text = nil
			}
			p.advance.Add(int64(2 * time.Second)) // an address may fail once a second
			status, _, answer := p.as(c.token, c.organization).do(route.Method, address, "application/json", text)
			ok := false
			for _, want := range c.want {
				ok = ok || status == want
			}
			if !ok {
				t.Errorf("%s %s with %s = %d %s, want %v", route.Method, address, c.name, status, answer, c.want)
			}
		}
	}
	if _, err := p.Application(ctx, team, app.ID); err != nil {
		t.Errorf("after all that was refused, the application is gone: %v", err)
	}
	if again, err := p.AccessKeys(ctx, team, app.ID); err != nil || len(again) != 1 || again[0].ID != keys[0].ID {
		t.Errorf("after all that was refused, the keys are %v, %v", again, err)
	}
	if _, err := p.Authenticate(authenticated(ctx, p.token, "")); err != nil {
		t.Errorf("after all that was refused, the owner is %v", err)
	}
}

// The description has every route, and is valid JSON.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	p := serve(t)
	text, err := p.api.OpenAPI()
	p.must(err)
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}
	p.must(json.Unmarshal(text, &document))
	if document.OpenAPI != "3.1.0" {
		t.Errorf("openapi = %q, want 3.1.0", document.OpenAPI)
	}
	for _, route := range p.api.Routes() {
		if document.Paths[route.Path][strings.ToLower(route.Method)] == nil {
			t.Errorf("the description lacks %s %s", route.Method, route.Path)
		}
	}
}
