package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/signature"
)

func parse(t *testing.T, parameters, defs string) *signature.Signature {
	t.Helper()
	s, err := signature.Parse(fmt.Appendf(nil, `{"schemaVersion":1,"entrypoint":"src.program:run","parameters":[%s],"$defs":{%s}}`, parameters, defs))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// outline describes a field and those in it as its user sees them.
func outline(f field) string {
	text := f.Path + " " + f.Widget
	if f.Required {
		text += " required"
	}
	if f.Default != "" {
		text += " default=" + f.Default
	}
	var inside []string
	for _, o := range f.Options {
		inside = append(inside, o.Value)
	}
	for _, child := range f.Fields {
		inside = append(inside, outline(child))
	}
	if len(inside) > 0 {
		text += " (" + strings.Join(inside, ", ") + ")"
	}
	return text
}

func TestFields(t *testing.T) {
	t.Parallel()
	const defs = `"M":{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"integer","default":3},"m":{"$ref":"#/$defs/M"}},"required":["z"]},
		"Colour":{"enum":["red",2,null]},"Self":{"$ref":"#/$defs/Self"}`
	for schema, want := range map[string]string{
		`{"type":"string"}`:                          "p text required",
		`{"type":"string","default":"a \"b\""}`:      `p text required default=a "b"`,
		`{"type":"integer"}`:                         "p number required",
		`{"type":"number","default":1.50}`:           "p number required default=1.50",
		`{"type":"boolean"}`:                         "p checkbox required",
		`{"enum":["a","b"]}`:                         `p choice required ("a", "b")`,
		`{"$ref":"#/$defs/Colour"}`:                  `p choice required ("red", 2, null)`,
		`{"const":5}`:                                "p choice required (5)",
		`{"type":"array","items":{"type":"string"}}`: "p json required",
		`{"type":"object"}`:                          "p json required",
		`{}`:                                         "p json required",
		`true`:                                       "p json required",
		`{"anyOf":[{"type":"integer"},{"type":"null"}]}`:      "p number required",
		`{"type":["integer","null"]}`:                         "p number required",
		`{"type":["integer","string"]}`:                       "p json required",
		`{"anyOf":[{"type":"integer"},{"type":"string"}]}`:    "p json required",
		`{"allOf":[{"$ref":"#/$defs/Colour"}],"default":"2"}`: `p choice required default=2 ("red", 2, null)`,
		`{"$ref":"#/$defs/Self"}`:                             "p json required",
		`{"$ref":"#/$defs/M"}`: "p group required (p.z text required, p.a number default=3, p.m group (p.m.z text required, p.m.a number default=3, " +
			"p.m.m group (p.m.m.z text required, p.m.m.a number default=3, p.m.m.m json)))",
	} {
		s := parse(t, `{"name":"p","kind":"input","required":true,"schema":`+schema+`}`, defs)
		if got := outline(newView(Service{Signature: s, Request: s}).Inputs[0]); got != want {
			t.Errorf("%s: %s, want %s", schema, got, want)
		}
	}
	s := parse(t, `{"name":"p","kind":"input","required":false,"schema":{"type":"boolean","default":true}}`, "")
	if got := outline(newView(Service{Signature: s, Request: s}).Inputs[0]); got != "p choice default=true (true, false)" {
		t.Errorf("an optional boolean is %s, want a choice", got)
	}
}

func TestPageShowsWhatTheServerHas(t *testing.T) {
	t.Parallel()
	s := parse(t, `{"name":"api_token","kind":"secret","required":true},{"name":"models","kind":"datapool","required":true}`, "")
	request := s.WithOptional(func(signature.Parameter) bool { return true })
	page := get(t, Pages("", func(context.Context) (Service, error) {
		return Service{Name: `<script>"x"</script>`, Signature: s, Request: request}, nil
	}), Home)
	for _, want := range []string{"The server has a value", "The server has a folder", `type="password"`, `autocomplete="new-password"`, "&lt;script&gt;"} {
		if !strings.Contains(page.Body.String(), want) {
			t.Errorf("the page has no %s, want it", want)
		}
	}
	for _, never := range []string{"<script>", "style=", "onclick", "javascript:"} {
		if strings.Contains(page.Body.String(), never) {
			t.Errorf("the page has %s, want none", never)
		}
	}
	if policy := page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %s, want one that forbids everything unsafe", policy)
	}
}

func get(t *testing.T, pages map[string]http.Handler, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	handler, ok := pages[path]
	if !ok {
		t.Fatalf("there is no page %s, want one", path)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	handler.ServeHTTP(w, r)
	return w
}

func TestAssets(t *testing.T) {
	t.Parallel()
	pages := Pages("", func(context.Context) (Service, error) { return Service{}, errors.New("none") })
	plain := get(t, pages, "/docs/assets/rapidoc-min.js")
	zipped := get(t, pages, "/docs/assets/rapidoc-min.js", "Accept-Encoding", "br, gzip")
	if plain.Code != 200 || !strings.Contains(plain.Body.String(), "RapiDoc 9.3.8") || plain.Header().Get("Content-Encoding") != "" {
		t.Errorf("plain: %d %v, want the script", plain.Code, plain.Header())
	}
	if zipped.Header().Get("Content-Encoding") != "gzip" || zipped.Body.Len() > 250_000 {
		t.Errorf("zipped: %v, %d bytes, want gzip", zipped.Header(), zipped.Body.Len())
	}
	if again := get(t, pages, "/docs/assets/docs.js", "If-None-Match", get(t, pages, "/docs/assets/docs.js").Header().Get("Etag")); again.Code != http.StatusNotModified {
		t.Errorf("again: %d, want 304", again.Code)
	}
	if page := get(t, pages, Home); page.Code != http.StatusServiceUnavailable {
		t.Errorf("no service: %d, want 503", page.Code)
	}
}

// FuzzFields makes fields of any schema: nothing panics, and the page holds no markup of
// the service.
func FuzzFields(f *testing.F) {
	f.Add(`{"anyOf":[{"$ref":"#/$defs/A"}]}`, `{"A":{"allOf":[{"$ref":"#/$defs/A"}]}}`)
	f.Add(`{"type":"object","properties":{"</script><script>":{"default":"<b>"}}}`, `{}`)
	f.Fuzz(func(t *testing.T, schema, defs string) {
		if !json.Valid([]byte(schema)) || !json.Valid([]byte(defs)) {
			t.Skip("not JSON")
		}
		s := &signature.Signature{
			Parameters: []signature.Parameter{{Name: "p", Kind: signature.Input, Schema: json.RawMessage(schema)}},
			Defs:       json.RawMessage(defs),
		}
		var out strings.Builder
		if err := pages.ExecuteTemplate(&out, "docs.html", newView(Service{Signature: s, Request: s})); err != nil {
			t.Fatal(err)
		}
		if strings.Count(out.String(), "<script") != 1 {
			t.Error("the service has written into the page")
		}
	})
}
