package hub_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestPublishedMCP starts the published MCP server, which makes its tools of our
// description, and lists services by it.
func TestPublishedMCP(t *testing.T) {
	testenv.NeedEverything(t)
	python := testenv.PythonOf("3.13")
	if python == "" {
		t.Skip("the published MCP server needs Python 3.12 or newer")
	}
	venv, err := testenv.VenvOf(python, "mcp", "qhub-mcp==1.19.0")
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, filepath.Join(t.TempDir(), "data"))
	s := p.deploy("greeter", "1.0.0", greeter(t, "hello"), "SUCCESS")
	mcp := exec.CommandContext(t.Context(), testenv.Program(venv, "qhub-mcp"))
	mcp.Env = append(os.Environ(), "QHUB_API_BASE_URL="+p.url, "KQH_PERSONAL_ACCESS_TOKEN="+p.owner, "HOME="+t.TempDir())
	var stderr bytes.Buffer
	mcp.Stderr = &stderr
	in, err := mcp.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := mcp.StdoutPipe()
	if err == nil {
		err = mcp.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(out)
	for _, c := range []struct{ message, want string }{
		{`"id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"t","version":"1"}}`, "serverInfo"},
		{`"method":"notifications/initialized"`, ""},
		{`"id":2,"method":"tools/list"`, "hub_createServiceJob"},
		{`"id":3,"method":"tools/call","params":{"name":"hub_getServices","arguments":{}}`, s.id},
		{`"id":4,"method":"tools/call","params":{"name":"hub_getService","arguments":{"id":"` + s.id + `"}}`, "gatewayEndpoint"},
	} {
		if _, err := fmt.Fprintf(in, "{\"jsonrpc\":\"2.0\",%s}\n", c.message); err != nil {
			t.Fatal(err)
		}
		if c.want == "" {
			continue
		}
		answer, err := answers.ReadString('\n')
		if err != nil || !strings.Contains(answer, c.want) {
			t.Fatalf("the MCP server answers %s with %.500s, %v, want %s\n%s", c.message, answer, err, c.want, stderr.String())
		}
	}
	_ = in.Close()
	_, _ = answers.WriteTo(&stderr)
	if err := mcp.Wait(); err != nil {
		t.Errorf("the MCP server has ended: %v", err)
	}
}
