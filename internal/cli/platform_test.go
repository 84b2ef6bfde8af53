package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/accessapi"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/auditapi"
	"github.com/qhubctl/qhubctl/internal/platformapi"
	"github.com/qhubctl/qhubctl/internal/runner/runnertest"
	"github.com/qhubctl/qhubctl/internal/store/sqlite"
	"github.com/qhubctl/qhubctl/internal/vault"
)

// A hub is the platform API at an address, and a home for a user of it.
type hub struct {
	*testing.T
	*access.Service
	url, home string
	token     string // of the owner
	breaks           // connections
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{T: t, home: t.TempDir()}
	ring, err := vault.FromText([]byte("1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	h.must(err)
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), sqlite.Options{})
	h.must(err)
	t.Cleanup(func() { h.must(db.Close()) })
	h.Service, err = access.Open(t.Context(), access.Options{Store: db.Access(), Keyring: ring})
	h.must(err)
	t.Cleanup(func() { h.must(h.Close()) })
	api := platformapi.New(platformapi.Options{Auth: h.Service, Audit: db.Audit()})
	signer := audit.NewSigner(ring)
	if err := db.SignAudit(t.Context(), signer, nil, true); err != nil {
		t.Fatal(err)
	}
	auditapi.Register(api, auditapi.Options{Store: db.Audit(), Signer: signer})
	accessapi.Register(api, accessapi.Options{Access: h.Service})
	h.withPools(api, db)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.breaking(w, r, api) }))
	t.Cleanup(server.Close)
	h.url = server.URL
	value, err := h.OwnerToken(t.Context(), "owner")
	h.must(err)
	h.token = string(value.Reveal())
	return h
}

func (h *hub) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// run runs the program with a text as its standard input.
func (h *hub) run(code int, input string, args ...string) string {
	h.Helper()
	return h.runWith(code, input, nil, args...)
}

func (h *hub) runWith(code int, input string, env []string, args ...string) string {
	h.Helper()
	command := exec.CommandContext(h.Context(), "qhubctl", args...)
	command.Env = append([]string{"HOME=" + h.home, "PATH=" + os.Getenv("PATH")}, env...)
	command.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	err := command.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok || command.ProcessState.ExitCode() != code {
		h.Fatalf("qhubctl %q = %v %v\n%s\n%s, want exit code %d", args, exit, err, out.String(), errs.String(), code)
	}
	if strings.Contains(errs.String(), h.token) {
		h.Errorf("qhubctl %q says the token", args)
	}
	return out.String() + errs.String()
}

func (h *hub) wantText(text string, want ...string) {
	h.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			h.Errorf("the output lacks %q:\n%s", w, text)
		}
	}
}

// TestPlatformCommands goes from a login to an access key that works, and out again.
func TestPlatformCommands(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.wantText(h.run(2, "", "apps", "list"), "not logged in", "qhubctl login")
	h.wantText(h.run(2, "", "login", h.url, "--token", h.token), "--token takes @FILE")
	h.wantText(h.run(2, "wrong\n", "login", h.url), "does not accept this token")
	file := filepath.Join(t.TempDir(), "token")
	h.must(os.WriteFile(file, []byte(h.token+"\n"), 0o644))
	h.wantText(h.run(2, "", "login", h.url, "--token", "@"+file), "chmod 600")
	h.must(os.Chmod(file, 0o600))
	h.wantText(h.run(0, "", "login", h.url+"/", "--token", "@"+file), "logged in to "+h.url+" as owner")
	saved := filepath.Join(h.home, ".config", "qhubctl-platform", "login.json")
	info, err := os.Stat(saved)
	h.must(err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the login has mode %o, want 600", info.Mode().Perm())
	}
	h.wantText(h.run(0, "", "apps", "create", "shop"), "shop")
	h.run(2, "", "apps", "create", "shop") // the name is taken
	h.wantText(h.run(0, "", "access-keys", "list", "shop", "--reveal"), "qhk_", "qhs_")
	h.wantText(h.run(0, "", "__complete", "apps", "rm", "sh"), "shop\n")
	if out := h.run(0, "", "__complete", "apps", "rm", "x"); strings.Contains(out, "shop") {
		t.Errorf("the completion of x is %q, want nothing", out)
	}
	listed := h.run(0, "", "access-keys", "list", "shop", "--output", "json")
	if strings.Contains(listed, "qhs_") {
		t.Errorf("access-keys list without --reveal shows a secret:\n%s", listed)
	}
	var keys []struct{ AccessKeyID string }
	h.must(json.Unmarshal([]byte(listed), &keys))
	save := filepath.Join(t.TempDir(), "key.env")
	h.wantText(h.run(0, "", "access-keys", "rotate", "shop", keys[0].AccessKeyID, "--grace", "0s", "--save", save), "written to")
	text, err := os.ReadFile(save)
	h.must(err)
	id, secret, ok := strings.Cut(strings.TrimSpace(strings.TrimPrefix(string(text), "ACCESS_KEY_ID=")), "\nSECRET_ACCESS_KEY=")
	if !ok {
		t.Fatalf("--save wrote %q, want an id and a secret", text)
	}
	h.gets(id, secret, http.StatusOK)
	h.run(0, "", "access-keys", "revoke", "shop", id)
	h.gets(id, secret, http.StatusUnauthorized)
	h.wantText(h.run(0, "", "access-keys", "create", "shop"), "SECRET_ACCESS_KEY=qhs_")
	h.wantText(h.run(0, "", "tokens", "create", "ci", "--scopes", "read"), "qhp_")
	h.wantText(h.run(0, "", "tokens", "list"), "ci", "read")
	h.run(0, "", "apps", "rm", "shop")
	h.wantText(h.run(0, "", "logout"), "logged out")
	if _, err := os.Stat(saved); err == nil {
		t.Error("after the logout there is a login")
	}
	h.wantText(h.run(2, "", "login", h.url, "--token", "@"+file), "does not accept this token") // revoked
}

// TestAuditCommands reads and checks the log of what the commands have changed, with
// anchors, and in files that were edited.
func TestAuditCommands(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	file := filepath.Join(t.TempDir(), "token")
	h.must(os.WriteFile(file, []byte(h.token+"\n"), 0o600))
	h.run(0, "", "login", h.url, "--token", "@"+file)
	h.wantText(h.run(0, "", "audit", "verify"), "no entries yet")
	h.run(0, "", "apps", "create", "shop")
	h.run(2, "", "apps", "create", "shop") // the name is taken: nothing has changed
	h.run(0, "", "access-keys", "create", "shop")
	dir := t.TempDir()
	anchor, exported := filepath.Join(dir, "anchor"), filepath.Join(dir, "audit.jsonl")
	verified := h.run(0, "", "audit", "verify", "--save", anchor)
	h.wantText(verified, "2 entries are unchanged", "signed with the key", "no anchor is known")
	key := regexp.MustCompile("the key ([0-9a-f]{32})").FindStringSubmatch(verified)[1]
	h.run(0, "", "tokens", "create", "ci", "--scopes", "read", "--save", filepath.Join(dir, "ci"))
	listed := h.run(0, "", "audit", "list")
	h.wantText(listed, "createApplication", "name=shop", "accessKey=", "createAccessToken", "scopes=read", "/qc-catalog/applications", "DONE")
	h.wantText(h.run(0, "", "audit", "list", "--action", "createApplication", "--output", "json"), `"name": "shop"`)
	lines := h.run(0, "", "audit", "export")
	for _, secret := range []string{h.token, "qhs_", "qhp_"} {
		if strings.Contains(listed+lines, secret) {
			t.Errorf("the audit log has a secret that begins %.4s", secret)
		}
	}
	h.wantText(h.run(0, "", "audit", "verify", "--anchor", "@"+anchor), "3 entries are unchanged")
	h.run(2, "", "audit", "verify", "--anchor", "3")

	all := strings.SplitAfter(strings.TrimSpace(lines)+"\n", "\n") // three entries and the signed head
	for name, edited := range map[string]string{
		"":              lines,
		"changed":       strings.Replace(lines, "shop", "shed", 1),
		"removed":       all[0] + all[2],
		"another order": all[0] + all[2] + all[1],
		"cut":           all[0] + all[1] + all[3],
		"not signed":    all[0] + all[1] + all[2],
		"longer":        lines + all[2],
		"another head":  all[0] + all[1] + all[2] + strings.Replace(all[3], `"number":3`, `"number":2`, 1),
		"no export":     "nothing\n",
	} {
		h.must(os.WriteFile(exported, []byte(edited), 0o600))
		code := 1
		if name == "" {
			code = 0
		}
		h.run(code, "", "audit", "verify", "--file", exported, "--anchor", "@"+anchor, "--key", key)
	}
	h.must(os.WriteFile(exported, []byte(all[0]+all[1]+all[2]), 0o600))
	h.wantText(h.run(0, "", "audit", "verify", "--file", exported), "is not signed", "no anchor is known")
	h.wantText(h.run(0, "", "audit", "export", "--format", "cef", "--name", "shop"), "CEF:0|qhubctl|qhubctl|", "|createApplication|3|", "outcome=DONE", "msg=", "name\\=shop")
	h.wantText(h.run(0, "", "audit", "list", "--since", "1h", "--name", "ci"), "createAccessToken")
	if got := h.run(0, "", "audit", "list", "--until", "1h"); strings.Contains(got, "createAccessToken") {
		t.Errorf("audit list --until 1h = %s, want none of this hour", got)
	}
	h.run(2, "", "audit", "list", "--since", "yesterday")

	// A token without the scope admin may not read it, and what it tries is recorded.
	h.run(0, "", "login", h.url, "--token", "@"+filepath.Join(dir, "ci"))
	h.wantText(h.run(2, "", "audit", "list"), "audit:read")
	h.run(2, "", "apps", "create", "other")
	h.run(0, "", "login", h.url, "--token", "@"+file)
	h.wantText(h.run(0, "", "audit", "list", "--limit", "1"), "createApplication", "DENIED")
}

// gets gets a token by an access key.
func (h *hub) gets(id, secret string, want int) {
	h.Helper()
	r, err := http.NewRequestWithContext(h.Context(), http.MethodPost, h.url+"/token", strings.NewReader("grant_type=client_credentials"))
	h.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(id, secret)
	response, err := http.DefaultClient.Do(r)
	h.must(err)
	h.must(response.Body.Close())
	if response.StatusCode != want {
		h.Errorf("POST /token = %d, want %d", response.StatusCode, want)
	}
}

// TestOrganizationCommands invites a person, who logs in by the invitation.
func TestOrganizationCommands(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.run(0, h.token, "login", h.url)
	h.run(0, "", "org", "create", "Team")
	invitation := filepath.Join(t.TempDir(), "invitation")
	h.run(0, "", "org", "members", "add", "Team", "--role", "maintainer", "--save", invitation)
	ada := &hub{T: t, Service: h.Service, url: h.url, home: t.TempDir(), token: h.token}
	h.wantText(ada.run(0, "", "login", h.url, "--invitation", "@"+invitation, "--user", "ada"), "as ada")
	h.wantText(ada.run(2, "", "login", h.url, "--invitation", "@"+invitation, "--user", "grace"), "invitation is not valid")
	h.wantText(ada.run(0, "", "context"), "* ", "Team", "MAINTAINER")
	h.wantText(ada.run(0, "", "__complete", "context", "T"), "Team\n")
	h.wantText(ada.run(0, "", "__complete", "org", "members", "list", "T"), "Team\n")
	h.wantText(ada.run(0, "", "context", "Team"), "act for Team")
	ada.run(0, "", "apps", "create", "shop")
	h.wantText(ada.run(0, "", "access-keys", "list", "shop", "--reveal"), "qhk_")
	h.wantText(ada.run(2, "", "access-keys", "create", "shop"), "access-keys:manage")
	if out := h.run(0, "", "apps", "list"); strings.Contains(out, "shop") {
		t.Errorf("the personal account lists the application of the organization:\n%s", out)
	}
	var orgs []struct{ ID string }
	h.must(json.Unmarshal([]byte(h.run(0, "", "org", "list", "--output", "json")), &orgs))
	h.wantText(h.runWith(0, "", []string{"KQH_ORGANIZATION_ID=" + orgs[0].ID}, "apps", "list"), "shop")
	ci := []string{"QHUBCTL_SERVER=" + h.url, "QHUBCTL_TOKEN=" + h.token, "QHUBCTL_ORGANIZATION=" + orgs[0].ID, "HOME=" + t.TempDir()}
	h.wantText(h.runWith(0, "", ci, "org", "members", "list", "Team"), "ada", "owner")
	ada.run(0, "", "context", "ada")
	h.run(0, "", "org", "rm", "Team")
}

// A failure that is not about the token leaves the login alone.
func TestLoginSurvivesFailures(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.run(0, h.token, "login", h.url)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	h.run(2, h.token, "login", broken.URL)
	broken.Close()
	h.wantText(h.run(2, h.token, "login", broken.URL), "does not answer")
	h.run(0, "", "apps", "list")
}

// The published clients read what `login --for-published` writes.
func TestLoginForPublished(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	out := h.run(0, h.token, "login", h.url, "--for-published")
	_, file, ok := strings.Cut(out, "export KQH_CONFIG_FILE_PATH='")
	file, _, _ = strings.Cut(file, "'")
	info, err := os.Stat(file)
	if !ok || err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("login --for-published prints %q: %v, want the line to a private file", out, err)
	}
	python := runnertest.Interpreter(t, "qhub-service==2.0.0")
	script := exec.CommandContext(t.Context(), python, "-B", "-c", `
import sys
from qhub.api.credentials import DefaultCredentialsProvider
from qhub.api.platform.client import HubPlatformClient
token = DefaultCredentialsProvider().get_access_token()
print(HubPlatformClient(base_url=sys.argv[1], api_key=token).users.get_my_accounts()[0].display_name)`, h.url+"/qc-catalog")
	script.Env = []string{"HOME=" + h.home, "KQH_CONFIG_FILE_PATH=" + file}
	if text, err := script.CombinedOutput(); err != nil || strings.TrimSpace(string(text)) != "owner" {
		t.Errorf("the published client says %s, %v, want the owner", text, err)
	}
	h.run(0, "", "logout")
	if _, err := os.Stat(file); err == nil {
		t.Error("after the logout the file for the published clients is there")
	}
}
