package hub_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/hub"
	"github.com/qhubctl/qhubctl/internal/reference"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// startReferring starts a platform that resolves references to files below a folder, each
// account in a folder of its id, by the real program.
func startReferring(t *testing.T, files string) *vaulted {
	program := testenv.References(t)
	policy, err := reference.NewPolicy([]string{"file://{tenant}/"}, files, nil)
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := reference.NewResolver(reference.Options{Policy: policy, Program: program, Keep: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resolver.Close() })
	return vaultedOn(startWith(t, filepath.Join(t.TempDir(), "data"), func(o *hub.RunOptions) { o.References = resolver }), t)
}

// TestReferences stores references, and looks at what executions get and say.
func TestReferences(t *testing.T) {
	files := t.TempDir()
	v := startReferring(t, files)
	service := "?serviceId=" + v.id
	_, after, _ := strings.Cut(v.endpoint, "/gateway/")
	tenant, _, _ := strings.Cut(after, "/")
	dir := filepath.Join(files, tenant)
	v.values = []string{"the-first-value-of-a-file", "the-second-value-of-a-file"}
	put := func(value string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "token"), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(v.values[0])
	text := "ref+file://" + tenant + "/token"
	set := v.call(v.owner, http.MethodPut, secretsPath+"/api_token"+service, document{"reference": text}, http.StatusOK)
	if got := set.text("newest", "reference"); got != text {
		t.Errorf("a stored reference is shown as %q, want %q", got, text)
	}
	v.secret("db_password", "serviceId="+v.id, "the-password-value", nil)
	v.wants("with a reference", v.bearer, document{}, map[string]string{"api_token": v.values[0], "db_password": "the-password-value"})
	put(v.values[1])
	v.wants("with a new value in the file", v.bearer, document{}, map[string]string{"api_token": v.values[1], "db_password": "the-password-value"})

	// A text of a request is never a reference.
	literally := document{"$secrets": document{"api_token": text}}
	v.wants("with a text like a reference in the request", v.owner, literally, map[string]string{"api_token": text, "db_password": "the-password-value"})

	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if got := v.failure(v.bearer); !strings.Contains(got, text) || !strings.Contains(got, "no such file") {
		t.Errorf("without the file the execution ends with %s, want the reference and the reason", got)
	}
	if got := v.failure(v.stranger); strings.Contains(got, tenant+"/token") || !strings.Contains(got, "api_token could not be fetched") && !strings.Contains(got, "The secret api_token") {
		t.Errorf("an application of another account gets %s, want the parameter without the reference", got)
	}

	for _, refused := range []string{"ref+vault://kv/a#/b", "ref+file:///etc/passwd", "ref+file://other/token", "ref+exec://sh/x", "ref+file://" + tenant + "/../x", "plain"} {
		v.call(v.owner, http.MethodPut, secretsPath+"/api_token"+service, document{"reference": refused}, http.StatusBadRequest)
	}
	v.call(v.owner, http.MethodPut, secretsPath+"/api_token"+service, document{"reference": text, "value": "x"}, http.StatusBadRequest)
	v.call(v.organization, http.MethodPut, secretsPath+"/mine", document{"reference": text}, http.StatusBadRequest)
	v.noneHold(v.values...)
}

// failure runs an execution that fails, and returns its problem.
func (v *vaulted) failure(token string) string {
	v.Helper()
	status, problem, log := v.ended(token, v.endpoint, document{})
	if status != "FAILED" || strings.Contains(log, "api_token is") {
		v.Errorf("an execution without its secret is %s with the log %q, want FAILED before it runs", status, log)
	}
	return fmt.Sprint(problem)
}

// TestReferencesNeedTheOperator: without the operator's leave no reference is stored.
func TestReferencesNeedTheOperator(t *testing.T) {
	v := startVaulted(t)
	v.call(v.owner, http.MethodPut, secretsPath+"/token", document{"reference": "ref+vault://kv/a#/b"}, http.StatusBadRequest)
}
