//go:build unix

package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A service in Go is built, served, and built again when it changes. A change that
// does not compile leaves the previous revision active.
func TestServeAServiceInGo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "svc")
	if _, errs, code := call(t, "init", dir, "--lang", "go"); code != 0 {
		t.Fatal(errs)
	}
	s := serveAny(t, dir)
	token := "api_token=@" + fileOf(t, theSecret)
	start := func() string {
		out, errs, _ := s.qhubctl("executions", "start", "--secret", token, "--wait", "-d", `{"data": {"message": "hello"}}`)
		return out + errs
	}
	if said := start(); !strings.Contains(said, `"message":"hello"`) {
		t.Errorf("it said %s", said)
	}
	path := filepath.Join(dir, "main.go")
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []struct{ old, text, says string }{
		{"func main", "func absent", "still serving the previous revision"},
		{"Message: in.Data.Message", `Message: "changed to " + in.Data.Message`, "reloaded svc"},
	} {
		text := bytes.Replace(program, []byte(change.old), []byte(change.text), 1)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		until(t, change.says, s.said.String)
	}
	if said := start(); !strings.Contains(said, `"changed to hello"`) {
		t.Errorf("the new service said %s", said)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	s.wantNoSecretSaid(s.said.String())
}
