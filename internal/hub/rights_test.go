package hub_test

import (
	"bytes"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/hub"
)

// bodies are those of operations that take one.
var bodies = map[string]string{
	"PUT /services/{id}/contacts": "[]", "PUT /services/{id}/links": "[]", "PUT /services/{id}/publication": `{"scope":"INTERNAL"}`,
	"POST /services/{id}/shares":                                     `{"sharedWith":{"tenantType":"USER","value":"none"}}`,
	"PUT /managed-services/{id}/resource-configuration":              `{"type":"cpu","amount":500,"unit":"m"}`,
	"PUT /services/{id}/versions/{versionId}/resource-configuration": `{"type":"cpu","amount":500,"unit":"m"}`,
}

// TestEveryOperationAsksForItsRight walks all operations with: no token, a bad one, one of
// an application, one that may only read, and one of another tenant.
func TestEveryOperationAsksForItsRight(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+s.id+"/publication", document{"scope": "INTERNAL"}, http.StatusNoContent)
	bearer := p.application(p.owner, "app", s.id)
	execution := p.call(p.owner, http.MethodPost, s.endpoint, document{}, http.StatusCreated).text("id")
	reader := p.call(p.owner, http.MethodPost, "/user-service/me/access-tokens", document{"name": "reader", "scopes": []string{"read"}}, http.StatusCreated).text("value")
	revoked := p.call(p.owner, http.MethodPost, "/user-service/me/access-tokens", document{"name": "revoked"}, http.StatusCreated)
	p.call(p.owner, http.MethodDelete, "/user-service/me/access-tokens/"+revoked.text("id"), nil, http.StatusNoContent)
	organization := p.call(p.owner, http.MethodPost, "/qc-catalog/organizations", document{"name": "Crew", "displayName": "Crew"}, http.StatusCreated).text("id")
	var n byte
	for _, route := range hub.Routes() {
		if route.Public {
			continue
		}
		// Failures are counted by the address that they come from.
		n++
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 77, n)}}
		client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
		method, path := route.Method, strings.TrimPrefix(route.Path, hub.Catalog)
		pattern := method + " " + path
		id := s.id
		if strings.Contains(path, "/jobs/") || strings.Contains(path, "/service-jobs/") || strings.Contains(path, "/service-executions/") {
			id = execution
		}
		path = p.url + hub.Catalog + strings.NewReplacer("{id}", id, "{revision}", s.revision, "{versionId}", s.version, "{shareId}", "none", "{constraintId}", "none", "{file...}", "output.json").Replace(path)
		do := func(header ...string) int {
			r, err := http.NewRequestWithContext(t.Context(), method, path, bytes.NewReader([]byte(bodyOf(pattern))))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			return response.StatusCode
		}
		check := func(caller string, got, want int) {
			if got != want {
				t.Errorf("%s with %s = %d, want %d", pattern, caller, got, want)
			}
		}
		check("no token", do(), http.StatusUnauthorized)
		check("a token that was revoked", do("X-Auth-Token", revoked.text("value")), http.StatusUnauthorized)
		check("the token of an application", do("Authorization", bearer), http.StatusForbidden)
		check("an organization of others", do("X-Auth-Token", p.owner, "X-OrganizationId", "00000000-0000-4000-8000-000000000000"), http.StatusForbidden)
		if route.Right != access.ViewTenant {
			check("a token that may only read", do("X-Auth-Token", reader), http.StatusForbidden)
		}
		if strings.Contains(pattern, "{id}") {
			check("another tenant", do("X-Auth-Token", p.owner, "X-OrganizationId", organization), http.StatusNotFound)
		}
		client.CloseIdleConnections()
	}
	if d := p.call(p.owner, http.MethodGet, "/qc-catalog/services/"+s.id, nil, http.StatusOK); d.text("serviceDefinitions", "lifecycle") != "ACCESSIBLE" {
		t.Errorf("after all that the service is %v, want it unchanged", d)
	}
}

func bodyOf(pattern string) string {
	if body, ok := bodies[pattern]; ok {
		return body
	}
	return "{}"
}
