package datapoolapi_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestPublishedClients uses data pools with the published Python clients, unchanged.
func TestPublishedClients(t *testing.T) {
	t.Parallel()
	p := serve(t)
	o, err := p.CreateOrganization(t.Context(), p.owner, "Team", "")
	p.must(err)
	venv, err := testenv.Venv("test", "qhub-service==2.0.0")
	p.must(err)
	script := exec.CommandContext(t.Context(), testenv.Program(venv, "python"), "-B", "testdata/published_clients.py", p.url, o.ID)
	script.Env = append(os.Environ(), "TEST_TOKEN="+p.token, "HOME="+t.TempDir())
	var stderr bytes.Buffer
	script.Stderr = &stderr
	text, err := script.Output()
	if err != nil {
		t.Fatalf("the clients = %v\n%s", err, stderr.String())
	}
	var got, want map[string]any
	p.must(json.Unmarshal(text, &got))
	p.must(json.Unmarshal([]byte(`{
		"made": ["Models", "short", "long", ["ml"], "OWNER", true], "changed": ["Weights", "d", ["a", "b"]], "listed": ["Weights"],
		"files": [["a.bin", "a.bin", 10], ["upload", "upload", 11], ["weights.txt", "weights.txt", 3000000]],
		"types": ["application/octet-stream", "text/plain", true], "downloaded": [true, true], "left": ["a.bin", "weights.txt"],
		"grant": [2, true], "shares": ["MAINTAINER", true, "2999-01-01 00:00:00", "TIME_BASED"], "unshared": 0,
		"refused": [404, 404, 400, 404, 404]
	}`), &want))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the clients report %s, want %v", text, want)
	}
	if strings.Contains(stderr.String(), p.token) {
		t.Error("the clients print the token")
	}
}
