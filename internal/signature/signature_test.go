package signature_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/signature"
)

func TestEnvNameConformance(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../conformance/env_names.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ Parameter, Env string }
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 30 {
		t.Fatalf("there are %d cases, want at least 30", len(cases))
	}
	for _, c := range cases {
		if got := signature.EnvName(c.Parameter); got != c.Env {
			t.Errorf("EnvName(%q) = %q, want %q", c.Parameter, got, c.Env)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ document, want string }{
		"no JSON":        {`hello`, "not a service description"},
		"version":        {`{"schemaVersion": 9}`, "version 9"},
		"kind":           {doc(`{"name":"a","kind":"colour"}`), `unknown kind "colour"`},
		"name twice":     {doc(`{"name":"a","kind":"input"},{"name":"a","kind":"secret"}`), `two parameters are called "a"`},
		"name with dot":  {doc(`{"name":"a.b","kind":"input"}`), `"a.b" cannot be the name`},
		"reserved name":  {doc(`{"name":"$secrets","kind":"input"}`), `"$secrets" cannot be the name`},
		"path as name":   {doc(`{"name":"../x","kind":"datapool"}`), `cannot be the name`},
		"collision":      {doc(`{"name":"apiKey","kind":"secret"},{"name":"api_key","kind":"secret"}`), `"apiKey" and "api_key" would both come from SECRET_API_KEY`},
		"error document": {`{"schemaVersion":1,"error":{"kind":"missing","message":"there is no run"}}`, "there is no run"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := signature.Parse([]byte(c.document))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestParseReturnsTheSDKsErrorUnchanged(t *testing.T) {
	t.Parallel()
	_, err := signature.Parse([]byte(`{"schemaVersion":1,"error":{"kind":"syntax","message":"m","traceback":"tb","parameter":"p"}}`))
	described, ok := errors.AsType[*signature.DescribeError](err)
	if !ok || *described != (signature.DescribeError{Kind: "syntax", Message: "m", Traceback: "tb", Parameter: "p"}) {
		t.Errorf("Parse(an error document) = %#v, want the DescribeError", err)
	}
}

func TestCompileRefusesSchemasThatReachOutside(t *testing.T) {
	t.Parallel()
	for _, ref := range []string{"file:///etc/passwd", "http://127.0.0.1/x", "#/$defs/Nowhere"} {
		s := parse(t, `{"name":"a","kind":"input","check":"schema","schema":{"$ref":"`+ref+`"}}`, "")
		if _, err := s.Compile(); !errors.Is(err, signature.ErrDocument) {
			t.Errorf("Compile(a reference %s) = %v, want ErrDocument", ref, err)
		}
	}
}

func doc(parameters string) string {
	return `{"schemaVersion":1,"parameters":[` + parameters + `]}`
}

func parse(t testing.TB, parameters, defs string) *signature.Signature {
	t.Helper()
	if defs == "" {
		defs = `{}`
	}
	s, err := signature.Parse([]byte(`{"schemaVersion":1,"parameters":[` + parameters + `],"$defs":` + defs + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
