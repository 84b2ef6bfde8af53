//go:build unix

package engine_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/engine"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// withOwn is a server that has values itself: of the parameter api_token, if
// token is not empty, and of variables that no service declares.
func withOwn(t *testing.T, token string, others ...plaintext.Named) *server {
	t.Helper()
	s := serve(t, t.TempDir())
	service := probeService(t)
	service.Resolvers.Secrets = &ownSecrets{
		find: func(signature.Parameter) (plaintext.Bytes, string, bool) {
			return plaintext.FromString(token), "/home/operator/.env", token != ""
		},
		masked: func() []plaintext.Named {
			if token == "" {
				return others
			}
			return append(others, plaintext.Named{Name: "SECRET_API_TOKEN", Value: plaintext.FromString(token)})
		},
	}
	s.set(service)
	return s
}

func named(name, value string) plaintext.Named {
	return plaintext.Named{Name: name, Value: plaintext.FromString(value)}
}

// What the service does not declare is for the operator's eyes: a caller who
// guesses it must not learn that it was right.
func TestUndeclaredSecretsAreMaskedInLogsOnly(t *testing.T) {
	t.Parallel()
	s := withOwn(t, "", named("SECRET_OTHER", "undeclared-4711"), named("SECRET_DEBUG", "true"), named("SECRET_PIN", "5432"))
	e := s.run(action("return").with("text", "undeclared-4711 5432 true"))
	if got := string(s.result(e.ID).Value); !strings.Contains(got, `"undeclared-4711 5432 true"`) {
		t.Errorf("Result = %s, want what the caller sent", got)
	}
	e = s.run(action("say").with("text", "it is undeclared-4711"))
	if log := s.text(e.ID); strings.Contains(log, "4711") || !strings.Contains(log, "it is [redacted]") {
		t.Errorf("the log is %q, want the value masked", log)
	}
}

// The server's own value of a declared secret is masked in results too, also
// where the request brings another.
func TestDeclaredSecretsAreMaskedInResults(t *testing.T) {
	t.Parallel()
	s := withOwn(t, "declared-of-server")
	for name, b := range map[string]body{"own": action("return"), "of the request": action("return").token("declared-of-request")} {
		e := s.run(b.with("text", "declared-of-server, x"))
		if got := string(s.result(e.ID).Value); !strings.Contains(got, `"[redacted], x"`) {
			t.Errorf("Result(%s) = %s, want the value masked", name, got)
		}
	}
}

func TestExecutionTokenIsMaskedInEverySink(t *testing.T) {
	t.Parallel()
	const token = "token-of-an-execution"
	s := withOwn(t, "", named(signature.ExecutionToken, token))
	e := s.run(action("return").with("text", token))
	if got := string(s.result(e.ID).Value); strings.Contains(got, token) {
		t.Errorf("Result = %s, want the token masked", got)
	}
	e = s.run(action("say").with("text", token))
	if log := s.text(e.ID); strings.Contains(log, token) {
		t.Errorf("the log is %q, want the token masked", log)
	}
	e = s.run(action(token)) // there is no such action: a problem document
	if text, err := e.Problem.MarshalJSON(); err != nil || strings.Contains(string(text), token) {
		t.Errorf("Problem = %s, %v, want the token masked", text, err)
	}
}

// Truth values keep their types, and of a number the log says
// that it is a text now.
func TestDeclaredWeakSecretsAndTypes(t *testing.T) {
	t.Parallel()
	for token, notice := range map[string]string{
		"true": "NOTICE the secret api_token is a word of JSON: only logs are masked for it",
		"20":   "NOTICE the secret api_token is shorter than 4 characters and is not masked",
		"5432": "NOTICE the secret api_token is shorter than 8 characters: it is masked only where it stands as a separate word",
	} {
		s := withOwn(t, token)
		path, letGo := pipe(t)
		id := s.submit(action("hold").with("text", path))
		letGo()
		e := s.wait(id)
		if got := string(s.result(e.ID).Value); !strings.Contains(got, `"held": true`) {
			t.Errorf("Result(%s) = %s, want a truth value", token, got)
		}
		if log := s.text(e.ID); !strings.Contains(log, notice) {
			t.Errorf("the log is %q, want %q", log, notice)
		}
	}
}

// A value that cannot be a secret is refused by its name: of a request at once,
// of the server's own when the execution starts.
func TestValuesThatAreNoSecrets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ value, want string }{
		"not UTF-8": {"canary-Pr\xfcfung", "is not UTF-8 text"},
		"NUL":       {"canary-\x00", "holds a NUL character"},
		"too long":  {strings.Repeat("canary-", 10_000), "is longer than 64 KiB"},
	} {
		e := withOwn(t, c.value).run(action("nothing"))
		if e.Status != execution.Failed || e.Problem == nil {
			t.Fatalf("run(own value, %s) = %s, want FAILED with a problem", name, e.Status)
		}
		text, err := e.Problem.MarshalJSON()
		if err != nil || e.Problem.Title != "Secret refused" || !strings.Contains(e.Problem.Detail, "The secret api_token of the server "+c.want) {
			t.Errorf("Problem(own value, %s) = %s, %v, want the name and %q", name, text, err, c.want)
		}
		if strings.Contains(string(text), "canary") || strings.Contains(string(text), "/home/operator") {
			t.Errorf("Problem(own value, %s) = %s, which shows the value or its place", name, text)
		}
	}
	s := serveProbe(t)
	for name, c := range map[string]struct{ body, want string }{
		"not UTF-8": {"{\"action\":\"nothing\",\"$secrets\":{\"api_token\":\"canary-\xfc\"}}", "$secrets.api_token: is not UTF-8 text"},
		"a tag":     {`{"action":"nothing","$secrets":{"api_token":"canary-of-a-tag"},"$tags":["good","run-canary-of-a-tag"]}`, "$tags[1]: holds a secret of this request"},
		"encoded":   {`{"action":"nothing","$secrets":{"api_token":"canary-of-a-tag"},"$tags":["Y2FuYXJ5LW9mLWEtdGFn"]}`, "$tags[0]: holds a secret of this request"},
		"NUL":       {`{"action":"nothing","$secrets":{"api_token":"canary-\u0000"}}`, "$secrets.api_token: holds a NUL character"},
		"too long":  {string(action("nothing").token(strings.Repeat("canary-", 10_000)).json()), "$secrets.api_token: is longer than 64 KiB"},
	} {
		_, err := s.probe().Submit(t.Context(), engine.Submission{Body: []byte(c.body)})
		if errs, ok := errors.AsType[signature.Errors](err); !ok || !strings.Contains(errs.Error(), c.want) || strings.Contains(errs.Error(), "canary") {
			t.Errorf("Submit(%s) = %v, want %q", name, err, c.want)
		}
	}
}

func TestAnEmptySecretIsAValue(t *testing.T) {
	t.Parallel()
	s := serveProbe(t)
	e := s.run(action("return").with("text", "x").token(""))
	if log := s.text(e.ID); e.Status != execution.Succeeded || !strings.Contains(log, "NOTICE the secret api_token is empty") {
		t.Errorf("run(empty secret) = %s with log %q, want SUCCEEDED and a notice", e.Status, log)
	}
}
