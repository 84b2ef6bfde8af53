package accessapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/accessapi"
	"github.com/qhubctl/qhubctl/internal/auditapi"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/platformapi/platformapitest"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/store/sqlite/sqlitetest"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// services is a catalog: services by their id, open to everyone.
type services map[string]accessapi.Service

func (s services) Describe(_ context.Context, id string) (accessapi.Service, error) {
	if service, ok := s[id]; ok {
		return service, nil
	}
	return accessapi.Service{}, access.ErrNotFound
}

func (s services) Subscribable(ctx context.Context, _, id string) (accessapi.Service, error) {
	return s.Describe(ctx, id)
}

func (services) Owned(context.Context, string) (int, error) { return 0, nil }

// executions that run: those that begin with run.
type executions struct{}

func (executions) Running(_ context.Context, id string) (bool, error) {
	return strings.HasPrefix(id, "run"), nil
}

// A platform is the API over a real store, at a real address.
type platform struct {
	testing.TB
	*access.Service
	api         *platformapi.API
	description *platformapitest.Description
	url         string
	token       string // of the owner
	owner       access.Principal
	advance     atomic.Int64 // of the clock
}

func serve(t testing.TB) *platform {
	t.Helper()
	p := &platform{TB: t}
	ring, err := vault.FromText([]byte("1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	p.must(err)
	db, err := sqlitetest.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
	p.must(err)
	t.Cleanup(func() { p.must(db.Close()) })
	p.Service, err = access.Open(t.Context(), access.Options{
		Store: db.Access(), Keyring: ring, Executions: executions{},
		Now: func() time.Time { return time.Now().Add(time.Duration(p.advance.Load())) },
	})
	p.must(err)
	t.Cleanup(func() { p.must(p.Close()) })
	p.api = platformapi.New(platformapi.Options{Auth: p.Service, Audit: db.Audit()})
	auditapi.Register(p.api, auditapi.Options{Store: db.Audit()})
	accessapi.Register(p.api, accessapi.Options{Access: p.Service, Catalog: services{
		"service": {ID: "service", DefinitionID: "definition", Name: "adder", Type: "MANAGED", Lifecycle: "PUBLISHED",
			Context: "tenant", Version: "1.0.0", GatewayEndpoint: "http://127.0.0.1:1/gateway/tenant/adder/1.0.0"},
	}})
	p.description, err = platformapitest.Describe(p.api)
	p.must(err)
	server := httptest.NewServer(p.api)
	t.Cleanup(server.Close)
	p.url = server.URL
	value, err := p.OwnerToken(t.Context(), "owner")
	p.must(err)
	p.token = string(value.Reveal())
	p.owner, err = p.Authenticate(authenticated(t.Context(), p.token, ""))
	p.must(err)
	return p
}

func authenticated(ctx context.Context, token, organization string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
	r.Header.Set("X-Auth-Token", token)
	r.Header.Set("X-OrganizationId", organization)
	return r
}

func (p *platform) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// A caller calls the API with a token.
type caller struct {
	*platform
	token, organization string
}

func (p *platform) as(token, organization string) caller { return caller{p, token, organization} }

// do makes a request. The header Authorization is that of the caller.
func (c caller) do(method, path, contentType string, body []byte) (int, http.Header, []byte) {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), method, c.url+path, bytes.NewReader(body))
	c.must(err)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.organization != "" {
		r.Header.Set("X-OrganizationId", c.organization)
	}
	response, err := http.DefaultClient.Do(r)
	c.must(err)
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	c.must(err)
	c.description.Compare(c, method, r.URL.Path, response.StatusCode, response.Header, answer)
	return response.StatusCode, response.Header, answer
}

// call sends and receives JSON, and checks the status.
func (c caller) call(method, path string, want int, body any) map[string]any {
	c.Helper()
	var text []byte
	contentType := ""
	if body != nil {
		var err error
		text, err = json.Marshal(body)
		c.must(err)
		contentType = "application/json"
	}
	status, header, answer := c.do(method, path, contentType, text)
	if status != want {
		c.Fatalf("%s %s = %d %s, want %d", method, path, status, answer, want)
	}
	var document any
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &document); err != nil {
			c.Fatalf("%s %s answered %q: %v", method, path, answer, err)
		}
	}
	if status >= http.StatusBadRequest && (header.Get("Content-Type") != "application/problem+json" || document.(map[string]any)["errorMessage"] == "") {
		c.Errorf("%s %s = %d %s %s, want a problem document with errorMessage", method, path, status, header.Get("Content-Type"), answer)
	}
	if all, ok := document.([]any); ok {
		return map[string]any{"list": all}
	}
	object, _ := document.(map[string]any)
	return object
}

func field(object map[string]any, names ...string) string {
	for i, name := range names {
		if i == len(names)-1 {
			text, _ := object[name].(string)
			return text
		}
		object, _ = object[name].(map[string]any)
	}
	return ""
}
