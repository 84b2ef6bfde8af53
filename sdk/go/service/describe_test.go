package service_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/sdk/go/datapool"
	"github.com/qhubctl/qhubctl/sdk/go/secret"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

var uploads = of(func(context.Context, struct {
	_        struct{}       `description:"Uploads a model."`
	Data     modelRequest   `json:"data" description:"what to upload"`
	APIToken secret.Value   `json:"api_token" description:"of the registry"`
	Proxy    *secret.Value  `json:"proxyPassword"`
	Models   datapool.Pool  `json:"models"`
	More     *datapool.Pool `json:"more"`
}) (object, error) {
	return nil, nil
})

func TestDescription(t *testing.T) {
	text := uploads.describe(t)
	const want = `{
		"schemaVersion": 1,
		"sdk": {"language": "go", "name": "qhubctl/sdk/go", "version": "` + service.Version + `"},
		"entrypoint": "main",
		"description": "Uploads a model.",
		"parameters": [
			{"name": "data", "kind": "input", "required": true, "description": "what to upload",
				"schema": {"$ref": "#/$defs/modelRequest", "description": "what to upload"}, "check": "schema"},
			{"name": "api_token", "kind": "secret", "required": true, "env": "SECRET_API_TOKEN", "description": "of the registry"},
			{"name": "proxyPassword", "kind": "secret", "required": false, "nullable": true, "env": "SECRET_PROXY_PASSWORD"},
			{"name": "models", "kind": "datapool", "required": true},
			{"name": "more", "kind": "datapool", "required": false, "nullable": true}
		],
		"result": {"type": "object", "additionalProperties": true},
		"$defs": {"modelRequest": {"type": "object", "properties": {"model_name": {"type": "string"}, "endpoint": {"type": "string"}},
			"required": ["model_name", "endpoint"], "additionalProperties": false}}
	}`
	var got, expected bytes.Buffer
	if err := errors.Join(json.Compact(&got, []byte(text)), json.Compact(&expected, []byte(want))); err != nil {
		t.Fatal(err)
	}
	// The order of the members of a parameter does not count.
	if !sameMembers(t, got.Bytes(), expected.Bytes()) {
		t.Errorf("the description is\n%s\nwant\n%s", got.Bytes(), expected.Bytes())
	}
	if _, err := signature.Parse([]byte(text)); err != nil {
		t.Error(err)
	}
}

func sameMembers(t *testing.T, a, b []byte) bool {
	t.Helper()
	normal := func(text []byte) string {
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		sorted, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(sorted)
	}
	return normal(a) == normal(b)
}

func TestDescribeToAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "description.json")
	o := uploads.in(t, world{args: []string{"--describe=" + file}, Env: map[string]string{"SECRET_API_TOKEN": "tok-123456"}})
	text, err := os.ReadFile(file)
	if err != nil || o.exit != 0 || o.stdout != "" || len(o.files) != 0 {
		t.Fatalf("--describe=FILE: exit code %d, %q, %v (%v), want the file alone", o.exit, o.stdout, o.files, err)
	}
	if string(text) != uploads.describe(t) {
		t.Error("the file differs from standard output")
	}
	if o.env["SECRET_API_TOKEN"] == "" {
		t.Error("describing takes secrets")
	}
	if o := uploads.in(t, world{args: []string{"--describe=" + t.TempDir()}}); o.exit != 1 || o.stderr == "" {
		t.Errorf("--describe=FOLDER: exit code %d, want 1 and an error", o.exit)
	}
}

func TestServicesThatCannotBeDescribed(t *testing.T) {
	never := errors.New("run was called")
	for want, p := range map[string]program{
		`collision|api_key|the secrets "apiKey" and "api_key" would both come from SECRET_API_KEY`: of(func(context.Context, struct {
			A secret.Value  `json:"apiKey"`
			B *secret.Value `json:"api_key"`
		}) (any, error) {
			return nil, never
		}),
		`annotation|data|data.token: a secret cannot be a part of an input`: of(func(context.Context, struct {
			Data struct {
				Token secret.Value `json:"token"`
			} `json:"data"`
		}) (any, error) {
			return nil, never
		}),
		`annotation|data|data[]: a secret cannot be a part of an input`: of(func(context.Context, struct {
			Data []*secret.Value `json:"data"`
		}) (any, error) {
			return nil, never
		}),
		`annotation|data|data.Value: a secret cannot`: of(func(context.Context, struct {
			Data struct{ secret.Value } `json:"data"`
		}) (any, error) {
			return nil, never
		}),
		`annotation|data|data: a data pool cannot`: of(func(context.Context, struct {
			Data map[string]datapool.Pool `json:"data"`
		}) (any, error) {
			return nil, never
		}),
		`annotation|C|C: the type chan int cannot be JSON`: of(func(context.Context, struct{ C chan int }) (any, error) { return nil, never }),
		`annotation|a.b|"a.b" cannot be the name of a parameter`: of(func(context.Context, struct {
			A int `json:"a.b"`
		}) (any, error) {
			return nil, never
		}),
		`annotation||the input of run must be a struct`:            of(func(context.Context, int) (any, error) { return nil, never }),
		`annotation||the result: the type chan int cannot be JSON`: of(func(context.Context, none) (chan int, error) { return nil, never }),
		`annotation||the result.F: the type func() cannot be JSON`: of(func(context.Context, none) (struct{ F func() }, error) { panic(never) }),
	} {
		fields := strings.SplitN(want, "|", 3)
		o := p.in(t, world{args: []string{"--describe"}})
		_, err := signature.Parse([]byte(o.stdout))
		var failure *signature.DescribeError
		if !errors.As(err, &failure) || o.exit != 1 || failure.Kind != fields[0] || failure.Parameter != fields[1] || !strings.HasPrefix(failure.Message, fields[2]) {
			t.Errorf("exit code %d, %#v, %s, want 1 and %s", o.exit, failure, o.stdout, want)
		}
		o = p.in(t, world{})
		if got := o.problem(t); o.exit != 1 || !strings.HasPrefix(got.Detail, fields[2]) {
			t.Errorf("run: exit code %d, %+v, want 1 and %s", o.exit, got, want)
		}
	}
}

func TestEmbeddedSecretIsAParameter(t *testing.T) {
	type Credentials struct {
		APIToken secret.Value `json:"api_token"`
	}
	o := of(func(_ context.Context, in struct {
		Credentials
		secret.Value
	}) (object, error) {
		one, err := in.APIToken.Unwrap()
		two, err2 := in.Value.Unwrap()
		return object{"n": len(one) + len(two)}, errors.Join(err, err2)
	}).in(t, world{Env: map[string]string{"SECRET_API_TOKEN": "abc", "SECRET_VALUE": "de"}})
	if o.exit != 0 || !sameJSON(o.files["output.json"], `{"n": 5}`) {
		t.Errorf("exit code %d, %v %s, want 5", o.exit, o.files, o.stderr)
	}
}
