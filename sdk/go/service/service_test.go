package service_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/sdk/go/datapool"
	"github.com/qhubctl/qhubctl/sdk/go/secret"
	"github.com/qhubctl/qhubctl/sdk/go/service"
)

const token = `tok/"123456"<é>`

func TestFailuresAreMasked(t *testing.T) {
	unwrapped := func(in oneSecret) string {
		plain, err := in.APIToken.Unwrap()
		if err != nil {
			panic(err)
		}
		return plain
	}
	for how, p := range map[string]program{
		"error": of(func(_ context.Context, in oneSecret) (any, error) {
			return nil, fmt.Errorf("401 for %s", unwrapped(in))
		}),
		"quoted": of(func(_ context.Context, in oneSecret) (any, error) {
			return nil, fmt.Errorf("401 for %q", unwrapped(in))
		}),
		"base64": of(func(_ context.Context, in oneSecret) (any, error) {
			return nil, errors.New("Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+unwrapped(in))))
		}),
		"panic": of(func(_ context.Context, in oneSecret) (any, error) {
			panic("401 for " + unwrapped(in))
		}),
		"panic with an error": of(func(_ context.Context, in oneSecret) (any, error) {
			panic(fmt.Errorf("401 for %s", unwrapped(in)))
		}),
		"problem": of(func(_ context.Context, in oneSecret) (any, error) {
			plain := unwrapped(in)
			return nil, &service.Problem{Title: "For " + plain, Detail: plain, Extensions: map[string]any{plain: []any{plain, map[string]string{"x": "a" + plain}}}}
		}),
	} {
		o := p.in(t, world{Env: map[string]string{"SECRET_API_TOKEN": token}})
		all := o.files["output.json"] + o.stderr + o.stdout
		if o.exit != 1 || o.problem(t).Status != 500 {
			t.Errorf("%s: exit code %d, %s, want 1 and status 500", how, o.exit, o.problem(t).Detail)
		}
		if strings.Contains(all, "123456") || strings.Contains(all, "MTIzNDU2") || strings.Contains(all, "EyMzQ1N") || !strings.Contains(all, "[redacted]") {
			t.Errorf("%s: the secret shows, want it masked", how)
		}
	}
}

func TestExecutionTokenIsMasked(t *testing.T) {
	o := of(func(context.Context, none) (any, error) {
		return nil, errors.New("calling with token-of-the-execution failed")
	}).in(t, world{Env: map[string]string{"KQH_SERVICE_EXECUTION_TOKEN": "token-of-the-execution"}})
	if p := o.problem(t); p.Detail != "calling with [redacted] failed" || strings.Contains(o.stderr, "token-of") {
		t.Errorf("Run(error with the token) = %q, %q, want it masked", p.Detail, o.stderr)
	}
}

func TestRefusedSecretsAreNamed(t *testing.T) {
	type in struct {
		Token secret.Value  `json:"token"`
		Other *secret.Value `json:"other"`
	}
	o := of(func(context.Context, in) (any, error) { return "ran", nil }).in(t, world{Env: map[string]string{
		"SECRET_TOKEN": "Pr\xfcfung-2024-x", "SECRET_OTHER": strings.Repeat("canary", 20_000),
	}})
	p := o.problem(t)
	var got []string
	for _, e := range p.Errors {
		got = append(got, e.Path+": "+e.Message)
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{
		"token: the secret is refused: the environment variable SECRET_TOKEN is not UTF-8 text",
		"other: the secret is refused: the environment variable SECRET_OTHER is longer than 64 KiB",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("Run(bad secrets) = %q, want %q", text, want)
		}
	}
	if o.exit != 1 || p.Status != 400 || strings.Contains(o.stderr+o.files["output.json"], "fung") || strings.Contains(o.stderr+o.files["output.json"], "canary") {
		t.Errorf("Run(bad secrets) = exit code %d, status %d, want 1 and 400 and no value", o.exit, p.Status)
	}
}

func TestPanic(t *testing.T) {
	o := of(func(context.Context, none) (any, error) {
		var list []int
		return list[len(os.Args)+5], nil
	}).in(t, world{})
	p := o.problem(t)
	if o.exit != 1 || p.Title != "panic" || !strings.Contains(p.Detail, "index out of range") || p.Status != 500 {
		t.Errorf("a panic: exit code %d, %+v, want 1 and status 500", o.exit, p)
	}
	if !strings.Contains(o.stderr, "service_test.go") || strings.Contains(o.files["output.json"], "goroutine") {
		t.Errorf("standard error has %s, want the stack there alone", o.stderr)
	}
}

func TestGoexit(t *testing.T) {
	o := of(func(context.Context, none) (any, error) {
		runtime.Goexit()
		return nil, nil
	}).in(t, world{})
	if p := o.problem(t); o.exit != 1 || !strings.Contains(p.Detail, "instead of returning") {
		t.Errorf("Goexit: exit code %d, %+v, want 1 and a detail", o.exit, p)
	}
}

type Custom[T any] struct{ why T }

func (c Custom[T]) Error() string { return fmt.Sprint("custom: ", c.why) }

func TestProblemsOfErrors(t *testing.T) {
	var nothing *ValueError
	for _, c := range []struct {
		err                 error
		title, detail       string
		status              int
		document, misplaced string
	}{
		{err: errors.New("plain"), title: "Error", detail: "plain", status: 500},
		{err: fmt.Errorf("loading: %w", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}), title: "PathError", detail: "loading: open x: file does not exist", status: 500},
		{err: Custom[int]{3}, title: "Custom", detail: "custom: 3", status: 500},
		{err: nothing, title: "ValueError", detail: "<nil>", status: 500},
		{err: (*service.Problem)(nil), title: "Problem", detail: "<nil>", status: 500},
		{err: errors.Join(errors.New("a"), errors.New("b")), title: "Error", detail: "a\nb", status: 500},
		{err: &service.Problem{Title: "No such model", Status: 404}, title: "No such model", detail: "No such model", status: 404},
		{err: fmt.Errorf("outer: %w", &service.Problem{Title: "T", Detail: "D"}), title: "T", detail: "D", status: 500},
		{err: &service.Problem{Detail: "D"}, title: "Error", detail: "D", status: 500},
		{err: &service.Problem{Title: "T", Status: 200}, title: "Error", detail: "the status 200 of a problem is not one of an error, 400 to 599", status: 500},
		{err: &service.Problem{Title: "T", Extensions: map[string]any{"c": make(chan int)}}, title: "T", detail: "T", status: 500},
	} {
		o := fails(c.err).in(t, world{})
		p := o.problem(t)
		if o.exit != 1 || p.Title != c.title || p.Detail != c.detail || p.Status != c.status || p.Type != "about:blank" {
			t.Errorf("%#v becomes exit code %d, %+v, want 1, %q, %q, %d", c.err, o.exit, p, c.title, c.detail, c.status)
		}
	}
}

func TestProblemMembers(t *testing.T) {
	o := fails(&service.Problem{Title: "T", Detail: "<D>", Status: 422, Extensions: map[string]any{"b": 1, "a": []point{{1, 0.5}}}}).in(t, world{})
	const want = "{\n  \"type\": \"about:blank\",\n  \"status\": 422,\n  \"title\": \"T\",\n  \"detail\": \"<D>\",\n" +
		"  \"a\": [\n    {\n      \"x\": 1,\n      \"y\": 0.5\n    }\n  ],\n  \"b\": 1\n}"
	if o.files["output.json"] != want {
		t.Errorf("output.json is %s, want %s", o.files["output.json"], want)
	}
}

func TestAllThatIsWrongAtOnce(t *testing.T) {
	o := of(func(context.Context, struct {
		Data     modelRequest  `json:"data"`
		N        int           `json:"n" maximum:"5"`
		Gone     []int         `json:"gone"`
		Twice    int           `json:"twice"`
		APIToken secret.Value  `json:"api_token"`
		Models   datapool.Pool `json:"models"`
	}) (any, error) {
		t.Error("run was called")
		return nil, nil
	}).in(t, world{Input: map[string]string{
		"data.json": `{"endpoint": 5, "zebra": 1}`, "n": "77", "twice.txt": "1", "twice.json": "1",
	}})
	p := o.problem(t)
	var paths []string
	for _, e := range p.Errors {
		paths = append(paths, e.Path)
	}
	if o.exit != 1 || p.Status != 400 || p.Title != "Invalid input" ||
		!slices.Equal(paths, []string{"api_token", "data.endpoint", "data.zebra", "data.model_name", "n", "gone", "twice", "models"}) {
		t.Errorf("exit code %d, %+v, want 1 and all errors in order", o.exit, p)
	}
	if strings.Contains(o.files["output.json"]+o.stderr, "77") {
		t.Error("a value is repeated")
	}
}

func TestInputFiles(t *testing.T) {
	type all struct {
		S    string            `json:"s,omitempty"`
		PS   *string           `json:"ps"`
		B    bool              `json:"b,omitempty"`
		N    int               `json:"n,omitempty"`
		Any  any               `json:"any,omitempty"`
		When time.Time         `json:"when,omitzero"`
		List []int             `json:"list,omitempty"`
		C    color             `json:"c,omitempty"`
		Raw  json.RawMessage   `json:"raw,omitempty"`
		Map  map[string]string `json:"map,omitempty"`
	}
	p := of(func(_ context.Context, in all) (all, error) { return in, nil })
	for _, c := range []struct{ file, text, want string }{
		{"s.txt", `null`, `"s": "null"`},
		{"s", `"quoted"`, `"s": "\"quoted\""`},
		{"s.txt", "  sp \n", `"s": "  sp \n"`},
		{"s.json", `"json"`, `"s": "json"`},
		{"s.json", `json`, ``},
		{"ps.txt", `null`, `"ps": "null"`},
		{"ps", `null`, `"ps": null`},
		{"ps", `plain`, `"ps": "plain"`},
		{"b", `True`, `"b": true`},
		{"b.txt", ` 1 `, `"b": true`},
		{"b", `yes`, ``},
		{"b.json", `1`, ``},
		{"n", ` 42 `, `"n": 42`},
		{"n.txt", `42`, `"n": 42`},
		{"n.json", "\ufeff42", `"n": 42`},
		{"n", `x`, ``},
		{"n", ``, ``},
		{"any.txt", `3`, `"any": "3"`},
		{"any", `3`, `"any": 3`},
		{"any", `plain`, `"any": "plain"`},
		{"when", `2024-01-02 03:04:05`, `"when": "2024-01-02T03:04:05Z"`},
		{"when", `"2024-01-02T03:04:05Z"`, `"when": "2024-01-02T03:04:05Z"`},
		{"when.txt", `nope`, ``},
		{"list.json", `[1, 2]`, `"list": [`},
		{"list", `{}`, ``},
		{"c", `red`, `"c": "red"`},
		{"c.txt", `"blue"`, `"c": "blue"`},
		{"c", `green`, ``},
		{"raw.txt", `[`, `"raw": "["`},
		{"map.v1.json", `{"a":"b"}`, `"a": "b"`},
		{"unknown.json", `broken`, `"ps": null`},
	} {
		o := p.in(t, world{Input: map[string]string{c.file: c.text}})
		switch {
		case c.want == "" && (o.exit != 1 || o.problem(t).Status != 400):
			t.Errorf("%s with %q: exit code %d, %v, want 1 and status 400", c.file, c.text, o.exit, o.files)
		case c.want != "" && (o.exit != 0 || !strings.Contains(o.files["output.json"], c.want)):
			t.Errorf("%s with %q: exit code %d, %v, %s, want %q", c.file, c.text, o.exit, o.files, o.stderr, c.want)
		}
	}
}

func TestDefaultsOfParameters(t *testing.T) {
	type base struct {
		Level int `json:"level" default:"7"`
	}
	o := of(func(_ context.Context, in struct {
		base
		Options struct {
			Deep struct {
				On bool `json:"on" default:"true"`
			} `json:"deep,omitzero"`
		} `json:"options"`
		Name *string `json:"name" default:"x"`
	}) (object, error) {
		return object{"level": in.Level, "on": in.Options.Deep.On, "name": in.Name}, nil
	}).in(t, world{})
	if o.exit != 0 || !sameJSON(o.files["output.json"], `{"level": 7, "name": "x", "on": true}`) {
		t.Errorf("exit code %d, %v, want 0 and the defaults", o.exit, o.files)
	}
}

func TestResults(t *testing.T) {
	for i, c := range []struct {
		p          program
		file, want string
	}{
		{returns(none{}), "", ""},
		{returns[*point](nil), "", ""},
		{returns[any](nil), "", ""},
		{returns("a<b>\"é"), "output.txt", `"a<b>\"é"`},
		{returns(json.Number("1.10")), "output.txt", "1.10"},
		{returns(0.1), "output.txt", "0.1"},
		{returns([]float64{}), "output.json", "[]"},
		{returns(map[string]any{}), "output.json", "{}"},
		{returns(&point{1, 2}), "output.json", "{\n  \"x\": 1,\n  \"y\": 2\n}"},
		{returns(json.RawMessage(`{"a": [ ]}`)), "output.json", "{\n  \"a\": []\n}"},
		{returns(object{"s": secret.New("tok-123456")}), "output.json", "{\n  \"s\": \"[redacted]\"\n}"},
	} {
		o := c.p.in(t, world{})
		if o.exit != 0 || len(o.files) > 1 || o.files[c.file] != c.want || (c.file == "") != (len(o.files) == 0) {
			t.Errorf("case %d: exit %d, %q, want %s", i, o.exit, o.files, c.want)
		}
	}
	o := returns[any](make(chan int)).in(t, world{})
	if p := o.problem(t); o.exit != 1 || p.Title != "Result cannot be encoded" {
		t.Errorf("a channel as result: exit code %d, %+v, want 1 and a problem", o.exit, p)
	}
}

func TestResultFilesStayInTheirFolder(t *testing.T) {
	o := of(func(ctx context.Context, _ none) (any, error) {
		files := service.Output(ctx)
		for _, name := range []string{"../x", "/x", "a/b", `a\b`, "", ".", "..", "output.json", "output.txt", "nul\x00"} {
			if err := files.WriteFile(name, nil); err == nil {
				t.Errorf("WriteFile(%q) = nil, want an error", name)
			}
		}
		return nil, files.WriteFile("übung 1.csv", []byte("a,b"))
	}).in(t, world{})
	if o.exit != 0 || len(o.files) != 1 || o.files["übung 1.csv"] != "a,b" {
		t.Errorf("exit code %d, %v, %s, want 0 and one file", o.exit, o.files, o.stderr)
	}
	if err := service.Output(t.Context()).WriteFile("x", nil); err == nil {
		t.Error("writes a file outside of a run")
	}
}

func TestOutputFolderIsMade(t *testing.T) {
	env := world{}.lay(t)
	env["OUTPUT_DIRECTORY"] = filepath.Join(env["OUTPUT_DIRECTORY"], "new", "folder")
	if exit := returns(1)(t.Context(), service.Options{Env: env}); exit != 0 {
		t.Fatalf("exit code %d, want 0", exit)
	}
	if files := read(t, env["OUTPUT_DIRECTORY"]); files["output.txt"] != "1" {
		t.Errorf("the files are %v, want the result 1", files)
	}
}

func TestMissingFolders(t *testing.T) {
	env := world{}.lay(t)
	env["INPUT_DIRECTORY"] = filepath.Join(env["INPUT_DIRECTORY"], "none")
	env["DATAPOOL_DIRECTORY"] = filepath.Join(env["DATAPOOL_DIRECTORY"], "none")
	p := of(func(_ context.Context, in optionalPool) (bool, error) { return in.Models == nil, nil })
	if exit := p(t.Context(), service.Options{Env: env}); exit != 0 || read(t, env["OUTPUT_DIRECTORY"])["output.txt"] != "true" {
		t.Errorf("a missing pool: exit code %d, want 0 and true", exit)
	}
}

func TestCancellation(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := of(func(ctx context.Context, _ none) (any, error) {
		cancel()
		<-ctx.Done()
		return nil, fmt.Errorf("waiting: %w", ctx.Err())
	})
	o := p.with(ctx, t, world{})
	if got := o.problem(t); o.exit != 130 || got.Title != "Cancelled" || got.Type != "urn:qhubctl:problem:cancelled" || got.Status != 409 {
		t.Errorf("exit code %d, %+v, want 130 and Cancelled", o.exit, got)
	}
	// The context of the test is cancelled by now, and run has ended.
	if o := returns(1).with(ctx, t, world{}); o.exit != 0 || o.files["output.txt"] != "1" {
		t.Errorf("a result despite the cancellation: exit code %d, want 0", o.exit)
	}
	if o := fails(errors.New("no")).with(ctx, t, world{}); o.exit != 1 || o.problem(t).Title != "Error" {
		t.Errorf("another error: exit code %d, want 1 and no cancellation", o.exit)
	}
	own := of(func(ctx context.Context, _ none) (any, error) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return nil, ctx.Err()
	})
	if o := own.in(t, world{}); o.exit != 1 {
		t.Errorf("a context that run has cancelled itself: exit code %d, want 1", o.exit)
	}
}

func TestUndeclaredSecretsStay(t *testing.T) {
	o := of(func(context.Context, oneSecret) (any, error) { return nil, nil }).in(t, world{
		Input: map[string]string{"broken.json": "{"}, Env: map[string]string{"SECRET_API_TOKEN": "tok-123456", "SECRET_OTHER": "stays"},
	})
	if _, there := o.env["SECRET_API_TOKEN"]; there || o.env["SECRET_OTHER"] != "stays" || o.exit != 0 {
		t.Errorf("exit code %d with %d variables, want 0 and the declared secret removed", o.exit, len(o.env))
	}
}

type writesBadly struct{}

func (writesBadly) MarshalJSON() ([]byte, error) { panic("out of ink") }

type readsBadly struct{}

func (*readsBadly) UnmarshalJSON([]byte) error { panic("out of light") }

func TestPanicsOfTypes(t *testing.T) {
	if o := returns(writesBadly{}).in(t, world{}); o.exit != 1 || o.problem(t).Detail != "out of ink" {
		t.Errorf("a type that cannot write: exit code %d, %v, want 1 and its panic", o.exit, o.files)
	}
	p := of(func(context.Context, struct{ R readsBadly }) (any, error) { return nil, nil })
	if o := p.in(t, world{Input: map[string]string{"R.json": "1"}}); o.exit != 1 || o.problem(t).Detail != "out of light" {
		t.Errorf("a type that cannot read: exit code %d, %v, want 1 and its panic", o.exit, o.files)
	}
}
