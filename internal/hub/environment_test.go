package hub_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretsOfTheEnvironment gives secrets to the executions of a service by its runtime
// configuration.
func TestSecretsOfTheEnvironment(t *testing.T) {
	const declared, other, changed = "declared-value-of-29-letters!", "another-value-of-the-environment", "a-value-set-later"
	p := start(t, filepath.Join(t.TempDir(), "data"))
	made := p.call(p.owner, http.MethodPost, "/qc-catalog/managed-services", document{
		"name": "greeter", "runtimeConfiguration": document{"environment": document{"MODE": "fast", "SECRET_API_TOKEN": declared, "SECRET_OTHER": other}},
	}, http.StatusCreated)
	id := made.text("id")
	kind, body := multipartOf(t, greeter(t, "hello"))
	if status, answer := p.send(p.owner, http.MethodPut, "/qc-catalog/managed-services/"+id+"/source/file", kind, body); status != http.StatusNoContent {
		t.Fatalf("PUT source/file = %d %s", status, answer)
	}
	revisions := p.call(p.owner, http.MethodGet, "/qc-catalog/services/"+id+"/revisions", nil, http.StatusOK)
	p.built(deployed{id: id, revision: revisions.text("list", "id")}, "SUCCESS")
	p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+id+"/publication", document{"scope": "INTERNAL"}, http.StatusNoContent)
	bearer, endpoint := p.application(p.owner, "app", id), made.text("serviceDefinitions", "gatewayEndpoint")

	wants := func(what string, in document, want document) {
		t.Helper()
		e := p.call(bearer, http.MethodPost, endpoint, in, http.StatusCreated)
		result := p.result(bearer, endpoint, e.text("id"))
		for name, value := range want {
			if result[name] != value {
				t.Errorf("%s: the result has %s = %v, want %v", what, name, result[name], value)
			}
		}
		_, log := p.send(bearer, http.MethodGet, endpoint+"/"+e.text("id")+"/log", "", nil)
		text, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{declared, other, changed} {
			if strings.Contains(string(text)+string(log), value) {
				t.Errorf("%s: the result or the log shows a secret: %s %s", what, text, log)
			}
		}
	}
	configure := func(status int, environment document) {
		t.Helper()
		answer := p.call(p.owner, http.MethodPut, "/qc-catalog/managed-services/"+id+"/runtime-configuration", document{"environment": environment}, status)
		if text, _ := json.Marshal(answer); strings.Contains(string(text), changed) {
			t.Errorf("PUT runtime-configuration repeats a value: %s", text)
		}
	}
	read := func(want document) {
		t.Helper()
		definitions := p.call(p.owner, http.MethodGet, "/qc-catalog/services/"+id, nil, http.StatusOK)["serviceDefinitions"].([]any)
		got, _ := json.Marshal(definitions[0].(map[string]any)["runtimeConfiguration"].(map[string]any)["environment"])
		if text, _ := json.Marshal(want); !bytes.Equal(got, text) {
			t.Errorf("the environment reads back as %s, want %s", got, text)
		}
	}

	read(document{"MODE": "fast", "SECRET_API_TOKEN": "[redacted]", "SECRET_OTHER": "[redacted]"})
	wants("both", document{"show": "SECRET_OTHER"}, document{"token": "29", "length": "32", "mode": "fast"})
	wants("a secret of the request", document{"$secrets": document{"api_token": "of-the-request"}}, document{"token": "14"})
	configure(http.StatusNoContent, document{"MODE": "fast", "SECRET_API_TOKEN": "[redacted]", "SECRET_OTHER": changed})
	wants("one kept, one changed", document{"show": "SECRET_OTHER"}, document{"token": "29", "length": "17"})
	for _, bad := range []document{
		{"SECRET_NEW": "[redacted]"}, {"SECRET_API_TOKEN": strings.Repeat("x", 65<<10)}, {"SECRET_API_TOKEN": "a\x00" + changed},
		{"QHUBCTL_TOKEN": changed}, {"SECRET_API_TOKEN": 1}, {"SECRET-API": changed},
	} {
		configure(http.StatusBadRequest, bad)
	}
	wants("after the refusals", document{"show": "SECRET_OTHER"}, document{"token": "29", "length": "17"})
	p.noneHold(declared, other, changed)

	p.stop()
	p = start(t, p.dir)
	endpoint = p.url + "/gateway/" + strings.SplitN(endpoint, "/gateway/", 2)[1]
	wants("after a restart", document{}, document{"token": "29"})
	configure(http.StatusNoContent, document{"SECRET_OTHER": "[redacted]"})
	read(document{"SECRET_OTHER": "[redacted]"})
	wants("one taken away", document{"show": "SECRET_OTHER"}, document{"token": "", "length": "17"})
	p.call(p.owner, http.MethodPut, "/qc-catalog/my/provider-tokens/IBM", document{"type": "IBM", "value": changed}, http.StatusNoContent)
	wants("a provider's token that the service does not get", document{"show": "QISKIT_IBM_TOKEN"}, document{"length": "0"})
	p.call(p.owner, http.MethodPut, "/qc-catalog/managed-services/"+id+"/runtime-configuration", document{"applyProviderTokens": true}, http.StatusNoContent)
	wants("a provider's token", document{"show": "QISKIT_IBM_TOKEN"}, document{"length": "17", "shown": "[redacted]"})
	configure(http.StatusNoContent, document{})
	wants("none", document{"show": "SECRET_OTHER"}, document{"token": "", "length": "0"})

	// A new version begins with the limits and the variables of the one before.
	configure(http.StatusNoContent, document{"MODE": "fast", "SECRET_API_TOKEN": declared})
	p.call(p.owner, http.MethodPut, "/qc-catalog/managed-services/"+id+"/resource-configuration", document{"type": "memory", "amount": 300, "unit": "M"}, http.StatusNoContent)
	next := p.deploy("greeter", "2.0.0", greeter(t, "hello"), "SUCCESS")
	endpoint = p.url + next.path()
	wants("by the next version", document{}, document{"token": "29", "mode": "fast"})
	shown, err := json.Marshal(p.call(p.owner, http.MethodGet, "/qc-catalog/services/"+id, nil, http.StatusOK)["serviceDefinitions"])
	if err != nil || strings.Count(string(shown), `"amount":300`) != 2 {
		t.Errorf("the versions are %s, %v, want both with 300 MB", shown, err)
	}
	p.call(p.owner, http.MethodDelete, "/qc-catalog/services/"+id+"/publication?force=true", nil, http.StatusNoContent)
	p.call(p.owner, http.MethodDelete, "/qc-catalog/services/"+id, nil, http.StatusNoContent)
}

// noneHold looks for values in all files of the data folder.
func (p *platform) noneHold(values ...string) {
	p.Helper()
	err := filepath.WalkDir(p.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // files of executions come and go
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // the same
		}
		for _, value := range values {
			if bytes.Contains(content, []byte(value)) {
				p.Errorf("%s holds a secret", path)
			}
		}
		return nil
	})
	if err != nil {
		p.Fatal(err)
	}
}
