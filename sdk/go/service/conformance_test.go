package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/sdk/go/datapool"
	"github.com/qhubctl/qhubctl/sdk/go/secret"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

type none = struct{}

type object map[string]any

type color string

func (color) JSONSchema() json.RawMessage { return json.RawMessage(`{"enum": ["red", "blue"]}`) }

type point struct {
	X int     `json:"x"`
	Y float64 `json:"y" default:"0.5"`
}

type oneNumber struct {
	N int `json:"n"`
}

type oneSecret struct {
	APIToken secret.Value `json:"api_token"`
}

type optionalSecret struct {
	APIToken *secret.Value `json:"api_token"`
}

type onePool struct {
	Models datapool.Pool `json:"models"`
}

type optionalPool struct {
	Models *datapool.Pool `json:"models"`
}

type endpoint struct {
	Endpoint string `json:"endpoint"`
}

type modelRequest struct {
	ModelName string `json:"model_name"`
	Endpoint  string `json:"endpoint"`
}

func returns[Out any](out Out) program {
	return of(func(context.Context, none) (Out, error) { return out, nil })
}

func fails(err error) program {
	return of(func(context.Context, none) (any, error) { return nil, err })
}

// services are the programs of the recorded cases, in Go.
var services = map[string]program{
	"no_params": returns(object{"ok": true}),
	"guide_secret": of(func(_ context.Context, in struct {
		Data     endpoint     `json:"data"`
		APIToken secret.Value `json:"api_token"`
	}) (object, error) {
		token, err := in.APIToken.Unwrap()
		return object{"endpoint": in.Data.Endpoint, "length": len(token)}, err
	}),
	"guide_two_secrets": of(func(_ context.Context, in struct {
		Data struct {
			FetchWeather bool `json:"fetch_weather"`
			FetchStocks  bool `json:"fetch_stocks"`
		} `json:"data"`
		WeatherAPIKey secret.Value `json:"weather_api_key"`
		StockAPIKey   secret.Value `json:"stock_api_key"`
	}) (map[string]string, error) {
		got := map[string]string{}
		if in.Data.FetchWeather {
			key, err := in.WeatherAPIKey.Unwrap()
			if err != nil {
				return nil, err
			}
			got["w"] = key[:2]
		}
		if in.Data.FetchStocks {
			return nil, errors.New("stocks were not asked for")
		}
		return got, nil
	}),
	"guide_datapool": of(func(_ context.Context, in struct {
		Data     modelRequest  `json:"data"`
		APIToken secret.Value  `json:"api_token"`
		Models   datapool.Pool `json:"models"`
	}) (object, error) {
		content, err := in.Models.ReadFile(in.Data.ModelName)
		return object{"n": len(content), "name": in.Models.Name()}, err
	}),
	"camel_secret": of(func(_ context.Context, in struct {
		Token secret.Value `json:"ibmToken"`
	}) (object, error) {
		token, err := in.Token.Unwrap()
		return object{"n": len(token)}, err
	}),
	"missing_secret": of(func(context.Context, oneSecret) (int, error) { return 1, nil }),
	"empty_secret": of(func(_ context.Context, in oneSecret) (object, error) {
		token, err := in.APIToken.Unwrap()
		return object{"v": token == ""}, err
	}),
	"optional_secret_missing": of(isNoSecret),
	"optional_secret_pipe":    of(isNoSecret),
	"optional_secret_set": of(func(_ context.Context, in optionalSecret) (object, error) {
		token, err := in.APIToken.Unwrap()
		return object{"n": len(token)}, err
	}),
	"double_unwrap": of(func(_ context.Context, in oneSecret) (string, error) {
		if _, err := in.APIToken.Unwrap(); err != nil {
			return "", fmt.Errorf("the first time: %w", err)
		}
		return in.APIToken.Unwrap()
	}),
	"redacted_str": of(func(_ context.Context, in oneSecret) (object, error) {
		v := in.APIToken
		return object{
			"str": v.String(), "repr": fmt.Sprintf("%#v", v), "fmt": fmt.Sprint(v), "pct": fmt.Sprintf("%s %#v", v, v), //nolint:gocritic // the case needs Sprint
			"in_list": fmt.Sprint([]secret.Value{v}), "itself": v, "locked": v.IsLocked(),
		}, nil
	}),
	"str_output":     returns("hi"),
	"int_output":     returns(3),
	"bool_output":    returns(false),
	"float_output":   returns(1.5),
	"none_output":    returns[any](nil),
	"list_output":    returns([]any{1, "a", nil}),
	"model_output":   returns(point{1, 0.5}),
	"dict_of_models": returns(map[string]point{"p": {1, 0.5}}),
	"dataclass_output": returns(struct {
		A int    `json:"a"`
		B string `json:"b"`
	}{1, "x"}),
	"enum_output":         returns(map[string]color{"c": "red"}),
	"tuple_set_output":    returns(map[string][2]int{"t": {1, 2}}),
	"raise_value_error":   fails(&ValueError{"bad thing"}),
	"raise_empty":         fails(&KeyError{}),
	"raise_handler_error": fails(&service.Problem{Title: "Title", Detail: "Detail", Extensions: map[string]any{"code": 7}}),
	"handler_error_reserved": fails(&service.Problem{
		Title: "T", Extensions: map[string]any{"status": 1},
	}),
	"missing_input_default": of(func(_ context.Context, in struct {
		N int `json:"n" default:"4"`
	}) (object, error) {
		return object{"n": in.N}, nil
	}),
	"missing_input_required": of(echoNumber),
	"missing_input_optional": of(func(_ context.Context, in struct {
		N *int `json:"n"`
	}) (object, error) {
		return object{"n": in.N}, nil
	}),
	"missing_input_model_defaults": of(func(_ context.Context, in struct {
		M struct {
			A int `json:"a" default:"2"`
		} `json:"m"`
	}) (any, error) {
		return in.M, nil
	}),
	"bad_input": of(echoNumber),
	"bad_model": of(func(_ context.Context, in struct {
		P point `json:"p"`
	}) (object, error) {
		return object{"n": in.P.X}, nil
	}),
	"extra_input_ignored": of(echoNumber),
	"primitives": of(func(_ context.Context, in primitives) ([]any, error) {
		return []any{in.A, in.B, in.C, in.D, in.E}, nil
	}),
	"write_files": of(func(ctx context.Context, _ none) (object, error) {
		files := service.Output(ctx)
		return object{"ok": 1}, errors.Join(files.WriteFile("hello.txt", []byte("hey")), files.WriteFile("b.bin", []byte{0, 1}))
	}),
	"datapool_missing":          of(func(context.Context, onePool) (int, error) { return 1, nil }),
	"datapool_optional_missing": of(func(_ context.Context, in optionalPool) (object, error) { return object{"none": in.Models == nil}, nil }),
	"datapool_open": of(func(_ context.Context, in onePool) (object, error) {
		content, err := in.Models.ReadFile("a.txt")
		if err != nil {
			return nil, err
		}
		_, missing := in.Models.Open("zz")
		names, err := in.Models.List()
		return object{"t": string(content), "r": strings.TrimSuffix(fmt.Sprint(missing), ` "models"`), "files": names}, err
	}),
	"secret_not_from_input": of(func(_ context.Context, in oneSecret) (object, error) {
		token, err := in.APIToken.Unwrap()
		return object{"v": token[:3]}, err
	}),
	"print_goes_to_stdout": of(func(context.Context, none) (int, error) {
		return 1, nil
	}),
}

type primitives struct {
	A int            `json:"a"`
	B float64        `json:"b"`
	C string         `json:"c"`
	D []any          `json:"d"`
	E map[string]any `json:"e"`
}

type ValueError struct{ text string }

func (e *ValueError) Error() string { return e.text }

type KeyError struct{}

func (*KeyError) Error() string { return "" }

func isNoSecret(_ context.Context, in optionalSecret) (object, error) {
	return object{"none": in.APIToken == nil}, nil
}

func echoNumber(_ context.Context, in oneNumber) (object, error) { return object{"n": in.N}, nil }

// elsewhere are the cases that have no counterpart in Go, with the reason.
var elsewhere = map[string]string{
	"future_annotations": "Go has no annotations",
	"async_run":          "Go has no async functions",
	"uuid_output":        "Go's library has no UUID",
	"sys_exit":           "needs a process: TestExitCodeIsKept",
}

// inGo is the result in Go, for cases that print something only Python has.
var inGo = map[string]string{
	"double_unwrap":          `{"type": "about:blank", "status": 500, "title": "Error", "detail": "secret is locked and cannot be unwrapped: it was unwrapped before"}`,
	"handler_error_reserved": `{"type": "about:blank", "status": 500, "title": "Error", "detail": "the extension \"status\" of a problem has a reserved name (type, title, detail, status, instance); choose another"}`,
	"redacted_str":           `{"str": "[redacted]", "repr": "secret.Value([redacted])", "fmt": "[redacted]", "pct": "[redacted] secret.Value([redacted])", "in_list": "[[redacted]]", "itself": "[redacted]", "locked": false}`,
	"datapool_open":          `{"t": "A", "r": "file \"zz\" not found in data pool", "files": ["a.txt"]}`,
}

type runCase struct {
	Name string
	world
	Exit   int
	Output map[string]string
	Ours   *struct {
		Exit    int
		Output  map[string]json.RawMessage
		Problem *struct {
			Status   int
			Mentions []string
		}
	}
}

func load[T any](t testing.TB, name string) T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "conformance", name))
	if err != nil {
		t.Fatal(err)
	}
	var cases T
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestRunConformance(t *testing.T) {
	cases := load[[]runCase](t, "run.json")
	if len(cases) == 0 {
		t.Fatal("there are no cases")
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			p, ok := services[c.Name]
			if !ok {
				if elsewhere[c.Name] == "" {
					t.Fatal("there is no Go program for this case, and no reason")
				}
				t.Skip(elsewhere[c.Name])
			}
			c.judge(t, p.in(t, c.world))
		})
	}
}

func (c runCase) judge(t *testing.T, got outcome) {
	exit := c.Exit
	want := map[string]json.RawMessage{}
	for name, text := range c.Output {
		want[name] = json.RawMessage(text)
	}
	if c.Ours != nil {
		exit = c.Ours.Exit
		maps.Copy(want, c.Ours.Output)
		if c.Ours.Problem != nil {
			p := got.problem(t)
			if p.Status != c.Ours.Problem.Status {
				t.Errorf("status %d, want %d", p.Status, c.Ours.Problem.Status)
			}
			for _, word := range c.Ours.Problem.Mentions {
				if !strings.Contains(p.Detail, word) {
					t.Errorf("the detail is %s, want %q in it", p.Detail, word)
				}
			}
			want["output.json"] = json.RawMessage(got.files["output.json"])
		}
	}
	if text, ok := inGo[c.Name]; ok {
		want["output.json"] = json.RawMessage(text)
	}
	if got.exit != exit {
		t.Errorf("exit %d, want %d; %s", got.exit, exit, got.stderr)
	}
	if names, wanted := slices.Sorted(maps.Keys(got.files)), slices.Sorted(maps.Keys(want)); !slices.Equal(names, wanted) {
		t.Fatalf("files %q, want %q", names, wanted)
	}
	for name, text := range want {
		if !sameJSON(got.files[name], string(text)) {
			t.Errorf("%s is\n%s\nwant\n%s", name, got.files[name], text)
		}
	}
	for name := range got.env {
		if strings.HasPrefix(name, "SECRET_") {
			t.Errorf("%s is still in the environment, want it removed", name)
		}
	}
}

// sameJSON compares JSON by value, with its layout if it is indented, and anything else by
// its bytes.
func sameJSON(got, want string) bool {
	var a, b any
	if json.Unmarshal([]byte(got), &a) != nil || json.Unmarshal([]byte(want), &b) != nil {
		return got == want
	}
	layout, err := json.MarshalIndent(json.RawMessage(got), "", "  ")
	return reflect.DeepEqual(a, b) && err == nil && (string(layout) == got || strings.ContainsAny(got, "<>&"))
}

// described are the signatures of the recorded request bodies, in Go.
var described = map[string]program{
	"guide": of(func(context.Context, oneSecret) (object, error) { return nil, nil }),
	"data_and_secret": of(func(context.Context, struct {
		Data     endpoint     `json:"data"`
		APIToken secret.Value `json:"api_token"`
	}) (object, error) {
		return nil, nil
	}),
	"combined": of(func(context.Context, struct {
		Data     modelRequest  `json:"data"`
		APIToken secret.Value  `json:"api_token"`
		Models   datapool.Pool `json:"models"`
	}) (object, error) {
		return nil, nil
	}),
	"two_secrets": of(func(context.Context, struct {
		Weather secret.Value `json:"weather_api_key"`
		Stock   secret.Value `json:"stockKey"`
	}) (any, error) {
		return nil, nil
	}),
	"optional_secret": of(func(context.Context, optionalSecret) (any, error) { return nil, nil }),
	"primitives": of(func(context.Context, struct {
		A int            `json:"a"`
		B float64        `json:"b"`
		C string         `json:"c"`
		D bool           `json:"d"`
		E []any          `json:"e"`
		F map[string]any `json:"f"`
	}) (any, error) {
		return nil, nil
	}),
	"defaults": of(func(context.Context, struct {
		A int      `json:"a" default:"1"`
		B string   `json:"b" default:"x"`
		C *float64 `json:"c"`
		D bool     `json:"d" default:"true"`
	}) (any, error) {
		return nil, nil
	}),
	"list_of_model": of(func(context.Context, struct {
		PS []point `json:"ps"`
	}) (any, error) {
		return nil, nil
	}),
	"list_of_int": of(func(context.Context, struct {
		PS []int `json:"ps"`
	}) (any, error) {
		return nil, nil
	}),
	"model_return": of(func(context.Context, struct {
		P point `json:"p"`
	}) (struct {
		Total  float64 `json:"total"`
		Points []point `json:"points"`
	}, error) {
		panic("is not run")
	}),
	"enum": of(func(context.Context, struct {
		C color `json:"c"`
		D color `json:"d" default:"blue"`
	}) (any, error) {
		return nil, nil
	}),
	"nested_models": of(func(context.Context, struct {
		O struct {
			Inner struct {
				K map[string]int `json:"k,omitempty"`
			} `json:"inner"`
			N int `json:"n" minimum:"1" maximum:"10" description:"count"`
		} `json:"o"`
	}) (any, error) {
		return nil, nil
	}),
	"optional_pool": of(func(context.Context, optionalPool) (any, error) { return nil, nil }),
	"no_params":     of(func(context.Context, none) (any, error) { return nil, nil }),
}

func TestBodiesConformance(t *testing.T) {
	cases := load[[]struct {
		Name           string
		Accept, Reject []json.RawMessage
	}](t, "openapi_bodies.json")
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			p, ok := described[c.Name]
			if !ok {
				t.Fatal("there is no Go program for this case")
			}
			s, err := signature.Parse([]byte(p.describe(t)))
			if err != nil {
				t.Fatal(err)
			}
			validator, err := s.Compile()
			if err != nil {
				t.Fatal(err)
			}
			for _, body := range c.Accept {
				request, err := validator.Request(body)
				if err != nil {
					t.Errorf("Request(%s) = %v, want it accepted", body, err)
					continue
				}
				if c.Name != "model_return" {
					p.accepts(t, s, request)
				}
			}
			for _, body := range c.Reject {
				if _, err := validator.Request(body); err == nil {
					t.Errorf("Request(%s) = nil, want an error", body)
				}
			}
		})
	}
}

// accepts runs the service on a request that the platform has accepted.
func (p program) accepts(t *testing.T, s *signature.Signature, request *signature.Request) {
	t.Helper()
	w := world{Input: map[string]string{}, Env: map[string]string{}, DataPool: map[string]map[string]string{}}
	for name, value := range request.Inputs {
		var text string
		if json.Unmarshal(value, &text) == nil && value[0] == '"' {
			w.Input[name+".txt"] = text
		} else {
			w.Input[name+".json"] = string(value)
		}
	}
	for name, value := range request.Secrets {
		parameter, _ := s.Lookup(name)
		w.Env[parameter.Env] = string(value.Reveal())
	}
	for name := range request.DataPools {
		w.DataPool[name] = map[string]string{"a.txt": "A"}
	}
	if o := p.in(t, w); o.exit != 0 {
		t.Errorf("the service refuses a request that its schema accepts, want success: %s", o.stderr)
	}
}
