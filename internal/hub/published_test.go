package hub_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestPublishedClients deploys, publishes, subscribes and calls a service with the
// published Python clients, unchanged.
func TestPublishedClients(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	venv, err := testenv.Venv("test", "qhub-service==2.0.0")
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "source.zip")
	if err := os.WriteFile(archive, greeter(t, "hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := exec.CommandContext(t.Context(), testenv.Program(venv, "python"), "-B", "testdata/published_clients.py", p.url, archive)
	script.Env = append(os.Environ(), "TEST_TOKEN="+p.owner, "HOME="+t.TempDir())
	var stderr bytes.Buffer
	script.Stderr = &stderr
	text, err := script.Output()
	if err != nil {
		t.Fatalf("the clients = %v\n%s", err, stderr.String())
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("the clients have printed %s: %v", text, err)
	}
	var want map[string]any
	err = json.Unmarshal([]byte(`{
		"build": ["SUCCESS", "PUSH_IMAGE", "SUCCESS"], "log": ["Unpacked 1 files", "Describing the service"],
		"service": ["The Greeter", "Says it louder.", "ACCESSIBLE", "1.0.0"], "listed": [["greeter", "ACCESSIBLE"]], "openapi": "3.1.0",
		"result": {"hello": "you", "token": "19", "mode": "slow"}, "execution": ["SUCCEEDED", ["hello you"]],
		"environment": {"MODE": "slow", "SECRET_EXTRA": "[redacted]"}, "shown": ["20", false],
		"jobs": [1, true, true], "executions": ["j", "t"], "job": {"hello": "job", "token": "16", "mode": "slow"},
		"rerun": [{"name": "again"}, {"name": "again"}, ["kept", "x"], true], "kept": true, "lineage": [1, true, false],
		"share": ["MAINTAINER", true, true, "MAINTAINER"],
		"market": ["greeter"], "statistics": [1, true], "limits": "m",
		"logs": ["hello job", "hello job", false], "refused": [404, 404, 404, 404, 400]
	}`), &want)
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if !reflect.DeepEqual(got[name], want[name]) {
			t.Errorf("the clients report %s = %v, want %v", name, got[name], want[name])
		}
	}
	if strings.Contains(stderr.String(), p.owner) {
		t.Error("the clients print the token")
	}
}
