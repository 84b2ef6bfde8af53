//go:build unix

package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/runner"
	"github.com/qhubctl/qhubctl/internal/runner/process"
	"github.com/qhubctl/qhubctl/internal/server"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

// nameVariable makes the test binary a service, which says its name.
const nameVariable = "QHUBCTL_TEST_SERVICE"

func TestMain(m *testing.M) {
	if name := os.Getenv(nameVariable); name != "" {
		service.Main(func(_ context.Context, in struct {
			Text string `json:"text"`
		}) (any, error) {
			return map[string]string{"service": name, "text": in.Text}, nil
		})
	}
	os.Exit(m.Run())
}

const echoDocument = `{"schemaVersion": 1, "sdk": {"language": "go", "name": "qhubctl", "version": "0.1.0"}, "entrypoint": "echo",
	"parameters": [{"name": "text", "kind": "input", "check": "schema", "required": true, "schema": {"type": "string"}}]}`

// echo is a revision whose executions say its name.
func echo(t *testing.T, name string) *engine.Revision {
	t.Helper()
	described, err := signature.Parse([]byte(echoDocument))
	if err != nil {
		t.Fatal(err)
	}
	return &engine.Revision{
		ID: "1", Name: name, Signature: described,
		Load: func(context.Context, *engine.Revision) (runner.Runner, error) {
			env := runner.BaseEnvironment()
			env[nameVariable] = name
			return &process.Runner{Program: process.Binary{Path: os.Args[0]}, Environment: env}, nil
		},
	}
}

// call sends a request and decodes the answer.
func call(t *testing.T, method, url, body string, into any) (status int, location string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("%s %s = %v, want an answer", method, url, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && into != nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s %s = %d %s (%v), want an answer", method, url, response.StatusCode, text, err)
	}
	return response.StatusCode, response.Header.Get("Location")
}

// TestServerOfSeveralServices serves three services in one process, one of them at
// the root. Each runs its own program, and knows its own executions only.
func TestServerOfSeveralServices(t *testing.T) {
	o := options(server.Token{})
	ctx, stop := context.WithCancel(t.Context())
	s, err := server.Listen(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.UseDir(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if err := s.Open(ctx); err != nil {
		t.Fatal(err)
	}
	bases := []string{"/gateway/t/one/1", "", "/gateway/t/one/10"}
	names := []string{"one", "at the root", "another"}
	ended := make(chan error, 1)
	for _, name := range names {
		if err := s.Engine().Service("id of " + name).Activate(echo(t, name)); err != nil {
			t.Fatalf("Activate(%s) = %v, want no error", name, err)
		}
	}
	go func() {
		ended <- s.Serve(ctx, s.NewAPI("id of one", bases[0], nil), s.NewAPI("id of at the root", bases[1], nil), s.NewAPI("id of another", bases[2], nil))
	}()
	locations := make([]string, len(bases))
	for i, base := range bases {
		status, location := call(t, http.MethodPost, s.URL()+base+"/", fmt.Sprintf(`{"text": "to %s"}`, names[i]), nil)
		if status != http.StatusCreated || !strings.HasPrefix(location, base+"/") {
			t.Fatalf("POST %s/ = %d, Location %q; want 201 below it", base, status, location)
		}
		locations[i] = location
	}
	for i, location := range locations {
		var state struct{ Status string }
		for begun := time.Now(); state.Status != "SUCCEEDED" && time.Since(begun) < time.Minute; {
			call(t, http.MethodGet, s.URL()+location+"?wait=10s", "", &state)
		}
		var result map[string]any
		call(t, http.MethodGet, s.URL()+location+"/result", "", &result)
		if result["service"] != names[i] || result["text"] != "to "+names[i] {
			t.Errorf("the result of %s is %v, want its own", location, result)
		}
		id := location[strings.LastIndex(location, "/"):]
		for other, base := range bases {
			want := http.StatusNotFound
			if other == i {
				want = http.StatusOK
			}
			if status, _ := call(t, http.MethodGet, s.URL()+base+id, "", nil); status != want {
				t.Errorf("GET %s = %d, want %d", base+id, status, want)
			}
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Serve() = %v, want no error after the context has ended", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close() = %v, want no error", err)
	}
}
