package hub_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/store/sqlite/sqlitetest"
)

// TestDeployAndCall goes from nothing to a call with a key, by the calls of the
// published clients.
func TestDeployAndCall(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	made := p.call(p.owner, http.MethodPost, "/qc-catalog/managed-services", document{
		"name": "Greeter One", "summary": "greets", "source": document{"type": "file"},
		"runtimeConfiguration":   document{"runtime": "PYTHON_TEMPLATE", "environment": document{"MODE": "fast"}},
		"resourceConfigurations": []document{{"type": "memory", "amount": 256, "unit": "M"}},
	}, http.StatusCreated)
	id, endpoint := made.text("id"), made.text("serviceDefinitions", "gatewayEndpoint")
	if made.text("name") != "greeter-one" || made.text("displayName") != "Greeter One" || !strings.HasSuffix(endpoint, "/greeter-one/1.0.0") {
		t.Errorf("POST /managed-services = %v", made)
	}
	p.call(p.owner, http.MethodPost, "/qc-catalog/managed-services", document{"name": "greeter-one"}, http.StatusUnprocessableEntity)
	p.call(p.owner, http.MethodGet, "/qc-catalog/managed-services/"+id+"/build-status", nil, http.StatusNotFound)
	p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+id+"/publication", document{"scope": "INTERNAL"}, http.StatusBadRequest)
	kind, body := multipartOf(t, greeter(t, "hello"))
	if status, answer := p.send(p.owner, http.MethodPut, "/qc-catalog/managed-services/"+id+"/source/file", kind, body); status != http.StatusNoContent {
		t.Fatalf("PUT source/file = %d %s", status, answer)
	}
	p.call(p.owner, http.MethodPut, "/qc-catalog/managed-services/"+id+"/build", nil, http.StatusNoContent)
	revisions := p.call(p.owner, http.MethodGet, "/qc-catalog/services/"+id+"/revisions", nil, http.StatusOK)
	p.built(deployed{id: id, revision: revisions.text("list", "id")}, "SUCCESS")
	status := p.call(p.owner, http.MethodGet, "/qc-catalog/managed-services/"+id+"/build-status", nil, http.StatusOK)
	if status.text("status") != "SUCCESS" || status.text("step") != "PUSH_IMAGE" || status.text("validationResult", "state") != "SUCCESS" {
		t.Errorf("build-status = %v", status)
	}
	if code, content := p.send(p.owner, http.MethodGet, "/qc-catalog/managed-services/"+id+"/source", "", nil); code != http.StatusOK || len(content) != len(greeter(t, "hello")) {
		t.Errorf("GET source = %d, %d bytes", code, len(content))
	}
	p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+id+"/publication", document{"scope": "INTERNAL"}, http.StatusNoContent)
	bearer := p.application(p.owner, "app", id)
	result := p.run(bearer, endpoint, document{"name": "you", "$secrets": document{"api_token": "a-token-of-19-bytes"}})
	if result.text("hello") != "you" || result.text("token") != "19" || result.text("mode") != "fast" {
		t.Errorf("the result is %v", result)
	}
	latest := strings.TrimSuffix(endpoint, "1.0.0") + "latest"
	started := p.call(bearer, http.MethodPost, latest+"/", document{"name": "latest"}, http.StatusCreated)
	if result := p.result(bearer, latest, started.text("id")); result.text("hello") != "latest" {
		t.Errorf("the result by /latest/ is %v", result)
	}
	var text string
	_, answer := p.send(p.owner, http.MethodGet, "/qc-catalog/services/"+id+"/openapi?format=JSON", "", nil)
	if err := json.Unmarshal(answer, &text); err != nil || !strings.Contains(text, `"api_token"`) || !strings.Contains(text, endpoint) {
		t.Errorf("GET openapi = %.200s, want a JSON string with the document", answer)
	}
	if code, answer := p.send(bearer, http.MethodGet, endpoint+"/openapi.json", "", nil); code != http.StatusOK || !strings.Contains(string(answer), `"openapi"`) {
		t.Errorf("GET %s/openapi.json = %d", endpoint, code)
	}
	p.call(p.owner, http.MethodDelete, "/qc-catalog/services/"+id+"/publication", nil, http.StatusConflict)
	p.call(p.owner, http.MethodDelete, "/qc-catalog/services/"+id, nil, http.StatusNoContent)
	p.call(bearer, http.MethodGet, endpoint, nil, http.StatusNotFound)
	p.call(p.owner, http.MethodGet, "/qc-catalog/services/"+id, nil, http.StatusNotFound)
}

// TestCallersSeeTheirOwnExecutions has two applications, their owner and a stranger look
// at executions.
func TestCallersSeeTheirOwnExecutions(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+s.id+"/publication", document{"scope": "PUBLIC"}, http.StatusNoContent)
	first, second := p.application(p.owner, "first", s.id), p.application(p.owner, "second", s.id)
	unsubscribed := p.application(p.owner, "third")
	ids := map[string]string{}
	for caller, token := range map[string]string{"first": first, "second": second, "owner": p.owner} {
		ids[caller] = p.call(token, http.MethodPost, s.endpoint, document{"name": caller}, http.StatusCreated).text("id")
		p.result(token, s.endpoint, ids[caller])
	}
	for caller, token := range map[string]string{"first": first, "second": second, "owner": p.owner} {
		list, _ := p.call(token, http.MethodGet, s.endpoint, nil, http.StatusOK)["list"].([]any)
		if len(list) != 1 || list[0].(map[string]any)["id"] != ids[caller] {
			t.Errorf("%s lists %v, want its own execution only", caller, list)
		}
		for other, id := range ids {
			if other == caller {
				continue
			}
			for _, path := range []string{"", "/result", "/result/output.json", "/log"} {
				p.call(token, http.MethodGet, s.endpoint+"/"+id+path, nil, http.StatusNotFound)
			}
			p.call(token, http.MethodPut, s.endpoint+"/"+id+"/cancel", nil, http.StatusNotFound)
		}
	}
	hidden := p.call(unsubscribed, http.MethodGet, s.endpoint, nil, http.StatusNotFound)
	absent := p.call(unsubscribed, http.MethodGet, strings.Replace(s.endpoint, "/greeter/", "/none/", 1), nil, http.StatusNotFound)
	if !reflect.DeepEqual(hidden, absent) {
		t.Errorf("GET of a service without a subscription = %v, of one that does not exist = %v; want the same", hidden, absent)
	}
	p.call(unsubscribed, http.MethodPost, s.endpoint, document{}, http.StatusNotFound)
	p.call("", http.MethodGet, s.endpoint, nil, http.StatusUnauthorized)
	p.call("Bearer x", http.MethodPost, s.endpoint, document{}, http.StatusUnauthorized)

	// The platform API shows the tenant what it and its applications have started.
	all := p.call(p.owner, http.MethodGet, "/qc-catalog/service-executions?size=2", nil, http.StatusOK)
	if all["totalElements"] != 3.0 || all["totalPages"] != 2.0 || all["numberOfElements"] != 2.0 || all["last"].(bool) {
		t.Errorf("GET /service-executions = %v", all)
	}
	jobs := p.call(p.owner, http.MethodGet, "/qc-catalog/service-jobs", nil, http.StatusOK)
	if jobs["totalElements"] != 1.0 || jobs.text("content", "id") != ids["owner"] {
		t.Errorf("GET /service-jobs = %v", jobs)
	}
	result := p.call(p.owner, http.MethodGet, "/qc-catalog/service-executions/"+ids["first"]+"/results", nil, http.StatusOK)
	if result.text("hello") != "first" {
		t.Errorf("the result of an application's execution is %v", result)
	}

	// An organization of the same user is another tenant.
	organization := p.call(p.owner, http.MethodPost, "/qc-catalog/organizations", document{"name": "Crew", "displayName": "Crew"}, http.StatusCreated).text("id")
	for _, path := range []string{"/service-executions/" + ids["owner"], "/service-executions/" + ids["first"] + "/results", "/services/" + s.id + "/revisions", "/managed-services/" + s.id + "/source"} {
		if status := p.as(organization, http.MethodGet, "/qc-catalog"+path); status != http.StatusNotFound {
			t.Errorf("GET %s for another tenant = %d, want 404", path, status)
		}
	}
	if status := p.as(organization, http.MethodGet, "/qc-catalog/services/"+s.id); status != http.StatusOK {
		t.Errorf("GET of a public service for another tenant = %d, want 200", status)
	}
	if status := p.as(organization, http.MethodDelete, "/qc-catalog/services/"+s.id); status != http.StatusNotFound {
		t.Errorf("DELETE of a public service of another tenant = %d, want 404", status)
	}
	if status := p.as(organization, http.MethodGet, strings.TrimPrefix(s.endpoint, p.url)); status != http.StatusNotFound {
		t.Errorf("GET of the gateway for another tenant = %d, want 404", status)
	}
}

// as calls for an organization.
func (p *platform) as(organization, method, path string) int {
	p.Helper()
	r, err := http.NewRequestWithContext(p.Context(), method, p.url+path, http.NoBody)
	if err != nil {
		p.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", p.owner)
	r.Header.Set("X-OrganizationId", organization)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// TestRevisions has a bad revision replace nothing, an execution keep the revision that
// has accepted it, and an older revision come back.
func TestRevisions(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	first := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	says := func(word string) {
		t.Helper()
		if result := p.run(p.owner, first.endpoint, document{"name": "you"}); result.text(word) != "you" {
			t.Errorf("the result is %v, want one of the revision that says %s", result, word)
		}
	}
	says("hello")
	bad := p.deploy("greeter", "1.0.0", archiveOf(t, map[string][]byte{"service": []byte("\x7fELF and nothing else")}), "FAILURE")
	says("hello")
	p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+bad.id+"/revisions/"+bad.revision+"/activation", nil, http.StatusBadRequest)
	holding := p.call(p.owner, http.MethodPost, first.endpoint, document{"hold": "x"}, http.StatusCreated).text("id")
	second := p.deploy("greeter", "1.0.0", greeter(t, "welcome"), "SUCCESS")
	if second.id != first.id || second.version != first.version {
		t.Errorf("another revision is of %+v, want of %+v", second, first)
	}
	says("welcome")
	if e := p.call(p.owner, http.MethodGet, first.endpoint+"/"+holding, nil, http.StatusOK); e.text("status") != "RUNNING" && e.text("status") != "PENDING" {
		t.Errorf("an execution of the revision before is %v, want it to run on", e)
	}
	p.call(p.owner, http.MethodPut, first.endpoint+"/"+holding+"/cancel", nil, http.StatusNoContent)
	p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+first.id+"/revisions/"+first.revision+"/activation", nil, http.StatusOK)
	says("hello")
	other := p.deploy("greeter", "2.0.0", greeter(t, "welcome"), "SUCCESS")
	if other.id != first.id || other.version == first.version {
		t.Errorf("another version is of %+v, want another one of %s", other, first.id)
	}
	says("hello")
	latest := strings.TrimSuffix(first.endpoint, "1.0.0") + "latest"
	if result := p.run(p.owner, latest, document{"name": "you"}); result.text("welcome") != "you" {
		t.Errorf("the result by /latest is %v, want that of 2.0.0", result)
	}

	// After a restart all of it is there, and so are the executions.
	p.stop()
	p = start(t, p.dir)
	endpoint := p.url + first.path()
	if result := p.run(p.owner, endpoint, document{"name": "again"}); result.text("hello") != "again" {
		t.Errorf("after a restart the result is %v", result)
	}
	if list, _ := p.call(p.owner, http.MethodGet, endpoint, nil, http.StatusOK)["list"].([]any); len(list) < 4 {
		t.Errorf("after a restart there are %d executions, want those from before too", len(list))
	}
}

// TestDeploysAtOnce deploys archives to a new service at the same time. Each is built.
func TestDeploysAtOnce(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	content := program(t, "hello")
	revisions, uploads := make([]string, 16), make([][]byte, 16)
	for i := range uploads { // before the first one waits for the others
		uploads[i] = archiveOf(t, map[string][]byte{"service": content, "number": []byte(strconv.Itoa(i))})
	}
	var sending, all sync.WaitGroup
	last := make(chan struct{}) // is closed when all but the last byte of each was sent
	sending.Add(len(revisions))
	for i := range revisions {
		upload := uploads[i]
		from, to := io.Pipe()
		go func() {
			_, _ = to.Write(upload[:len(upload)-1])
			sending.Done()
			<-last
			_, _ = to.Write(upload[len(upload)-1:])
			_ = to.Close()
		}()
		all.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/qc-catalog/deployments?name=greeter", from)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("X-Auth-Token", p.owner)
			r.Header.Set("Content-Type", "application/zip")
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = response.Body.Close() }()
			d := document{}
			if err := json.NewDecoder(response.Body).Decode(&d); err != nil || response.StatusCode != http.StatusCreated {
				t.Errorf("POST /deployments = %d %v, want 201", response.StatusCode, d)
			}
			revisions[i] = d.text("revision", "id")
		})
	}
	sending.Wait()
	close(last)
	all.Wait()
	slices.Sort(revisions)
	if got := len(slices.Compact(revisions)); got != 16 {
		t.Errorf("16 archives have %d revisions, want one for each", got)
	}
}

// TestEndsExecutionsOfDeletedServices has the server stop after it has deleted a service,
// and before it has cancelled its executions.
func TestEndsExecutionsOfDeletedServices(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	var last string
	for range concurrency + 1 {
		last = p.call(p.owner, http.MethodPost, s.endpoint, document{"hold": "x"}, http.StatusCreated).text("id")
	}
	p.stop()
	db, err := sqlitetest.Open(t.Context(), databaseOf(p.dir), sqlite.Options{})
	if err == nil {
		err = errors.Join(db.DeleteService(t.Context(), s.id), db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	p = start(t, p.dir)
	if e := p.call(p.owner, http.MethodGet, "/qc-catalog/service-executions/"+last, nil, http.StatusOK); e.text("status") != "CANCELLED" {
		t.Errorf("an execution of a deleted service is %s after the restart, want CANCELLED", e.text("status"))
	}
}

// TestOldRevisionsHaveNoFolder and one that comes back is prepared again.
func TestOldRevisionsHaveNoFolder(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	var all []deployed
	for _, word := range []string{"hello", "welcome", "hello", "welcome", "hello", "welcome"} {
		all = append(all, p.deploy("greeter", "1.0.0", greeter(t, word), "SUCCESS"))
	}
	activate := func(at int) {
		t.Helper()
		p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+all[at].id+"/revisions/"+all[at].revision+"/activation", nil, http.StatusOK)
	}
	activate(1)
	p.stop()
	p = start(t, p.dir)
	for i, want := range []bool{false, true, false, true, true, true} {
		if _, err := os.Stat(filepath.Join(p.dir, "revisions", all[i].revision)); (err == nil) != want {
			t.Errorf("the folder of revision %d: %v, want it there: %t", i+1, err, want)
		}
	}
	activate(0)
	if result := p.run(p.owner, p.url+all[0].path(), document{"name": "you"}); result.text("hello") != "you" {
		t.Errorf("the result of a revision that came back is %v", result)
	}
}

// TestRefusesUploads has a bad archive leave nothing.
func TestRefusesUploads(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	for name, content := range map[string][]byte{
		"nothing": nil, "text": []byte("no archive"), "leaves": archiveOf(t, map[string][]byte{"../x": []byte("x")}), "empty": archiveOf(t, nil),
	} {
		if status, answer := p.send(p.owner, http.MethodPost, "/qc-catalog/deployments?name="+name, "application/zip", content); status != http.StatusBadRequest || !strings.Contains(string(answer), "errorMessage") {
			t.Errorf("POST /deployments of %s = %d %s, want 400", name, status, answer)
		}
	}
	for query, content := range map[string][]byte{"name=": nil, "name=ok&version=1": greeter(t, "hello"), "name=ok&sha256=00": greeter(t, "hello")} {
		if status, answer := p.send(p.owner, http.MethodPost, "/qc-catalog/deployments?"+query, "application/zip", content); status != http.StatusBadRequest {
			t.Errorf("POST /deployments?%s = %d %s, want 400", query, status, answer)
		}
	}
	if list, _ := p.call(p.owner, http.MethodGet, "/qc-catalog/services", nil, http.StatusOK)["list"].([]any); len(list) != 0 {
		t.Errorf("refused uploads have made the services %v", list)
	}
	blobs, err := filepath.Glob(filepath.Join(p.dir, "blobs", "objects", "sources", "*"))
	if err != nil || len(blobs) != 0 {
		t.Errorf("refused uploads have left %q", blobs)
	}
	for _, body := range []document{
		{"name": "a", "source": document{"type": "registry", "image": "x"}}, {"name": "a", "runtimeConfiguration": document{"runtime": "DOCKER"}},
		{"name": "a", "resourceConfigurations": []document{{"type": "gpu", "amount": 1}}}, {"name": "///"},
		{"name": "a", "runtimeConfiguration": document{"environment": document{"LD_PRELOAD": "canary-of-env"}}},
	} {
		if d := p.call(p.owner, http.MethodPost, "/qc-catalog/managed-services", body, http.StatusBadRequest); strings.Contains(d.text("detail"), "canary") {
			t.Errorf("POST /managed-services repeats a value: %v", d)
		}
	}
}

// TestFirstStart keeps the folder and the token private.
func TestFirstStart(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	for name, want := range map[string]os.FileMode{"": 0o700, hubToken: 0o600, "master.key": 0o600} {
		info, err := os.Stat(filepath.Join(p.dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q has mode %v, %v; want %v", name, info.Mode().Perm(), err, want)
		}
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/qc-catalog/services": 401, "/": 404} {
		if status, answer := p.send("", http.MethodGet, path, "", nil); status != want {
			t.Errorf("GET %s = %d %s, want %d", path, status, answer, want)
		}
	}
	before := p.owner
	p.stop()
	if p = start(t, p.dir); p.owner != before {
		t.Error("a restart has made another token of the owner")
	}
	p.call(p.owner, http.MethodGet, "/qc-catalog/services", nil, http.StatusOK)
}

const hubToken = "owner-token"

// TestExecutionTokens has an execution call the platform with its token, which no log
// and no result shows.
func TestExecutionTokens(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+s.id+"/publication", document{"scope": "INTERNAL"}, http.StatusNoContent)
	bearer := p.application(p.owner, "app", s.id)
	for caller, token := range map[string]string{"the owner": p.owner, "an application": bearer} {
		id := p.call(token, http.MethodPost, s.endpoint, document{"call": s.endpoint}, http.StatusCreated).text("id")
		result := p.result(token, s.endpoint, id)
		if !strings.HasPrefix(result.text("with"), "200") || strings.HasPrefix(result.text("without"), "2") {
			t.Errorf("an execution of %s has called the gateway: %v; want 200 with its token only", caller, result)
		}
		_, log := p.send(token, http.MethodGet, s.endpoint+"/"+id+"/log", "", nil)
		if strings.Contains(string(log), "eyJ") || strings.Contains(result.text("token"), "eyJ") || !strings.Contains(string(log), "the token is") {
			t.Errorf("the token of an execution stands in its log or result: %s %v", log, result)
		}
	}
}
