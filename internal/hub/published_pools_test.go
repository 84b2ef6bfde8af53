package hub_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestPublishedClientsWithDataPools calls a service in Python, by the gateway with grants
// and as a job, with the published Python clients, unchanged. The service calls the
// platform with the token of its execution.
func TestPublishedClientsWithDataPools(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	venv, err := testenv.Venv("test", "qhub-service==2.0.0")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("testdata/reader.py")
	if err != nil {
		t.Fatal(err)
	}
	s := p.deploy("reader", "1.0.0", archiveOf(t, map[string][]byte{"src/__init__.py": nil, "src/program.py": program}), "SUCCESS")
	p.call(p.owner, http.MethodPut, "/qc-catalog/services/"+s.id+"/publication", document{"scope": "INTERNAL"}, http.StatusNoContent)
	script := exec.CommandContext(t.Context(), testenv.Program(venv, "python"), "-B", "testdata/published_pools.py", p.url, s.id)
	script.Env = append(os.Environ(), "TEST_TOKEN="+p.owner, "HOME="+t.TempDir())
	var stderr bytes.Buffer
	script.Stderr = &stderr
	text, err := script.Output()
	if err != nil {
		t.Fatalf("the clients = %v\n%s", err, stderr.String())
	}
	var got, want map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("the clients have printed %s: %v", text, err)
	}
	err = json.Unmarshal([]byte(`{
		"default": ["SUCCEEDED", {"files": {"weights.txt": "0.5"}}], "version": 1,
		"modified": ["SUCCEEDED", {"files": {"weights.txt": "0.5"}}], "pool": [["made.txt", 1], ["weights.txt", 2]],
		"viewed": ["SUCCEEDED", {"files": {"made.txt": "from the client", "weights.txt": "0.5from the client"}}],
		"child": ["SUCCEEDED", {"calls": [200, 404, 403, 403, 201, 400],
			"files": {"made.txt": "from the client", "weights.txt": "0.5from the client"}}],
		"job": {"made.txt": "from the client", "weights.txt": "0.5from the client"}, "refused": [400, true]
	}`), &want)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the clients report %s, want %v", text, want)
	}
	if strings.Contains(stderr.String(), p.owner) {
		t.Error("the clients print the token")
	}
}
