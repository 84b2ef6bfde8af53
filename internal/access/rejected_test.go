package access_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

// rejections are the entries about rejected logins of the owner: attempts by address.
func (p *platform) rejections() (attempts map[string]int, entries int) {
	p.Helper()
	p.must(p.RecordRejected(p.Context()))
	links, err := p.db.Audit().Links(p.Context(), p.owner.Tenant, 0, 1000)
	p.must(err)
	attempts = map[string]int{}
	for _, link := range links {
		e, err := link.Read()
		p.must(err)
		if e.Action != access.RejectedLogin {
			continue
		}
		n, err := strconv.Atoi(e.Details["attempts"])
		p.must(err)
		if e.Outcome != audit.Denied || e.Details["since"] == "" {
			p.Errorf("the entry is %+v, want a denial with its time", e)
		}
		attempts[e.Details["address"]] += n
		entries++
	}
	return attempts, entries
}

// TestRejectedLogins counts wrong credentials by address, and makes few entries of a flood.
func TestRejectedLogins(t *testing.T) {
	t.Parallel()
	p := open(t, func(o *access.Options) { o.Operator = "owner" })
	try := func(address, token string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = address
		if token != "" {
			r.Header.Set("X-Auth-Token", token)
		}
		if _, err := p.Authenticate(r); (err == nil) != (token == p.token) {
			t.Errorf("Authenticate(%s) = %v", address, err)
		}
	}
	for range 3 {
		try("192.0.2.7:4000", "qhp_wrong")
	}
	try("192.0.2.7:4000", p.token)
	try("192.0.2.8:4000", "") // a browser without a session
	if _, err := p.IssueToken(t.Context(), "qhk_unknown", plaintext.FromString("qhs_wrong"), "192.0.2.9:1"); err == nil {
		t.Error("IssueToken(unknown key) = nil, want an error")
	}
	attempts, entries := p.rejections()
	if entries != 2 || attempts["192.0.2.7"] != 3 || attempts["192.0.2.9"] != 1 {
		t.Errorf("the rejected logins are %v in %d entries, want 3 and 1 in 2", attempts, entries)
	}
	for i := range 2000 {
		try(fmt.Sprintf("198.51.%d.%d:1", i/250, i%250), "qhp_flood")
	}
	attempts, entries = p.rejections()
	sum := 0
	for address, n := range attempts {
		if strings.HasPrefix(address, "198.51.") || address == "others" {
			sum += n
		}
	}
	if entries != 2+11 || sum != 2000 || attempts["others"] != 1990 {
		t.Errorf("a flood makes %d entries with %d attempts, %d of others; want 11, 2000 and 1990", entries-2, sum, attempts["others"])
	}
}
