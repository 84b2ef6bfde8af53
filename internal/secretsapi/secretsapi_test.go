package secretsapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/accessapi"
	"github.com/qhubctl/qhubctl/internal/auditapi"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/platformapi/platformapitest"
	"github.com/qhubctl/qhubctl/internal/registry"
	"github.com/qhubctl/qhubctl/internal/secretsapi"
	"github.com/qhubctl/qhubctl/internal/secretstore"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/store/sqlite/sqlitetest"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// value is the one that no answer may repeat.
const value = "a-value-that-no-answer-repeats"

// A platform is the API over a real store, at a real address.
type platform struct {
	testing.TB
	db                 *sqlite.Store
	described          *platformapitest.Description
	routes             []platformapi.Route
	url, owner, reader string // and tokens
	service, tenant    string // ids
}

// Owner implements [secretstore.Services].
func (p *platform) Owner(ctx context.Context, service string) (string, error) {
	found, err := p.db.Service(ctx, service)
	if errors.Is(err, registry.ErrNotFound) {
		err = access.ErrNotFound
	}
	return found.Tenant, err
}

// Parameters implements [secretstore.Services].
func (p *platform) Parameters(context.Context, string) ([]signature.Parameter, []string, error) {
	return []signature.Parameter{{Name: "api_token", Env: "SECRET_API_TOKEN", Kind: signature.Secret, Required: true}}, nil, nil
}

func (p *platform) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func serve(t testing.TB) *platform {
	t.Helper()
	p := &platform{TB: t}
	ring, err := vault.FromText([]byte("1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	p.must(err)
	p.db, err = sqlitetest.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
	p.must(err)
	t.Cleanup(func() { p.must(p.db.Close()) })
	identity, err := access.Open(t.Context(), access.Options{Store: p.db.Access(), Keyring: ring})
	p.must(err)
	t.Cleanup(func() { p.must(identity.Close()) })
	secrets := secretstore.Open(t.Context(), secretstore.Options{Store: p.db.Secrets(), Keyring: ring, Access: identity, Services: p})
	t.Cleanup(func() { p.must(secrets.Close()) })
	api := platformapi.New(platformapi.Options{Auth: identity, Audit: p.db.Audit()})
	secretsapi.Register(api, secrets)
	p.routes = api.Routes()
	auditapi.Register(api, auditapi.Options{Store: p.db.Audit()})
	accessapi.Register(api, accessapi.Options{Access: identity})
	p.described, err = platformapitest.Describe(api)
	p.must(err)
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	p.url = server.URL
	token, err := identity.OwnerToken(t.Context(), "owner")
	p.must(err)
	p.owner = string(token.Reveal())
	var made struct{ Value, ID string }
	p.into(p.owner, http.MethodPost, "/user-service/me/access-tokens", `{"name":"reader","scopes":["read","execute","write"]}`, http.StatusCreated, &made)
	p.reader = made.Value
	p.into(p.owner, http.MethodPost, "/qc-catalog/authorize", "", http.StatusOK, &made)
	p.tenant = made.ID
	s := registry.Service{ID: uuid.NewString(), Tenant: p.tenant, Name: "service", CreatedAt: time.Now()}
	p.must(p.db.CreateService(t.Context(), s, registry.Version{ID: uuid.NewString(), Service: s.ID, Version: "1.0.0", CreatedAt: time.Now()}))
	p.service = s.ID
	return p
}

// send makes a request; the answer must not have the value.
func (p *platform) send(token, method, path, body string) (int, []byte) {
	p.Helper()
	r, err := http.NewRequestWithContext(p.Context(), method, p.url+path, strings.NewReader(body))
	p.must(err)
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	response, err := http.DefaultClient.Do(r)
	p.must(err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	p.must(err)
	p.described.Compare(p, method, r.URL.Path, response.StatusCode, response.Header, answer)
	if bytes.Contains(answer, []byte(value)) {
		p.Errorf("%s %s repeats a value: %s", method, path, answer)
	}
	return response.StatusCode, answer
}

func (p *platform) call(token, method, path, body string, want int) string {
	p.Helper()
	status, answer := p.send(token, method, path, body)
	if status != want {
		p.Errorf("%s %s = %d %s, want %d", method, path, status, answer, want)
	}
	return string(answer)
}

func (p *platform) into(token, method, path, body string, want int, into any) {
	p.Helper()
	p.must(json.Unmarshal([]byte(p.call(token, method, path, body, want)), into))
}

const path = "/qc-catalog/secrets"

// TestRights has callers without a right call all routes.
func TestRights(t *testing.T) {
	p := serve(t)
	of := "?serviceId=" + p.service
	p.call(p.owner, http.MethodPut, path+"/api_token"+of, `{"value":"`+value+`"}`, http.StatusOK)
	for _, route := range p.routes {
		at := strings.NewReplacer("{name}", "api_token", "{serviceId}", p.service, "{parameter}", "x").Replace(route.Path) + of
		body := `{"value":"` + value + `","override":"ANY","secrets":{"api_token":"` + value + `"}}`
		if route.Method == http.MethodGet || route.Method == http.MethodDelete {
			body = ""
		}
		p.call("", route.Method, at, body, http.StatusUnauthorized)
		if want := http.StatusForbidden; route.Right == access.ManageSecrets {
			p.call(p.reader, route.Method, at, body, want)
		} else {
			p.call(p.reader, route.Method, at, body, http.StatusOK)
		}
	}
	if shown := p.call(p.owner, http.MethodGet, path+"/api_token"+of, "", http.StatusOK); !strings.Contains(shown, `"version":1`) {
		t.Errorf("after all that the secret is %s, want it unchanged", shown)
	}
	log := p.call(p.owner, http.MethodGet, "/qc-catalog/audit", "", http.StatusOK)
	if n := strings.Count(log, `"outcome":"DENIED"`); n < 5 || strings.Contains(log, value) || !strings.Contains(log, `"action":"setSecret"`) {
		t.Errorf("the audit log has %d denied entries, want each change of a caller without the right: %s", n, log)
	}
}

// TestBodies sends bodies that are not valid, with a value at each place.
func TestBodies(t *testing.T) {
	p := serve(t)
	at := path + "/api_token?serviceId=" + p.service
	for _, body := range []string{
		"", "[]", `"` + value + `"`, `{}`, `{"value":null}`, `{"value":7}`, `{"value":["` + value + `"]}`, `{"value":{"` + value + `":1}}`, `{"value":"` + value + `"`,
		`{"value":"` + value + `\u0000"}`, `{"value":"` + value + `\ud800"}`, `{"value":"` + value + `","keep":"` + value + `"}`, `{"value":"` + value + `","keep":"999h"}`,
		`{"value":"` + value + `","expiresAt":"` + value + `"}`, `{"value":"` + value + `","expiresAt":"2001-01-01"}`, `{"value":"` + value + `","override":"` + value + `"}`,
		`{"value":"` + strings.Repeat("x", 65<<10) + `"}`,
	} {
		p.call(p.owner, http.MethodPut, at, body, http.StatusBadRequest)
		if strings.Contains(body, "value") {
			p.call(p.owner, http.MethodPost, path+"/none/rotate?serviceId="+p.service, body, http.StatusBadRequest)
		}
	}
	for _, body := range []string{"{}", `{"secrets":{}}`, `{"secrets":{"a":null}}`, `{"secrets":{"a":["` + value + `"]}}`, `{"secrets":["` + value + `"]}`, `{"secrets":{"a b":"` + value + `"}}`} {
		p.call(p.owner, http.MethodPost, path+"-import?serviceId="+p.service, body, http.StatusBadRequest)
	}
	if list := p.call(p.owner, http.MethodGet, path, "", http.StatusOK); strings.TrimSpace(list) != "[]" {
		t.Errorf("after the refusals the secrets are %s, want none", list)
	}
}

// TestLife sets a secret, rotates, lists, checks and deletes it.
func TestLife(t *testing.T) {
	p := serve(t)
	of := "?serviceId=" + p.service
	if check := p.call(p.reader, http.MethodGet, path+"-check"+of, "", http.StatusOK); !strings.Contains(check, `"ok":false`) || !strings.Contains(check, `"MISSING"`) {
		t.Errorf("secrets-check = %s, want it missing", check)
	}
	p.call(p.owner, http.MethodPost, path+"/api_token/rotate"+of, `{"value":"`+value+`"}`, http.StatusNotFound)
	set := p.call(p.owner, http.MethodPut, path+"/api_token"+of, `{"value":"`+value+`","expiresAt":"2099-12-31","override":"ANY"}`, http.StatusOK)
	for _, want := range []string{`"version":1`, `"expiresAt":"2099-12-31 00:00:00"`, `"override":"ANY"`, `"kind":"SERVICE"`, `"setBy":"` + p.tenant + `"`} {
		if !strings.Contains(set, want) {
			t.Errorf("PUT = %s, want %s", set, want)
		}
	}
	p.call(p.owner, http.MethodPost, path+"/api_token/rotate"+of, `{"value":"`+value+`2","keep":"24h"}`, http.StatusOK)
	shown := p.call(p.reader, http.MethodGet, path+"/api_token"+of, "", http.StatusOK)
	if strings.Count(shown, `"state":"LIVE"`) != 3 || !strings.Contains(shown, `"version":2`) { // the newest one twice
		t.Errorf("GET = %s, want two live versions", shown)
	}
	if check := p.call(p.reader, http.MethodGet, path+"-check"+of+"&within=48h", "", http.StatusOK); !strings.Contains(check, `"ok":true`) {
		t.Errorf("secrets-check = %s, want nothing to do", check)
	}
	p.call(p.owner, http.MethodDelete, path+"/api_token"+of+"&version=2", "", http.StatusNoContent)
	p.call(p.owner, http.MethodDelete, path+"/api_token"+of+"&version=9", "", http.StatusNotFound)
	if shown := p.call(p.reader, http.MethodGet, path+"/api_token"+of, "", http.StatusOK); !strings.Contains(shown, `"version":1,"newest"`) {
		t.Errorf("GET = %s, want version 1 again", shown)
	}
	p.call(p.owner, http.MethodDelete, path+"/api_token"+of, "", http.StatusNoContent)
	p.call(p.owner, http.MethodGet, path+"/api_token"+of, "", http.StatusNotFound)
}
