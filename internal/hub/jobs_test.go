package hub_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// job starts a job and waits for its end.
func (p *platform) job(body document) document {
	p.Helper()
	made := p.call(p.owner, http.MethodPost, "/qc-catalog/service-jobs", body, http.StatusCreated)
	p.jobResult(made.text("id"))
	return made
}

// jobResult waits for the end of an execution, and returns its result.
func (p *platform) jobResult(id string) document {
	p.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		status, text := p.send(p.owner, http.MethodGet, "/qc-catalog/service-executions/"+id+"/results", "", nil)
		if status == http.StatusNoContent {
			continue
		}
		result := document{}
		if err := json.Unmarshal(text, &result); err != nil || status != http.StatusOK {
			p.Fatalf("GET results of %s = %d %s", id, status, text)
		}
		return result
	}
	p.Fatalf("the execution %s does not end", id)
	return nil
}

// TestJobsRunAgain keeps inputs without secrets, and runs jobs again.
func TestJobsRunAgain(t *testing.T) {
	const secret = "a-secret-of-this-job"
	p := start(t, filepath.Join(t.TempDir(), "data"))
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	const jobs = "/qc-catalog/service-jobs"
	input := document{"name": "you", "$secrets": document{"api_token": secret}, "$tags": []string{"inner"}}
	made := p.job(document{"serviceId": s.id, "input": input, "tags": []string{"a", "b"}, "storeInput": true})
	for what, d := range map[string]document{"POST": made, "GET": p.call(p.owner, http.MethodGet, jobs+"/"+made.text("id"), nil, http.StatusOK)} {
		if d.text("input") != `{"name":"you"}` {
			t.Errorf("%s: input = %q, want it without secrets and tags", what, d.text("input"))
		}
	}
	rerun := jobs + "/" + made.text("id") + "/rerun"
	if refused := p.call(p.owner, http.MethodPost, rerun, nil, http.StatusBadRequest); !strings.Contains(refused.text("detail"), "api_token") {
		t.Errorf("POST rerun without the secret = %v, want its name", refused)
	}
	again := p.call(p.owner, http.MethodPost, rerun, document{"$secrets": document{"api_token": "another-secret"}}, http.StatusCreated)
	tags, _ := again["tags"].([]any)
	if result := p.jobResult(again.text("id")); result.text("hello") != "you" || result.text("token") != "14" || again.text("id") == made.text("id") || len(tags) != 2 {
		t.Errorf("the job that ran again is %v with %v, want the same input and tags, and the new secret", again, result)
	}
	// A secret that the service has by its settings need not come again.
	p.call(p.owner, http.MethodPut, "/qc-catalog/managed-services/"+s.id+"/runtime-configuration", document{"environment": document{"SECRET_API_TOKEN": "of-the-service"}}, http.StatusNoContent)
	third := p.call(p.owner, http.MethodPost, jobs+"/"+again.text("id")+"/rerun", nil, http.StatusCreated)
	if result := p.jobResult(third.text("id")); result.text("token") != "14" {
		t.Errorf("the job with the secret of its service has ended %v", result)
	}
	for name, body := range map[string]document{
		"a secret elsewhere": {"serviceId": s.id, "input": document{"name": "x " + secret, "$secrets": document{"api_token": secret}}, "storeInput": true},
		"a list of secrets":  {"serviceId": s.id, "input": document{"$secrets": []string{secret}}, "storeInput": true},
		"another parameter":  {"serviceId": s.id, "input": document{"nam": "you"}, "storeInput": true},
	} {
		if refused := p.call(p.owner, http.MethodPost, jobs, body, http.StatusBadRequest); strings.Contains(refused.text("detail"), secret) {
			t.Errorf("%s: the answer repeats the secret: %v", name, refused)
		}
	}
	plain := p.job(document{"serviceId": s.id})
	p.call(p.owner, http.MethodPost, jobs+"/"+plain.text("id")+"/rerun", nil, http.StatusBadRequest)
	if _, has := p.call(p.owner, http.MethodGet, jobs+"/"+plain.text("id"), nil, http.StatusOK)["input"]; has {
		t.Error("a job without storeInput has kept its input")
	}
	p.call(p.owner, http.MethodPost, jobs+"/00000000-0000-7000-8000-000000000000/rerun", nil, http.StatusNotFound)
	p.noneHold(secret, "another-secret", "of-the-service")
	p.call(p.owner, http.MethodGet, "/qc-catalog/service-executions/"+plain.text("id")+"/costs", nil, http.StatusNoContent)
	p.call(p.owner, http.MethodGet, "/qc-catalog/service-executions/"+plain.text("id")+"/metrics", nil, http.StatusOK)
}

// TestListsOfJobs filters and sorts.
func TestListsOfJobs(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	a := p.deploy("a", "1.0.0", greeter(t, "hello"), "SUCCESS")
	b := p.deploy("b", "1.0.0", greeter(t, "hello"), "SUCCESS")
	begun := time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
	one := p.job(document{"serviceId": a.id, "tags": []string{"red", "all"}}).text("id")
	two := p.job(document{"serviceId": b.id, "tags": []string{"blue", "all"}}).text("id")
	three := p.job(document{"serviceId": b.id}).text("id")
	for query, want := range map[string][]string{
		"":                                 {three, two, one},
		"sort=createdAt,asc":               {one, two, three},
		"sort=createdAt":                   {one, two, three},
		"sort=endedAt,desc":                {three, two, one},
		"sort=status,asc":                  {three, two, one},
		"serviceId=" + b.id:                {three, two},
		"tags=red":                         {one},
		"tags=red&tags=blue":               {two, one},
		"tags=r*":                          {},
		"tags=red&serviceId=" + b.id:       {},
		"ids=" + two:                       {two},
		"ids=" + two[:len(two)-6] + "*":    {two},
		"ids=*" + two[20:] + "&ids=" + one: {two, one},
		"ids=%25":                          {},
		"ids=_*":                           {},
		"createdAfter=" + begun:            {three, two, one},
		"createdBefore=" + begun:           {},
		"createdAfter=1000":                {three, two, one},
		"createdBefore=1000":               {},
		"createdAfter=" + url.QueryEscape("2026-01-31 00:00:00"): {three, two, one},
		"page=1&size=2": {one},
	} {
		for _, list := range []string{"/qc-catalog/service-jobs?", "/qc-catalog/service-executions?"} {
			content, _ := p.call(p.owner, http.MethodGet, list+query, nil, http.StatusOK)["content"].([]any)
			got := []string{}
			for _, e := range content {
				got = append(got, e.(map[string]any)["id"].(string))
			}
			if !slices.Equal(got, want) {
				t.Errorf("GET %s%s = %q, want %q", list, query, got, want)
			}
		}
	}
	for _, query := range []string{"sort=name", "sort=createdAt,up", "createdAfter=yesterday", "createdBefore=2026-99-01T00:00:00Z", "size=0", "page=x"} {
		p.call(p.owner, http.MethodGet, "/qc-catalog/service-jobs?"+query, nil, http.StatusBadRequest)
	}
}

// TestLineage starts executions in another one, with the token of that and with that of
// an application.
func TestLineage(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+s.id+"/publication", document{"scope": "PUBLIC"}, http.StatusNoContent)
	bearer := p.application(p.owner, "app", s.id)
	root := p.job(document{"serviceId": s.id, "input": document{"start": s.endpoint, "$secrets": document{"api_token": bearer}}, "tags": []string{"root"}}).text("id")
	if result := p.jobResult(root); result.text("own") != "201 Created" || result.text("other") != "201 Created" {
		t.Fatalf("the service has started executions with %v, want both", result)
	}
	answer := p.call(p.owner, http.MethodGet, "/qc-catalog/service-executions/"+root+"/lineage", nil, http.StatusOK)
	nodes, _ := answer["nodes"].([]any)
	if truncated, _ := answer["truncated"].(bool); len(nodes) != 3 || truncated {
		t.Fatalf("the lineage is %v, want three nodes", answer)
	}
	for i, node := range nodes {
		n := document(node.(map[string]any))
		if i == 0 && (n.text("id") != root || n["parentId"] != nil) || i > 0 && n.text("parentId") != root || n.text("serviceId") != s.id {
			t.Errorf("node %d of the lineage is %v", i, n)
		}
		p.jobResult(n.text("id"))
	}
	child := document(nodes[1].(map[string]any)).text("id")
	if inner := p.call(p.owner, http.MethodGet, "/qc-catalog/service-executions/"+child+"/lineage", nil, http.StatusOK); len(inner["nodes"].([]any)) != 1 {
		t.Errorf("the lineage of a child is %v, want itself", inner)
	}
	// A token that is not valid gives no parent, and no error: neither does one that has ended.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.endpoint, strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", bearer)
	r.Header.Set("X-Parent-Execution-Token", strings.TrimPrefix(bearer, "Bearer "))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Errorf("POST with another token as that of its parent = %d, want 201", response.StatusCode)
	}
	if again := p.call(p.owner, http.MethodGet, "/qc-catalog/service-executions/"+root+"/lineage", nil, http.StatusOK); len(again["nodes"].([]any)) != 3 {
		t.Errorf("the lineage is %v, want three nodes as before", again)
	}
}

// TestLinksOfResults follows the links to files with names that mean something else.
func TestLinksOfResults(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	for name, link := range map[string]string{"status": "./status", "a?b#c d%41.txt": "a?b#c d%41.txt"} {
		e := p.call(p.owner, http.MethodPost, s.endpoint, document{"name": "you", "file": name}, http.StatusCreated).text("id")
		p.result(p.owner, s.endpoint, e)
		execution := "/qc-catalog/service-executions/" + e
		result := p.call(p.owner, http.MethodGet, execution+"/results", nil, http.StatusOK)
		if got := result.text("_links", "status", "href"); got != execution {
			t.Errorf("the link status of a result with a file %q is %q, want %q", name, got, execution)
		}
		if status, content := p.send(p.owner, http.MethodGet, result.text("_links", link, "href"), "", nil); status != http.StatusOK || string(content) != "you" {
			t.Errorf("GET %v = %d %s, want the file %q", result["_links"], status, content, name)
		}
	}
}
