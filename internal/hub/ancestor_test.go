package hub_test

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"testing"
)

// upload is a form as the archived command line sends it: the archive named blob.
func (p *platform) upload(token, method, path, field string, content []byte, want int) document {
	p.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if field == "userCode" {
		part, err := w.CreateFormFile("apiDefinition", "openapi-spec.yml")
		if err == nil {
			_, err = part.Write([]byte("openapi: 3.0.0"))
		}
		if err != nil {
			p.Fatal(err)
		}
	}
	part, err := w.CreateFormFile(field, "blob")
	if err == nil {
		_, err = part.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		p.Fatal(err)
	}
	status, answer := p.send(token, method, path, w.FormDataContentType(), b.Bytes())
	d := document{}
	if err := json.Unmarshal(answer, &d); err != nil || status != want {
		p.Fatalf("%s %s = %d %s, want %d and a document", method, path, status, answer, want)
	}
	return d
}

// TestArchivedCommandLine makes the requests of planqk 2.9.14, as they were recorded: the
// first up, a second one, and run.
func TestArchivedCommandLine(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	const base = "/qc-catalog"
	if who := p.call(p.owner, http.MethodPost, base+"/authorize", nil, http.StatusOK); who.text("user", "firstName") != "owner" {
		t.Errorf("POST authorize = %v, want a user", who)
	}
	create := base + "/v2/managed-services?name=old&description=d&milliCpus=500&memoryInMegabytes=256&runtime=PYTHON_TEMPLATE&gpuCount=0&gpuAccelerator=NONE"
	p.upload(p.owner, http.MethodPost, create, "userCode", []byte("no archive"), http.StatusBadRequest)
	p.upload(p.owner, http.MethodPost, base+"/v2/managed-services?name=old&runtime=DOCKER", "userCode", greeter(t, "hello"), http.StatusBadRequest)
	p.upload(p.owner, http.MethodPost, base+"/v2/managed-services?name=old&gpuCount=1", "userCode", greeter(t, "hello"), http.StatusBadRequest)
	made := p.upload(p.owner, http.MethodPost, create, "userCode", greeter(t, "hello"), http.StatusCreated)
	id, version := made.text("id"), made.text("serviceDefinitions", "id")
	p.upload(p.owner, http.MethodPost, create, "userCode", greeter(t, "hello"), http.StatusUnprocessableEntity)
	at := base + "/services/" + id + "/versions/" + version
	built := func() {
		t.Helper()
		revisions := p.call(p.owner, http.MethodGet, base+"/services/"+id+"/revisions", nil, http.StatusOK)
		p.built(deployed{id: id, revision: revisions.text("list", "id")}, "SUCCESS")
		if status := p.call(p.owner, http.MethodGet, at+"/build-status", nil, http.StatusOK); status.text("status") != "SUCCESS" {
			t.Errorf("GET build-status = %v", status)
		}
	}
	built()
	got := p.call(p.owner, http.MethodGet, base+"/services/"+id, nil, http.StatusOK)
	if got.text("serviceDefinitions", "description") != "d" || got.text("name") != "old" {
		t.Errorf("GET services/ID = %v, want the name and the description", got)
	}

	p.call(p.owner, http.MethodPut, at, document{"description": "better"}, http.StatusOK)
	for _, r := range []document{{"type": "cpu", "amount": 700, "unit": "m"}, {"type": "memory", "amount": 512, "unit": "M"}, {"type": "gpu", "amount": 0}} {
		p.call(p.owner, http.MethodPut, at+"/resource-configuration", r, http.StatusOK)
	}
	p.upload(p.owner, http.MethodPut, base+"/v3/services/"+id+"/versions/"+version+"/api-spec", "file", []byte("openapi: 3.0.0"), http.StatusOK)
	changed := p.upload(p.owner, http.MethodPost, base+"/v3/services/"+id+"/versions/"+version+"/source-code", "file", greeter(t, "bye"), http.StatusOK)
	configurations, _ := json.Marshal(changed["serviceDefinitions"].([]any)[0].(map[string]any)["configurations"])
	if changed.text("serviceDefinitions", "description") != "better" || !bytes.Contains(configurations, []byte("700")) || !bytes.Contains(configurations, []byte("512")) {
		t.Errorf("after the second up the service is %v", changed)
	}
	built()

	started := p.call(p.owner, http.MethodPost, base+"/jobs", document{
		"inputData": `{"name": "you"}`, "parameters": `{"show": ""}`, "persistResult": true, "serviceDefinitionId": version,
	}, http.StatusOK)
	if result := p.jobResult(started.text("id")); result.text("bye") != "you" {
		t.Errorf("the job has ended %v, want the new program", result)
	}
	if job := p.call(p.owner, http.MethodGet, base+"/jobs/"+started.text("id"), nil, http.StatusOK); job.text("status") != "SUCCEEDED" {
		t.Errorf("GET jobs/ID = %v", job)
	}
	for _, bad := range []document{{"serviceDefinitionId": version, "inputData": "{"}, {"serviceDefinitionId": version, "inputData": "[1]"}, {"serviceDefinitionId": version, "inputData": `{"nam": 1}`}} {
		p.call(p.owner, http.MethodPost, base+"/jobs", bad, http.StatusBadRequest)
	}
	p.call(p.owner, http.MethodPost, base+"/jobs", document{"serviceDefinitionId": "none"}, http.StatusNotFound)
	other := p.deploy("other", "1.0.0", greeter(t, "hello"), "SUCCESS")
	p.call(p.owner, http.MethodGet, base+"/services/"+other.id+"/versions/"+version+"/build-status", nil, http.StatusNotFound)
}
