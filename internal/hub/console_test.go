package hub_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// hostileText is what a service can have in its log, result, tags and file names.
const hostileText = `"><script>window.struck=1</script><img src=x onerror="window.struck=1">`

// pagesOf are all pages of the console, with the things of a service and an execution.
func pagesOf(s deployed, app, pool, execution string) []string {
	return []string{
		"/", "/services/" + s.id, "/services/" + s.id + "/revisions/" + s.revision, "/executions", "/executions?status=SUCCEEDED&since=1h",
		"/executions/" + execution, "/secrets", "/secrets?serviceId=" + s.id, "/secrets/api_token?serviceId=" + s.id, "/pools", "/pools/" + pool,
		"/applications", "/applications/" + app, "/members", "/audit", "/audit?action=secret&outcome=DONE", "/server",
	}
}

// A visitor is a browser without a screen.
type visitor struct {
	*platform
	client *http.Client
}

func (p *platform) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.Fatal(err)
	}
	return &visitor{p, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (v *visitor) do(method, path, contentType, body string, header map[string]string) (answered, string) {
	v.Helper()
	r, err := http.NewRequestWithContext(v.Context(), method, v.url+path, strings.NewReader(body))
	if err != nil {
		v.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,*/*")
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	response, err := v.client.Do(r)
	if err != nil {
		v.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		v.Fatal(err)
	}
	return answered{response.StatusCode, response.Header}, string(text)
}

// answered is an answer without its body.
type answered struct {
	StatusCode int
	Header     http.Header
}

const form = "application/x-www-form-urlencoded"

func (v *visitor) signIn(token string) answered {
	v.Helper()
	response, _ := v.do(http.MethodPost, "/sign-in", form, url.Values{"token": {token}, "to": {"/executions"}}.Encode(), nil)
	return response
}

// cookie is the value of a cookie that the visitor keeps.
func (v *visitor) cookie(name string) string {
	u, err := url.Parse(v.url)
	if err != nil {
		v.Fatal(err)
	}
	for _, c := range v.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func TestConsoleIsSafe(t *testing.T) {
	v := startVaulted(t)
	v.secret("api_token", "serviceId="+v.id, "the-token-of-the-service", nil)
	execution := v.call(v.owner, http.MethodPost, v.endpoint, document{"$secrets": document{"db_password": "the-password-of-a-request"}, "$tags": []string{hostileText}}, http.StatusCreated).text("id")
	v.result(v.owner, v.endpoint, execution)
	pool := v.newPool(v.owner, hostileText[:60], map[string]string{"x.html": hostileText})
	pages := pagesOf(v.deployed, v.app, pool, execution)

	someone := v.visitor()
	for _, path := range pages {
		response, _ := someone.do(http.MethodGet, path, "", "", nil)
		if to := response.Header.Get("Location"); response.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/sign-in") {
			t.Errorf("GET %s without a session = %d to %q, want the sign-in", path, response.StatusCode, to)
		}
	}
	if response := someone.signIn("qhp_wrong"); response.StatusCode != http.StatusUnauthorized || someone.cookie("qhubctl_session") != "" {
		t.Errorf("a sign-in with a wrong token = %d, want 401 and no session", response.StatusCode)
	}
	if response := someone.signIn(v.owner); response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != "/executions" {
		t.Fatalf("a sign-in = %d to %q, want /executions", response.StatusCode, response.Header.Get("Location"))
	}
	for _, path := range pages {
		response, text := someone.do(http.MethodGet, path, "", "", nil)
		if response.StatusCode != http.StatusOK || !strings.Contains(text, "Sign out") {
			t.Errorf("GET %s = %d, want a page", path, response.StatusCode)
		}
		policy := response.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "script-src 'self'; style-src 'self'") || strings.Contains(policy, "unsafe") || response.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("GET %s has the policy %q and Cache-Control %q", path, policy, response.Header.Get("Cache-Control"))
		}
		for _, never := range []string{v.owner, "the-token-of-the-service", "the-password-of-a-request", "<script>window", "<img src=x"} {
			if strings.Contains(text, never) {
				t.Errorf("GET %s shows %q", path, never)
			}
		}
		var zipped strings.Builder
		w := gzip.NewWriter(&zipped)
		_, _ = io.WriteString(w, text)
		if _ = w.Close(); zipped.Len() > 50_000 {
			t.Errorf("GET %s has %d bytes zipped, want at most 50,000", path, zipped.Len())
		}
	}
	if session := someone.cookie("qhubctl_session"); strings.Contains(session, v.owner) {
		t.Error("the cookie shows the token")
	}

	// Changes need the CSRF word, and a page of this site.
	body := `{"name": "made by a form"}`
	word := someone.cookie("qhubctl_csrf")
	for name, header := range map[string]map[string]string{
		"no word":      {},
		"a wrong word": {"X-CSRF-Token": "x" + word},
		"another site": {"X-CSRF-Token": word, "Sec-Fetch-Site": "cross-site"},
		"other origin": {"X-CSRF-Token": word, "Origin": "http://evil.example"},
	} {
		if response, _ := someone.do(http.MethodPost, "/qc-catalog/applications", "application/json", body, header); response.StatusCode != http.StatusForbidden {
			t.Errorf("a change with %s = %d, want 403", name, response.StatusCode)
		}
		if response, _ := someone.do(http.MethodPost, "/sign-out", form, "", header); response.StatusCode != http.StatusForbidden {
			t.Errorf("a sign-out with %s = %d, want 403", name, response.StatusCode)
		}
	}
	if response, text := someone.do(http.MethodPost, "/qc-catalog/applications", "application/json", body, map[string]string{"X-CSRF-Token": word}); response.StatusCode != http.StatusCreated {
		t.Errorf("a change with the word = %d %s, want 201", response.StatusCode, text)
	}

	// A browser that runs no script sends no secret.
	for _, path := range pages {
		_, text := someone.do(http.MethodGet, path, "", "", nil)
		for _, input := range strings.Split(text, "<input ")[1:] {
			if input, _, _ = strings.Cut(input, ">"); strings.Contains(input, `type="password"`) && strings.Contains(input, " name=") {
				t.Errorf("GET %s has the input %s, want none with a secret and a name", path, input)
			}
		}
	}

	// No browser can make a session, or use another's after its end.
	session := someone.cookie("qhubctl_session")
	for _, forged := range []string{"", "x", session[:len(session)-2] + "AA", session[:40]} {
		response, _ := v.visitor().do(http.MethodGet, "/audit", "", "", map[string]string{"Cookie": "qhubctl_session=" + forged})
		if response.StatusCode != http.StatusSeeOther {
			t.Errorf("the session %.10q… = %d, want the sign-in", forged, response.StatusCode)
		}
	}
	if response, _ := someone.do(http.MethodPost, "/sign-out", form, "csrf="+word, nil); response.StatusCode != http.StatusSeeOther {
		t.Errorf("a sign-out = %d, want 303", response.StatusCode)
	}
	if response, _ := v.visitor().do(http.MethodGet, "/audit", "", "", map[string]string{"Cookie": "qhubctl_session=" + session}); response.StatusCode != http.StatusSeeOther {
		t.Errorf("a session that was signed out = %d, want the sign-in", response.StatusCode)
	}

	// Another account sees nothing of this one.
	other := v.visitor()
	other.signIn(v.organization)
	for _, path := range pages {
		response, text := other.do(http.MethodGet, path, "", "", nil)
		if strings.Contains(path[1:], "/") && response.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s of another account = %d, want 404", path, response.StatusCode)
		}
		for _, never := range []string{"teller", execution} {
			if response.StatusCode == http.StatusOK && strings.Contains(text, never) && !strings.Contains(path, never) {
				t.Errorf("GET %s of another account shows %q", path, never)
			}
		}
	}

	if response, text := other.do(http.MethodGet, "/server", "", "", nil); response.StatusCode != http.StatusForbidden || strings.Contains(text, `href="/server"`) {
		t.Errorf("GET /server of another person = %d, want 403 and no link to it", response.StatusCode)
	}

	// A session ends with its token.
	made := v.call(v.owner, http.MethodPost, "/user-service/me/access-tokens", document{"name": "short", "scopes": []string{"read", "admin"}}, http.StatusCreated)
	short := v.visitor()
	short.signIn(made.text("value"))
	if response, _ := short.do(http.MethodGet, "/audit", "", "", nil); response.StatusCode != http.StatusOK {
		t.Errorf("a page with a second token = %d, want 200", response.StatusCode)
	}
	v.call(v.owner, http.MethodDelete, "/user-service/me/access-tokens/"+made.text("id"), nil, http.StatusNoContent)
	if response, _ := short.do(http.MethodGet, "/audit", "", "", nil); response.StatusCode != http.StatusSeeOther {
		t.Errorf("a page after the end of the token = %d, want the sign-in", response.StatusCode)
	}
}

// TestConsoleCodes begins a session by a code, as `qhubctl open` does.
func TestConsoleCodes(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	if status, _ := p.visitorCode("qhp_wrong"); status != http.StatusUnauthorized {
		t.Errorf("a code for a wrong token = %d, want 401", status)
	}
	status, code := p.visitorCode(p.owner)
	if status != http.StatusOK || strings.Contains(code, p.owner) {
		t.Fatalf("a code = %d %q", status, code)
	}
	for i, want := range []int{http.StatusSeeOther, http.StatusUnauthorized} {
		v := p.visitor()
		if response, _ := v.do(http.MethodPost, "/sign-in", form, url.Values{"code": {code}}.Encode(), nil); response.StatusCode != want {
			t.Errorf("use %d of a code = %d, want %d", i+1, response.StatusCode, want)
		}
	}
	v := p.visitor()
	if response, _ := v.do(http.MethodGet, "/audit", "", "", map[string]string{"Cookie": "qhubctl_session=" + code}); response.StatusCode != http.StatusSeeOther {
		t.Errorf("a code as a session = %d, want the sign-in", response.StatusCode)
	}
	if response, _ := v.do(http.MethodPost, "/sign-in", form, url.Values{"token": {p.owner}, "to": {"//evil.example/x"}}.Encode(), nil); response.Header.Get("Location") != "/" {
		t.Errorf("a sign-in leads to %q, want the first page", response.Header.Get("Location"))
	}
}

func (p *platform) visitorCode(token string) (int, string) {
	p.Helper()
	response, text := p.visitor().do(http.MethodPost, "/console/codes", "", "", map[string]string{"X-Auth-Token": token})
	_, code, _ := strings.Cut(text, `"code":"`)
	code, _, _ = strings.Cut(code, `"`)
	return response.StatusCode, code
}

// TestConsoleIsSmall loads the first page with all its files, as a browser does.
func TestConsoleIsSmall(t *testing.T) {
	v := startVaulted(t)
	visitor := v.visitor()
	visitor.signIn(v.owner)
	_, page := visitor.do(http.MethodGet, "/", "", "", nil)
	total, files := 0, append([]string{"/"}, regexp.MustCompile(`(?:src|href)="(/[^"]*\.(?:css|js|svg))"`).FindAllString(page, -1)...)
	for i, file := range files {
		if i > 0 {
			_, file, _ = strings.Cut(strings.TrimSuffix(file, `"`), `"`)
		}
		response, body := visitor.do(http.MethodGet, file, "", "", map[string]string{"Accept-Encoding": "gzip"})
		if response.StatusCode != http.StatusOK {
			t.Errorf("GET %s = %d, want 200", file, response.StatusCode)
		}
		total += len(body)
	}
	if len(files) < 5 || total > 150_000 {
		t.Errorf("the first page and its files %q have %d bytes, want at least five files and at most 150,000 bytes", files, total)
	}
}
