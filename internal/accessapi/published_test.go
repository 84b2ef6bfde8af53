package accessapi_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// TestPublishedClients drives the published Python clients, unchanged.
func TestPublishedClients(t *testing.T) {
	t.Parallel()
	p := serve(t)
	venv, err := testenv.Venv("test", "qhub-service==2.0.0")
	p.must(err)
	script := exec.CommandContext(t.Context(), testenv.Program(venv, "python"), "-B", "testdata/published_clients.py", p.url)
	script.Env = append(os.Environ(), "TEST_TOKEN="+p.token, "HOME="+t.TempDir())
	var stderr bytes.Buffer
	script.Stderr = &stderr
	text, err := script.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var report struct {
		Who, Me, Endpoint, Header string
		Tokens                    int
		Accounts, Refused         []string
		Providers                 map[string]bool
	}
	p.must(json.Unmarshal(text, &report))
	if report.Who != "PersonalAccessTokenPrincipal" || report.Me != "owner" || report.Tokens != 1 || !slices.Equal(report.Accounts, []string{"Crew", "owner"}) || !strings.Contains(report.Endpoint, "/gateway/") {
		t.Errorf("the clients report %+v", report)
	}
	if !report.Providers["IBM"] || report.Providers["DWAVE"] {
		t.Errorf("the clients report tokens of %v, want one of IBM", report.Providers)
	}
	if !strings.HasPrefix(report.Header, "Bearer ey") {
		t.Errorf("HubServiceClient sends %.10q, want an access token", report.Header)
	}
	want := []string{"NotFoundError 404", "400", "401", "invalid_client"}
	for i, words := range want {
		if len(report.Refused) != len(want) || !strings.Contains(report.Refused[i], words) {
			t.Errorf("the clients were refused with %q, want %q", report.Refused, want)
			break
		}
	}
	if strings.Contains(stderr.String(), p.token) {
		t.Error("the clients print the token")
	}
	r := authenticated(t.Context(), "", "")
	r.Header.Set("Authorization", report.Header)
	if _, err := p.Authenticate(r); err == nil {
		t.Errorf("the token of a deleted application is valid, want %v", access.ErrUnauthenticated)
	}
}
