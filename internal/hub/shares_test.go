package hub_test

import (
	"net/http"
	"path/filepath"
	"testing"
)

// TestShares gives another account a role in a service, for a time.
func TestShares(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	organization := p.call(p.owner, http.MethodPost, "/qc-catalog/organizations", document{"displayName": "Other"}, http.StatusCreated).text("id")
	invited := p.call(p.owner, http.MethodPost, "/qc-catalog/organizations/"+organization+"/invitations", document{"role": "OWNER"}, http.StatusCreated).text("token")
	joined := p.call("", http.MethodPost, "/qc-catalog/invitations/redeem", document{"token": invited, "username": "ada"}, http.StatusCreated)
	stranger, ada := joined.text("accessToken", "value"), joined.text("user", "id")
	service := "/qc-catalog/services/" + s.id
	managed := "/qc-catalog/managed-services/" + s.id
	// may makes requests of the stranger, and wants their statuses.
	may := func(when string, read, maintain, own int) {
		t.Helper()
		ok := func(want, success int) int {
			if want == http.StatusOK {
				return success
			}
			return want
		}
		for _, c := range []struct {
			method, path string
			body         any
			want         int
		}{
			{http.MethodGet, service, nil, read},
			{http.MethodGet, service + "/openapi", nil, read},
			{http.MethodGet, managed + "/source", nil, maintain},
			{http.MethodGet, managed + "/build-status", nil, maintain},
			{http.MethodPut, service + "/summary", document{"summary": when}, ok(maintain, http.StatusNoContent)},
			{http.MethodPut, managed + "/runtime-configuration", document{"environment": document{"SECRET_API_TOKEN": "of-the-maintainer"}}, ok(maintain, http.StatusNoContent)},
			{http.MethodPost, "/qc-catalog/service-jobs", document{"serviceId": s.id}, ok(maintain, http.StatusCreated)},
			{http.MethodPut, service + "/publication", document{"scope": "INTERNAL"}, own},
			{http.MethodGet, service + "/subscriptions", nil, own},
			{http.MethodGet, service + "/shares", nil, own},
			{http.MethodDelete, service, nil, own},
		} {
			body, kind := []byte(nil), ""
			if c.body != nil {
				body, kind = marshal(t, c.body), "application/json"
			}
			if status, answer := p.send(stranger, c.method, c.path, kind, body); status != c.want {
				t.Errorf("%s: %s %s = %d %.200s, want %d", when, c.method, c.path, status, answer, c.want)
			}
		}
		list, _ := p.call(stranger, http.MethodGet, "/qc-catalog/services", nil, http.StatusOK)["list"].([]any)
		if (len(list) == 1) != (read == http.StatusOK) {
			t.Errorf("%s: the other account lists %v", when, list)
		}
	}
	const no, denied = http.StatusNotFound, http.StatusForbidden
	may("without a share", no, no, no)
	shares := service + "/shares"
	share := p.call(p.owner, http.MethodPost, shares, document{"sharedWith": document{"tenantType": "USER", "value": ada}, "role": "VIEWER"}, http.StatusCreated)
	may("as VIEWER", http.StatusOK, denied, denied)
	if got := p.call(stranger, http.MethodGet, service, nil, http.StatusOK); got.text("currentUserPermission") != "VIEWER" || got["serviceDefinitions"].([]any)[0].(map[string]any)["runtimeConfiguration"] != nil {
		t.Errorf("a VIEWER reads %v, want no settings", got)
	}
	at := shares + "/" + share.text("id")
	p.call(p.owner, http.MethodPut, at, document{"role": "MAINTAINER"}, http.StatusOK)
	may("as MAINTAINER", http.StatusOK, http.StatusOK, denied)
	if result := p.run(p.owner, s.endpoint, document{}); result.text("token") != "17" {
		t.Errorf("with the secret that the maintainer has set, the result is %v", result)
	}
	again := p.call(p.owner, http.MethodPost, shares, document{"sharedWith": document{"tenantType": "USER", "value": ada}, "role": "OWNER"}, http.StatusCreated)
	if again.text("id") != share.text("id") || again.text("role") != "OWNER" {
		t.Errorf("sharing again = %v, want the same share", again)
	}
	may("as OWNER", http.StatusOK, http.StatusOK, denied)

	bounded := p.call(p.owner, http.MethodPost, at+"/constraints", document{"type": "TIME_BASED", "validFrom": "2026-01-01 00:00:00", "validUntil": "2026-01-02 00:00:00"}, http.StatusCreated)
	may("after its end", no, no, no)
	p.call(p.owner, http.MethodPut, at+"/constraints/"+bounded.text("id"), document{"type": "TIME_BASED", "validFrom": "2999-01-01T00:00:00Z"}, http.StatusOK)
	may("before its beginning", no, no, no)
	if list := p.call(p.owner, http.MethodGet, shares, nil, http.StatusOK)["list"].([]any); len(list) != 1 || list[0].(map[string]any)["active"] != any(false) {
		t.Errorf("GET shares = %v, want one that is not active", list)
	}
	p.call(p.owner, http.MethodPut, at+"/constraints/none", document{}, no)
	p.call(p.owner, http.MethodPost, at+"/constraints", document{"validFrom": "2026-01-02 00:00:00", "validUntil": "2026-01-01 00:00:00"}, http.StatusBadRequest)
	p.call(p.owner, http.MethodDelete, at+"/constraints/"+bounded.text("id"), nil, http.StatusNoContent)
	may("without an end", http.StatusOK, http.StatusOK, denied)
	p.call(p.owner, http.MethodDelete, at, nil, http.StatusNoContent)
	may("revoked", no, no, no)
	for body, want := range map[string]int{
		`{"sharedWith":{"tenantType":"USER","value":"none"}}`:                   no,
		`{"sharedWith":{"tenantType":"ORGANIZATION","value":"` + ada + `"}}`:    no,
		`{"sharedWith":{"tenantType":"USER","value":"` + ada + `"},"role":"X"}`: http.StatusBadRequest,
		`{"sharedWith":{"tenantType":"TEAM","value":"` + ada + `"}}`:            http.StatusBadRequest,
	} {
		if status, answer := p.send(p.owner, http.MethodPost, shares, "application/json", []byte(body)); status != want {
			t.Errorf("POST shares with %s = %d %s, want %d", body, status, answer, want)
		}
	}
}
