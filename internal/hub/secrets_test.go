package hub_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// teller is an archive with the service that says which secrets it has got.
func teller(t testing.TB) []byte { return built(t, "teller") }

// built is an archive with a service of testdata.
func built(t testing.TB, name string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "service")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "-ldflags", "-s -w", "./testdata/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build = %v\n%s", err, out)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return archiveOf(t, map[string][]byte{"service": content})
}

const secretsPath = "/qc-catalog/secrets"

func digestOf(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}

// vaulted is a platform with the service teller, its subscriber of the same account, and
// one of another account.
type vaulted struct {
	*platform
	deployed
	app, foreign       string // ids
	bearer, stranger   string // tokens
	values             []string
	organization, team string // the id of the other account
}

// secret sets a secret of the owner's account.
func (v *vaulted) secret(name, query, value string, more document) document {
	v.Helper()
	v.values = append(v.values, value)
	body := document{"value": value}
	for key, of := range more {
		body[key] = of
	}
	return v.call(v.owner, http.MethodPut, secretsPath+"/"+name+"?"+query, body, http.StatusOK)
}

// wants runs the service, and compares the values that it has got.
func (v *vaulted) wants(when, token string, in document, want map[string]string) {
	v.Helper()
	e := v.call(token, http.MethodPost, v.endpoint, in, http.StatusCreated)
	v.wantResult(when, token, e.text("id"), want)
}

func (v *vaulted) wantResult(when, token, id string, want map[string]string) {
	v.Helper()
	result := v.result(token, v.endpoint, id)
	for _, name := range []string{"api_token", "db_password", "extra"} {
		digest := ""
		if want[name] != "" {
			digest = digestOf(want[name])
		}
		if result.text(name) != digest {
			v.Errorf("%s: the service has got another %s than %q", when, name, want[name])
		}
	}
	_, log := v.send(token, http.MethodGet, v.endpoint+"/"+id+"/log", "", nil)
	for _, value := range v.values {
		if strings.Contains(string(log), value) {
			v.Errorf("%s: the log shows a stored secret: %s", when, log)
		}
	}
	if !strings.Contains(string(log), "api_token is [redacted]") {
		v.Errorf("%s: the log is %s, want the masked value", when, log)
	}
}

func startVaulted(t *testing.T) *vaulted {
	return vaultedOn(start(t, filepath.Join(t.TempDir(), "data")), t)
}

func vaultedOn(p *platform, t testing.TB) *vaulted {
	v := &vaulted{platform: p, deployed: p.deploy("teller", "1.0.0", teller(t), "SUCCESS")}
	p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+v.id+"/publication", document{"scope": "PUBLIC"}, http.StatusNoContent)
	v.bearer = p.application(p.owner, "app", v.id)
	apps, _ := p.call(p.owner, http.MethodGet, "/qc-catalog/applications", nil, http.StatusOK)["list"].([]any)
	v.app = document(apps[0].(map[string]any)).text("id")
	// Another user has another account.
	organization := p.call(p.owner, http.MethodPost, "/qc-catalog/organizations", document{"name": "Crew", "displayName": "Crew"}, http.StatusCreated).text("id")
	invited := p.call(p.owner, http.MethodPost, "/qc-catalog/organizations/"+organization+"/invitations", document{"role": "VIEWER"}, http.StatusCreated)
	other := p.call("", http.MethodPost, "/qc-catalog/invitations/redeem", document{"token": invited.text("token"), "username": "ada"}, http.StatusCreated)
	v.organization = other.text("accessToken", "value")
	v.stranger = p.application(v.organization, "foreign", v.id)
	apps, _ = p.call(v.organization, http.MethodGet, "/qc-catalog/applications", nil, http.StatusOK)["list"].([]any)
	v.foreign = document(apps[0].(map[string]any)).text("id")
	return v
}

// TestStoredSecrets sets secrets at all places, and looks at what executions get.
func TestStoredSecrets(t *testing.T) {
	v := startVaulted(t)
	service, subscription := "serviceId="+v.id, "serviceId="+v.id+"&applicationId="+v.app
	v.wantRequired("with no secret stored", v.bearer, "api_token", "db_password")
	refused := v.call(v.bearer, http.MethodPost, v.endpoint, document{}, http.StatusBadRequest)
	if text, _ := json.Marshal(refused); !strings.Contains(string(text), "api_token") {
		t.Errorf("a request without secrets is refused with %s, want the missing names", text)
	}

	v.secret("shared-password", "", "the-password-of-the-account", nil)
	v.call(v.bearer, http.MethodPost, v.endpoint, document{"$secrets": document{"api_token": "of-the-request"}}, http.StatusBadRequest)
	v.call(v.owner, http.MethodPut, secretsPath+"/shared-password/bindings/"+v.id+"/db_password", nil, http.StatusNoContent)
	v.wantRequired("with one secret stored", v.bearer, "api_token")
	v.secret("api_token", service, "the-token-of-the-service", nil)
	all := map[string]string{"api_token": "the-token-of-the-service", "db_password": "the-password-of-the-account"}
	for when, token := range map[string]string{"an application": v.bearer, "a member": v.owner, "a foreign application": v.stranger} {
		v.wants(when, token, document{}, all)
	}
	v.wantRequired("with all secrets stored", v.bearer)

	v.secret("api_token", subscription, "the-token-of-the-subscription", nil)
	v.wants("with a subscription's secret", v.bearer, document{}, map[string]string{"api_token": "the-token-of-the-subscription", "db_password": all["db_password"]})
	v.wants("the others", v.stranger, document{}, all)
	v.wants("with a secret in the request", v.bearer, document{"$secrets": document{"api_token": "of-the-request"}}, map[string]string{"api_token": "of-the-request", "db_password": all["db_password"]})
	v.call(v.stranger, http.MethodPost, v.endpoint, document{"$secrets": document{"api_token": "of-a-stranger"}}, http.StatusBadRequest)
	v.call(v.owner, http.MethodPut, secretsPath+"/api_token/override?"+service, document{"override": "ANY"}, http.StatusNoContent)
	v.wants("with a permitted replacement", v.stranger, document{"$secrets": document{"api_token": "of-a-stranger"}}, map[string]string{"api_token": "of-a-stranger", "db_password": all["db_password"]})
	v.call(v.owner, http.MethodPut, secretsPath+"/api_token/override?"+service, document{"override": "NONE"}, http.StatusNoContent)
	v.call(v.owner, http.MethodPost, v.endpoint, document{"$secrets": document{"api_token": "of-the-owner"}}, http.StatusBadRequest)
	var denied []string
	for _, link := range asList(v.call(v.owner, http.MethodGet, "/qc-catalog/audit?limit=1000", nil, http.StatusOK)["entries"]) {
		if text, err := json.Marshal(link); err == nil && strings.Contains(string(text), "replaceSecrets") {
			denied = append(denied, string(text))
		}
	}
	if text := strings.Join(denied, " "); len(denied) != 2 || strings.Count(text, `"outcome":"DENIED"`) != 2 || strings.Count(text, `"secrets":"api_token"`) != 2 ||
		!strings.Contains(text, v.foreign) || strings.Contains(text, "of-a-stranger") {
		t.Errorf("the audit log has %s, want an entry for each caller that may not replace the secret", text)
	}

	// Another account can neither see nor set these secrets.
	for path, method := range map[string]string{"/api_token?" + service: http.MethodGet, "/api_token?" + subscription: http.MethodGet} {
		v.call(v.organization, method, secretsPath+path, nil, http.StatusNotFound)
	}
	v.call(v.organization, http.MethodPut, secretsPath+"/api_token?"+service, document{"value": "x"}, http.StatusNotFound)
	v.call(v.organization, http.MethodPut, secretsPath+"/mine", document{"value": "the-secret-of-a-stranger"}, http.StatusOK)
	v.call(v.organization, http.MethodPut, secretsPath+"/mine/bindings/"+v.id+"/extra", nil, http.StatusNotFound)
	if list, _ := v.call(v.organization, http.MethodGet, secretsPath, nil, http.StatusOK)["list"].([]any); len(list) != 1 {
		t.Errorf("another account lists %v, want its own secret", list)
	}

	shown := v.call(v.owner, http.MethodGet, secretsPath+"/api_token?"+service, nil, http.StatusOK)
	if shown.text("usedAt") == "" || shown.text("versions", "usedBy") == "" || shown.text("versions", "state") != "LIVE" {
		t.Errorf("the secret is shown as %v, want its last use", shown)
	}
	v.noneHold(v.values...)
}

// wantRequired compares the secrets that the OpenAPI document requires of a caller.
func (v *vaulted) wantRequired(when, token string, want ...string) {
	v.Helper()
	_, text := v.send(token, http.MethodGet, v.endpoint+"/openapi.json", "", nil)
	var api any
	if err := json.Unmarshal(text, &api); err != nil {
		v.Fatal(err)
	}
	var required []string
	var found int
	var walk func(at any)
	walk = func(at any) {
		switch at := at.(type) {
		case map[string]any:
			if secrets, ok := at["$secrets"].(map[string]any); ok {
				found++
				for _, name := range asList(secrets["required"]) {
					required = append(required, name.(string))
				}
			}
			for _, member := range at {
				walk(member)
			}
		case []any:
			for _, element := range at {
				walk(element)
			}
		}
	}
	walk(api)
	slices.Sort(required)
	if required = slices.Compact(required); found == 0 || !slices.Equal(required, want) {
		v.Errorf("%s the OpenAPI document requires the secrets %q, want %q", when, required, want)
	}
}

func asList(value any) []any {
	list, _ := value.([]any)
	return list
}

// TestRotatedUnderLoad starts executions while their secret is rotated all the time: none
// fails, and each gets one of the values.
func TestRotatedUnderLoad(t *testing.T) {
	v := startVaulted(t)
	service := "?serviceId=" + v.id
	known := map[string]bool{}
	for n := range 400 {
		known[digestOf(fmt.Sprintf("the-token-value-%d", n))] = true
	}
	v.secret("api_token", "serviceId="+v.id, "the-token-value-0", nil)
	v.secret("db_password", "serviceId="+v.id, "the-password-value", nil)
	ctx, stop := context.WithCancel(t.Context())
	var rotations int
	var rotating, calling sync.WaitGroup
	rotating.Go(func() {
		for n := 1; n < 400 && ctx.Err() == nil; n++ {
			body := fmt.Appendf(nil, `{"value":"the-token-value-%d"}`, n)
			if status := v.try(t.Context(), http.MethodPost, secretsPath+"/api_token/rotate"+service, "application/json", body); status != http.StatusOK {
				t.Errorf("rotate = %d, want 200", status)
				return
			}
			rotations = n
		}
	})
	for range 4 {
		calling.Go(func() {
			for range 15 {
				if result := v.run(v.bearer, v.endpoint, document{}); !known[result.text("api_token")] {
					t.Errorf("an execution has got another value than those that were set")
				}
			}
		})
	}
	calling.Wait()
	stop()
	rotating.Wait()
	t.Logf("%d rotations while 60 executions ran", rotations)
	if rotations < 10 {
		t.Error("there were hardly any rotations: the test proves nothing")
	}
}

// TestStoredSecretsArePinned rotates and deletes secrets while an execution waits.
func TestStoredSecretsArePinned(t *testing.T) {
	v := startVaulted(t)
	service := "serviceId=" + v.id
	v.secret("api_token", service, "the-first-token-value", nil)
	v.secret("db_password", service, "the-first-password-value", nil)
	var holders []string
	for range 8 { // all slots
		holders = append(holders, v.call(v.owner, http.MethodPost, v.endpoint, document{"hold": "yes"}, http.StatusCreated).text("id"))
	}
	waiting := v.call(v.owner, http.MethodPost, v.endpoint, document{}, http.StatusCreated).text("id")
	rotated := v.call(v.owner, http.MethodPost, secretsPath+"/api_token/rotate?"+service, document{"value": "the-second-token-value", "keep": "1h"}, http.StatusOK)
	if rotated["version"] != 2.0 {
		t.Errorf("rotate = %v, want version 2", rotated)
	}
	v.call(v.owner, http.MethodDelete, secretsPath+"/db_password?"+service, nil, http.StatusNoContent)
	v.call(v.owner, http.MethodGet, secretsPath+"/db_password?"+service, nil, http.StatusNotFound)
	v.call(v.owner, http.MethodPost, v.endpoint, document{}, http.StatusBadRequest)
	v.secret("db_password", service, "the-second-password-value", nil)
	second := v.call(v.owner, http.MethodPost, v.endpoint, document{}, http.StatusCreated).text("id")
	v.call(v.owner, http.MethodDelete, secretsPath+"/api_token?version=2&"+service, nil, http.StatusNoContent)
	third := v.call(v.owner, http.MethodPost, v.endpoint, document{}, http.StatusCreated).text("id")
	for _, id := range holders {
		v.call(v.owner, http.MethodPut, v.endpoint+"/"+id+"/cancel", nil, http.StatusNoContent)
	}
	v.values = append(v.values, "the-second-token-value")
	v.wantResult("accepted before", v.owner, waiting, map[string]string{"api_token": "the-first-token-value", "db_password": "the-first-password-value"})
	v.wantResult("accepted after", v.owner, second, map[string]string{"api_token": "the-second-token-value", "db_password": "the-second-password-value"})
	v.wantResult("accepted after the new version was deleted", v.owner, third, map[string]string{"api_token": "the-first-token-value", "db_password": "the-second-password-value"})
	v.noneHold(v.values...)
}
