package datapoolapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/accessapi"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/blob/filestore"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/datapoolapi"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/platformapi/platformapitest"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/store/sqlite/sqlitetest"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// executions that run: those that begin with run.
type executions struct{}

func (executions) Running(_ context.Context, id string) (bool, error) {
	return strings.HasPrefix(id, "run"), nil
}

// A platform is the API over a real store, at a real address.
type platform struct {
	testing.TB
	*access.Service
	pools *datapool.Service
	audit audit.Store
	// description is compared with each answer.
	description *platformapitest.Description
	routes      []platformapi.Route
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
	dir := t.TempDir()
	db, err := sqlitetest.Open(t.Context(), filepath.Join(dir, "store.db"), sqlite.Options{})
	p.must(err)
	t.Cleanup(func() { p.must(db.Close()) })
	now := func() time.Time { return time.Now().Add(time.Duration(p.advance.Load())) }
	p.Service, err = access.Open(t.Context(), access.Options{Store: db.Access(), Keyring: ring, Executions: executions{}, Now: now})
	p.must(err)
	t.Cleanup(func() { p.must(p.Close()) })
	blobs, err := filestore.Open(filepath.Join(dir, "blobs"))
	p.must(err)
	p.pools, err = datapool.Open(t.Context(), datapool.Options{
		Store: db.DataPools(), Blobs: blobs, Access: p.Service, Audit: db.Audit(), Dir: filepath.Join(dir, "datapools"), MaxFile: 20 << 20, Now: now,
	})
	p.must(err)
	t.Cleanup(func() { p.must(p.pools.Close()) })
	p.audit = db.Audit()
	api := platformapi.New(platformapi.Options{Auth: p.Service, Audit: db.Audit()})
	datapoolapi.Register(api, p.pools)
	p.routes = api.Routes()
	accessapi.Register(api, accessapi.Options{Access: p.Service})
	p.description, err = platformapitest.Describe(api)
	p.must(err)
	server := httptest.NewServer(api)
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

// do makes a request with further headers.
func (c caller) do(method, path string, body []byte, headers ...string) (int, http.Header, []byte) {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), method, c.url+path, bytes.NewReader(body))
	c.must(err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
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
	if strings.Contains(path, "/files/") && method != http.MethodDelete && response.StatusCode < http.StatusBadRequest || method == http.MethodHead {
		return response.StatusCode, response.Header, answer // a download, in the type of its file
	}
	c.description.Compare(c, method, r.URL.Path, response.StatusCode, response.Header, answer)
	return response.StatusCode, response.Header, answer
}

// call sends and receives JSON, and checks the status.
func (c caller) call(method, path string, want int, body any) map[string]any {
	c.Helper()
	var text []byte
	if body != nil {
		var err error
		text, err = json.Marshal(body)
		c.must(err)
	}
	status, _, answer := c.do(method, path, text, "Content-Type", "application/json")
	return c.read(method, path, status, want, answer)
}

func (c caller) read(method, path string, status, want int, answer []byte) map[string]any {
	c.Helper()
	if status != want {
		c.Fatalf("%s %s = %d %s, want %d", method, path, status, answer, want)
	}
	var document any
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &document); err != nil {
			c.Fatalf("%s %s answered %q: %v", method, path, answer, err)
		}
	}
	if all, ok := document.([]any); ok {
		return map[string]any{"list": all}
	}
	object, _ := document.(map[string]any)
	return object
}

// form is a multipart body with a file, and its type.
func (p *platform) form(filename, content string) ([]byte, string) {
	p.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", filename)
	p.must(err)
	_, err = io.WriteString(part, content)
	p.must(err)
	p.must(w.Close())
	return b.Bytes(), w.FormDataContentType()
}

// put uploads a file.
func (c caller) put(pool, filename, content string, want int) map[string]any {
	c.Helper()
	body, kind := c.form("part.txt", content)
	path := "/qc-catalog/datapools/" + pool + "/files?filename=" + filename
	status, _, answer := c.do(http.MethodPost, path, body, "Content-Type", kind)
	return c.read(http.MethodPost, path, status, want, answer)
}

func (c caller) pool(name string) string {
	c.Helper()
	id, _ := c.call(http.MethodPost, "/qc-catalog/datapools", http.StatusCreated, map[string]any{"name": name})["id"].(string)
	return id
}
