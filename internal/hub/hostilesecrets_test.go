package hub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/testenv"
)

//go:generate go test . -run ^TestHostileSecretsDocumented$ -update-docs

// A raid is an attempt to get a stored secret, or to use it in place of its owner.
type raid struct {
	name, happens string
	run           func(*raided)
}

// raided is the owner's service teller, whose secrets are stored in all places, and an
// attacker with another account. The owner has another service with the same parameters.
type raided struct {
	*vaulted
	files string // the folder of references
	// theirs is the attacker's service, and other that of the owner.
	theirs, other deployed
}

func startRaided(t *testing.T) *raided {
	files := t.TempDir()
	r := &raided{vaulted: startReferring(t, files), files: files}
	r.other = r.deploy("other", "1.0.0", teller(t), "SUCCESS")
	owner := r.owner
	r.owner = r.organization // deploys for the attacker's account
	r.theirs = r.deploy("teller", "1.0.0", teller(t), "SUCCESS")
	r.owner = owner
	service := "serviceId=" + r.id
	r.secret("api_token", service, "the-token-of-the-owner", nil)
	r.secret("shared", "", "the-secret-of-the-account", nil)
	r.call(r.owner, http.MethodPut, secretsPath+"/shared/bindings/"+r.id+"/db_password", nil, http.StatusNoContent)
	r.secret("extra", service+"&applicationId="+r.app, "the-secret-of-the-subscription", nil)
	r.call(r.owner, http.MethodPut, "/qc-catalog/managed-services/"+r.other.id+"/runtime-configuration",
		document{"environment": document{"SECRET_EXTRA": "the-variable-of-the-owner"}}, http.StatusNoContent)
	r.call(r.owner, http.MethodPut, "/qc-catalog/my/provider-tokens/IBM", document{"type": "IBM", "value": "the-provider-token-of-the-owner"}, http.StatusNoContent)
	r.values = append(r.values, "the-variable-of-the-owner", "the-provider-token-of-the-owner")
	return r
}

// refused calls the platform, wants one of two statuses, and no secret in the answer.
func (r *raided) refused(token, method, path string, in any, want ...int) {
	r.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		r.Fatal(err)
	}
	status, answer := r.send(token, method, path, "application/json", body)
	ok := false
	for _, w := range want {
		ok = ok || status == w
	}
	if !ok {
		r.Errorf("%s %s = %d %.300s, want %v", method, path, status, answer, want)
	}
	for _, value := range r.values {
		if strings.Contains(string(answer), value) {
			r.Errorf("%s %s answers with a stored secret", method, path)
		}
	}
}

// raids are all attempts. Each leaves the secrets of the owner unchanged.
var raids = []raid{
	{"the parameters of another service", "status 400: the names of parameters give a service only its own secrets, in the same account and in another", func(r *raided) {
		r.refused(r.owner, http.MethodPost, r.other.path(), document{}, http.StatusBadRequest)
		r.refused(r.organization, http.MethodPost, r.theirs.path(), document{}, http.StatusBadRequest)
	}},
	{"a binding to a secret of another account", "status 404, by the name and by the id of either service", func(r *raided) {
		r.refused(r.organization, http.MethodPut, secretsPath+"/shared/bindings/"+r.theirs.id+"/api_token", nil, http.StatusNotFound)
		r.refused(r.organization, http.MethodPut, secretsPath+"/shared/bindings/"+r.id+"/extra", nil, http.StatusNotFound)
		r.refused(r.owner, http.MethodPut, secretsPath+"/shared/bindings/"+r.theirs.id+"/api_token", nil, http.StatusNotFound)
	}},
	{"reads and changes in another account", "status 404; by an application, status 401 or 403", func(r *raided) {
		of := "?serviceId=" + r.id
		for _, call := range []struct{ method, path string }{
			{http.MethodGet, "/api_token"}, {http.MethodPut, "/api_token"}, {http.MethodPost, "/api_token/rotate"}, {http.MethodDelete, "/api_token"},
			{http.MethodPut, "/api_token/override"}, {http.MethodPut, "/api_token/hook"}, {http.MethodPost, "/api_token/hook/run"}, {http.MethodPost, "-import"}, {http.MethodGet, "-check"},
		} {
			body := document{"value": "of-the-attacker", "override": "ANY", "command": "x", "secrets": document{"api_token": "of-the-attacker"}}
			r.refused(r.organization, call.method, secretsPath+call.path+of, body, http.StatusNotFound, http.StatusBadRequest)
			for _, token := range []string{r.bearer, r.stranger} {
				r.refused(token, call.method, secretsPath+call.path+of, body, http.StatusUnauthorized, http.StatusForbidden)
			}
		}
		r.refused(r.organization, http.MethodPut, secretsPath+"/extra"+of+"&applicationId="+r.app, document{"value": "x"}, http.StatusNotFound)
		r.refused(r.organization, http.MethodPut, secretsPath+"/extra?serviceId="+r.theirs.id+"&applicationId="+r.app, document{"value": "x"}, http.StatusNotFound)
	}},
	{"names that lead elsewhere", "status 400 or 404: a name is neither a path nor a pattern", func(r *raided) {
		for _, name := range []string{"..", "../shared", "a/b", "*", "shared'--", strings.Repeat("x", 600), "ｓhared", "SECRET_EXTRA", "IBM"} {
			r.refused(r.organization, http.MethodGet, secretsPath+"/"+url.PathEscape(name), nil, http.StatusNotFound, http.StatusBadRequest, http.StatusMovedPermanently, http.StatusTemporaryRedirect)
		}
	}},
	{"variables and provider tokens by the routes of secrets", "status 404: they are listed, and changed by their own routes only", func(r *raided) {
		of := "?serviceId=" + r.other.id
		for _, name := range []string{"/SECRET_EXTRA" + of, "/IBM", "/SECRET_EXTRA"} {
			r.refused(r.owner, http.MethodGet, secretsPath+name, nil, http.StatusNotFound)
			r.refused(r.owner, http.MethodDelete, secretsPath+name, nil, http.StatusNotFound)
		}
		r.refused(r.owner, http.MethodPost, secretsPath+"/IBM/rotate", document{"value": "x"}, http.StatusNotFound)
		r.refused(r.owner, http.MethodPut, secretsPath+"/IBM/bindings/"+r.id+"/extra", nil, http.StatusNotFound)
	}},
	{"a secret of the caller in place of the owner's", "status 400, and an entry in the owner's audit log", func(r *raided) {
		for _, name := range []string{"api_token", "db_password"} {
			r.refused(r.stranger, http.MethodPost, r.path(), document{"$secrets": document{name: "of-the-attacker"}}, http.StatusBadRequest)
		}
	}},
	{"guesses in tags and inputs", "the answer to a right guess is that to a wrong one", func(r *raided) {
		// Tags are stored in the clear, so it is not one of the values that no file may have.
		r.call(r.owner, http.MethodPut, secretsPath+"/extra?serviceId="+r.id, document{"value": "the-guessed-value-of-the-owner"}, http.StatusOK)
		defer r.call(r.owner, http.MethodDelete, secretsPath+"/extra?serviceId="+r.id, nil, http.StatusNoContent)
		var answers []string
		for _, guess := range []string{"the-guessed-value-of-the-owner", "the-guessed-value-of-the-OWNER"} {
			status, answer := r.send(r.stranger, http.MethodPost, r.path()+"?tags="+guess, "application/json", []byte(`{"unknown":"`+guess+`"}`))
			answers = append(answers, fmt.Sprint(status, strings.ReplaceAll(string(answer), guess, "")))
			e := r.call(r.stranger, http.MethodPost, r.path(), document{"$tags": []string{guess}}, http.StatusCreated)
			result := r.result(r.stranger, r.path(), e.text("id"))
			answers[len(answers)-1] += fmt.Sprint(result["extra"], r.call(r.stranger, http.MethodGet, r.path()+"/"+e.text("id"), nil, http.StatusOK)["status"])
		}
		if answers[0] != answers[1] {
			r.Errorf("a right guess is answered %s, and a wrong one %s: want the same", answers[0], answers[1])
		}
	}},
	{"references to files of the server", "status 400 outside the folder of the account; a link that leads out of it fails the execution", func(r *raided) {
		_, after, _ := strings.Cut(r.theirs.path(), "/gateway/")
		account, _, _ := strings.Cut(after, "/")
		of := "?serviceId=" + r.theirs.id
		for _, text := range []string{
			"ref+file:///etc/passwd", "ref+file://" + r.dir + "/master.key", "ref+file://" + account + "/../x", "ref+file://" + account + "/%2e%2e/x",
			"ref+exec://sh", "ref+envsubst://$HOME", "ref+file://" + account + "\\..\\x", "ref+sops://" + account + "/x", "secretref+file://" + account + "/x",
		} {
			r.refused(r.organization, http.MethodPut, secretsPath+"/api_token"+of, document{"reference": text}, http.StatusBadRequest)
		}
		dir := filepath.Join(r.files, account)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			r.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(r.dir, "owner-token"), filepath.Join(dir, "link")); err != nil {
			r.Fatal(err)
		}
		r.call(r.organization, http.MethodPut, secretsPath+"/api_token"+of, document{"reference": "ref+file://" + account + "/link"}, http.StatusOK)
		r.call(r.organization, http.MethodPut, secretsPath+"/db_password"+of, document{"value": "x-of-the-attacker"}, http.StatusOK)
		status, result, log := r.ended(r.organization, r.url+r.theirs.path(), document{})
		if text := fmt.Sprint(result, log); status != "FAILED" || strings.Contains(text, strings.TrimSpace(read(r, filepath.Join(r.dir, "owner-token")))) {
			r.Errorf("an execution with a link out of the folder is %s: %s", status, text)
		}
	}},
	{"references in inputs and secrets of a request", "are texts, and nothing is fetched", func(r *raided) {
		text := "ref+file:///etc/passwd"
		e := r.call(r.owner, http.MethodPost, r.path(), document{"$secrets": document{"api_token": text}}, http.StatusCreated)
		if result := r.result(r.owner, r.path(), e.text("id")); result.text("api_token") != digestOf(text) {
			r.Errorf("the service has got another text than %q", text)
		}
	}},
	{"programs and addresses in hooks", "status 400: the operator lists both", func(r *raided) {
		of := "?serviceId=" + r.theirs.id
		r.call(r.organization, http.MethodPut, secretsPath+"/extra"+of, document{"value": "x-of-the-attacker"}, http.StatusOK)
		for _, hook := range []document{
			{"command": "/bin/sh"}, {"command": "sh -c id"}, {"command": "../x"}, {"webhook": "http://169.254.169.254/latest"}, {"webhook": r.url + "/qc-catalog/secrets"},
			{"webhook": "file:///etc/passwd"}, {"webhook": "gopher://127.0.0.1/x"}, {"command": "x", "webhook": "https://example.org"},
		} {
			r.refused(r.organization, http.MethodPut, secretsPath+"/extra/hook"+of, hook, http.StatusBadRequest)
		}
		r.refused(r.organization, http.MethodPost, secretsPath+"/extra/hook/run"+of, nil, http.StatusNotFound, http.StatusConflict, http.StatusBadRequest)
	}},
	{"the description of a service", "callers of other accounts learn neither version nor place", func(r *raided) {
		_, text := r.send(r.stranger, http.MethodGet, r.path()+"/openapi.json", "", nil)
		if strings.Contains(string(text), "version 1") || strings.Contains(string(text), "Stored for") {
			r.Errorf("a stranger reads %s, want no version of a secret", text)
		}
	}},
}

func read(r *raided, path string) string {
	r.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		r.Fatal(err)
	}
	return string(text)
}

// TestHostileStoredSecrets has another account, its application, and another service try
// to get or to replace stored secrets. Afterwards the owner's executions have the same
// secrets as before, and no file has one in the clear.
func TestHostileStoredSecrets(t *testing.T) {
	r := startRaided(t)
	want := map[string]string{"api_token": "the-token-of-the-owner", "db_password": "the-secret-of-the-account"}
	r.wants("before the attacks", r.owner, document{}, want)
	for _, a := range raids {
		t.Run(a.name, func(t *testing.T) {
			before := r.TB
			r.TB = t
			defer func() { r.TB = before }()
			a.run(r)
			r.wants("afterwards", r.owner, document{}, want)
		})
	}
	r.noneHold(r.values...)
}

// TestHostileSecretsDocumented compares the page about security with the attacks.
func TestHostileSecretsDocumented(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("| Attack on stored secrets | What happens |\n|---|---|\n")
	for _, a := range raids {
		fmt.Fprintf(&b, "| %s | %s |\n", a.name, a.happens)
	}
	testenv.DocumentPart(t, filepath.Join("..", "..", "docs", "security.md"), "attacks on stored secrets", b.String())
}
