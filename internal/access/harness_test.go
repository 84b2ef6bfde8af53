package access_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/store/sqlite/sqlitetest"
	"github.com/qhubctl/qhubctl/internal/vault"
)

const firstKey = "1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// A clock moves when a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// running is the executions that run.
type running struct{ sync.Map }

func (r *running) Running(_ context.Context, id string) (bool, error) {
	_, ok := r.Load(id)
	return ok, nil
}

// A platform is a service on a real store.
type platform struct {
	testing.TB
	*access.Service
	*clock
	executions *running
	db         *sqlite.Store
	owner      access.Principal
	token      string // of the owner
}

func open(t testing.TB, change ...func(*access.Options)) *platform {
	t.Helper()
	p := &platform{TB: t, clock: &clock{now: time.Now().Truncate(time.Second)}, executions: &running{}}
	ring, err := vault.FromText([]byte(firstKey))
	p.must(err)
	p.db, err = sqlitetest.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
	p.must(err)
	t.Cleanup(func() { p.must(p.db.Close()) })
	o := access.Options{Store: p.db.Access(), Keyring: ring, Executions: p.executions, Now: p.Now}
	for _, f := range change {
		f(&o)
	}
	if o.Operator != "" {
		o.Audit = p.db.Audit()
	}
	p.Service, err = access.Open(t.Context(), o)
	p.must(err)
	t.Cleanup(func() { p.must(p.Close()) })
	value, err := p.OwnerToken(t.Context(), "owner")
	p.must(err)
	p.token = string(value.Reveal())
	p.owner = p.as(p.token, "")
	return p
}

func (p *platform) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *platform) wants(want, err error) {
	p.Helper()
	if !errors.Is(err, want) {
		p.Errorf("got error %v, want %v", err, want)
	}
}

// request is one that shows a token.
func request(token, organization string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", http.NoBody)
	if token != "" {
		r.Header.Set("X-Auth-Token", token)
	}
	if organization != "" {
		r.Header.Set("X-OrganizationId", organization)
	}
	return r
}

// as authenticates, which has to succeed.
func (p *platform) as(token, organization string) access.Principal {
	p.Helper()
	caller, err := p.Authenticate(request(token, organization))
	p.must(err)
	return caller
}

// refuses authenticates, which has to fail.
func (p *platform) refuses(token string) {
	p.Helper()
	caller, err := p.Authenticate(request(token, ""))
	p.wants(access.ErrUnauthenticated, err)
	if caller.Known() || len(caller.Rights) > 0 {
		p.Errorf("Authenticate = %+v, want no caller", caller)
	}
}

// person makes a user, a member of a new organization of the owner, and gives a token.
func (p *platform) person(name string, role access.Role) (token, organization string) {
	p.Helper()
	o, err := p.CreateOrganization(p.Context(), p.owner, "of "+name, "")
	p.must(err)
	_, invitation, err := p.Invite(p.Context(), p.owner, o.ID, "", role)
	p.must(err)
	_, _, value, err := p.Redeem(p.Context(), invitation, name, "", "127.0.0.1:1")
	p.must(err)
	return string(value.Reveal()), o.ID
}

// app makes an application, and returns its first key.
func (p *platform) app(caller access.Principal, name string) (access.App, access.RevealedKey) {
	p.Helper()
	app, err := p.CreateApplication(p.Context(), caller, name)
	p.must(err)
	keys, err := p.AccessKeys(p.Context(), caller, app.ID)
	p.must(err)
	if len(keys) != 1 || keys[0].Secret.Len() == 0 {
		p.Fatalf("AccessKeys(new application) = %+v, want one with a secret", keys)
	}
	return app, keys[0]
}

// issue gets an access token, which has to succeed.
func (p *platform) issue(key access.RevealedKey) string {
	p.Helper()
	token, err := p.IssueToken(p.Context(), key.ID, key.Secret, "127.0.0.1:1")
	p.must(err)
	return string(token.Reveal())
}

func secret(text string) plaintext.Bytes { return plaintext.FromString(text) }
