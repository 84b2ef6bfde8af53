package hub_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestMarketplace shows published services to the accounts that may subscribe to them.
func TestMarketplace(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	greeting := greeter(t, "hello")
	public, internal, hidden := p.deploy("b-public", "1.0.0", greeting, "SUCCESS"), p.deploy("a-internal", "1.0.0", greeting, "SUCCESS"), p.deploy("hidden", "1.0.0", greeting, "SUCCESS")
	for id, scope := range map[string]string{public.id: "PUBLIC", internal.id: "INTERNAL"} {
		p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+id+"/publication", document{"scope": scope}, http.StatusNoContent)
	}
	organization := p.call(p.owner, http.MethodPost, "/qc-catalog/organizations", document{"displayName": "Other"}, http.StatusCreated).text("id")
	invited := p.call(p.owner, http.MethodPost, "/qc-catalog/organizations/"+organization+"/invitations", document{"role": "OWNER"}, http.StatusCreated).text("token")
	stranger := p.call("", http.MethodPost, "/qc-catalog/invitations/redeem", document{"token": invited, "username": "ada"}, http.StatusCreated).text("accessToken", "value")
	const market = "/qc-catalog/marketplace/services"
	for query, want := range map[string]string{
		"": "a-internal b-public", "?sort=name,asc": "a-internal b-public", "?sort=displayName,desc": "b-public a-internal", "?sort=createdAt,asc": "b-public a-internal", "?size=1&page=1": "b-public",
	} {
		content, _ := p.call(p.owner, http.MethodGet, market+query, nil, http.StatusOK)["content"].([]any)
		var names []string
		for _, one := range content {
			names = append(names, document(one.(map[string]any)).text("name"))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("GET %s%s = %s, want %s", market, query, got, want)
		}
	}
	p.call(p.owner, http.MethodGet, market+"?sort=stars", nil, http.StatusBadRequest)
	if list := p.call(stranger, http.MethodGet, market, nil, http.StatusOK); list["totalElements"] != 1.0 || list.text("content", "providerName") != "owner" {
		t.Errorf("a stranger finds %v, want the public service of owner", list)
	}
	if d := p.call(stranger, http.MethodGet, market+"/"+public.id, nil, http.StatusOK); d.text("gatewayEndpoint") != public.endpoint || d.text("lifecycle") != "PUBLISHED" {
		t.Errorf("GET %s/ID = %v, want the endpoint", market, d)
	}
	for path, want := range map[string]int{public.id: 200, internal.id: 404, hidden.id: 404, "none": 404} {
		p.call(stranger, http.MethodGet, market+"/"+path+"/openapi", nil, want)
		p.call(stranger, http.MethodGet, market+"/"+path, nil, want)
	}
	p.call(p.owner, http.MethodGet, market+"/"+internal.id, nil, http.StatusOK)
	p.call(p.owner, http.MethodGet, market+"/"+hidden.id, nil, http.StatusNotFound)

	bearer := p.application(p.owner, "app", public.id)
	p.run(bearer, public.endpoint, document{})
	p.job(document{"serviceId": public.id})
	numbers := p.call(p.owner, http.MethodGet, "/qc-catalog/services/"+public.id+"/statistics", nil, http.StatusOK)
	counts, _ := numbers["managedServiceExecutions"].(map[string]any)
	if numbers["subscriptionCount"] != 1.0 || counts["totalCount"] != 2.0 || counts["thisMonthCount"] != 2.0 || counts["lastMonthCount"] != 0.0 || counts["lastThreeMonthsCount"] != 2.0 {
		t.Errorf("GET statistics = %v, want one subscription and two executions", numbers)
	}
	limits := p.call(p.owner, http.MethodGet, "/qc-catalog/entitlements", nil, http.StatusOK)
	if used, _ := limits["internalPublications"].(map[string]any); used["current"] != 1.0 || limits.text("cpuPerService", "unit") != "m" {
		t.Errorf("GET entitlements = %v, want one publication, and limits", limits)
	}

	// A service that others may no longer subscribe to has none of their subscriptions.
	theirs := p.application(stranger, "theirs", public.id)
	publication := "/qc-catalog/services/" + public.id + "/publication"
	p.call(p.owner, http.MethodPut, publication, document{"scope": "INTERNAL"}, http.StatusConflict)
	p.call(theirs, http.MethodGet, public.endpoint, nil, http.StatusOK)
	p.call(p.owner, http.MethodDelete, publication+"?force=true", nil, http.StatusNoContent)
	p.call(p.owner, http.MethodPut, publication, document{"scope": "INTERNAL"}, http.StatusNoContent)
	p.call(theirs, http.MethodGet, public.endpoint, nil, http.StatusNotFound)
}
