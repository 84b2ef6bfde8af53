package hub_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/qhubctl/qhubctl/internal/hub"
	"github.com/qhubctl/qhubctl/internal/web/webtest"
)

// An operation is one of the description.
type operation struct {
	OperationID, Summary string
	Tags                 []string
	Parameters           []struct{ Name, In, Description string }
	RequestBody          *struct {
		Content map[string]struct{ Schema any }
	}
	Responses map[string]struct {
		Description string
		Content     map[string]struct{ Schema map[string]any }
	}
	Security []any
}

// TestDescriptionHasEveryRoute compares the routes with the document, both ways.
func TestDescriptionHasEveryRoute(t *testing.T) {
	t.Parallel()
	api := hub.Description()
	text, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		OpenAPI string
		Info    struct{ Version string }
		Paths   map[string]map[string]operation
	}
	if err := json.Unmarshal(text, &document); err != nil || document.OpenAPI != "3.1.0" || document.Info.Version != "1.2.3" {
		t.Fatalf("OpenAPI = %.100s, %v, want version 3.1.0 of an API of 1.2.3", text, err)
	}
	for _, route := range api.Routes() {
		path, method := strings.ReplaceAll(route.Path, "...}", "}"), strings.ToLower(route.Method)
		o, ok := document.Paths[path][method]
		if !ok {
			t.Errorf("the description lacks %s %s", route.Method, path)
			continue
		}
		delete(document.Paths[path], method)
		checkOperation(t, route.Method+" "+path, o, route.Public)
	}
	for path, rest := range document.Paths {
		for method := range rest {
			t.Errorf("the description has %s %s, want routes only", method, path)
		}
	}
}

// checkOperation wants meaning, shapes and errors of an operation.
func checkOperation(t *testing.T, name string, o operation, public bool) {
	t.Helper()
	if o.OperationID == "" || o.Summary == "" || len(o.Tags) != 1 || o.Tags[0] == "" {
		t.Errorf("%s has the id %q, the summary %q and tags %q, want all of them", name, o.OperationID, o.Summary, o.Tags)
	}
	if public == (len(o.Security) > 0) {
		t.Errorf("%s asks for a token: %t, want %t", name, len(o.Security) > 0, !public)
	}
	for _, p := range o.Parameters {
		if p.Description == "" {
			t.Errorf("%s does not describe its parameter %s", name, p.Name)
		}
	}
	succeeds := false
	for status, response := range o.Responses {
		if response.Description == "" {
			t.Errorf("%s does not describe its answer %s", name, status)
		}
		if status[0] == '2' {
			succeeds = true
			if status != "204" && len(response.Content) == 0 {
				t.Errorf("%s has no shape of its answer %s", name, status)
			}
			continue
		}
		problem := response.Content["application/problem+json"].Schema["$ref"]
		if problem != "#/components/schemas/Problem" && o.OperationID != "issueToken" && o.OperationID != "isAlive" && o.OperationID != "isReady" {
			t.Errorf("%s answers %s by %v, want a problem", name, status, response.Content)
		}
	}
	if !succeeds || !public && (o.Responses["401"].Description == "" || o.Responses["403"].Description == "") {
		t.Errorf("%s has answers %v, want a success, 401 and 403", name, o.Responses)
	}
	if (strings.HasPrefix(name, "GET") || strings.HasPrefix(name, "DELETE")) && o.RequestBody != nil {
		t.Errorf("%s takes a body", name)
	}
}

// TestDescriptionIsValid checks the document, and each schema in it.
func TestDescriptionIsValid(t *testing.T) {
	t.Parallel()
	text, err := hub.Description().OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(parsed)
	if len(errs) > 0 {
		t.Fatalf("NewValidator = %v, want no errors", errs)
	}
	if ok, problems := v.ValidateDocument(); !ok {
		for _, p := range problems {
			t.Errorf("%s: %s, want a valid document", p.Message, p.Reason)
		}
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("https://example.com/openapi.json", document); err != nil {
		t.Fatal(err)
	}
	schemas := document.(map[string]any)["components"].(map[string]any)["schemas"].(map[string]any)
	if len(schemas) < 30 {
		t.Errorf("the description has %d schemas, want those of all routes", len(schemas))
	}
	for name := range schemas {
		if _, err := compiler.Compile("https://example.com/openapi.json#/components/schemas/" + name); err != nil {
			t.Errorf("the schema %s is not valid: %v", name, err)
		}
	}
}

// TestDescriptionIsServed reads it as programs and as browsers do, without a token.
func TestDescriptionIsServed(t *testing.T) {
	p := start(t, filepath.Join(t.TempDir(), "data"))
	for _, path := range []string{"/openapi.json", "/qc-catalog/docs", "/quantum/docs"} {
		status, text := p.send("", http.MethodGet, path, "", nil)
		var document struct{ OpenAPI string }
		if err := json.Unmarshal(text, &document); err != nil || status != http.StatusOK || document.OpenAPI != "3.1.0" {
			t.Errorf("GET %s = %d %.100s, want a document of OpenAPI 3.1.0", path, status, text)
		}
	}
	_, text := p.send("", http.MethodGet, "/qc-catalog/docs", "", nil)
	var below struct {
		Servers []struct{ URL string }
		Paths   map[string]any
	}
	if err := json.Unmarshal(text, &below); err != nil || len(below.Servers) != 1 || below.Servers[0].URL != "/qc-catalog" ||
		below.Paths["/services/{id}"] == nil || below.Paths["/token"] != nil {
		t.Errorf("GET /qc-catalog/docs = %.200s, want the routes below, relative to them", text)
	}
	status, page := p.send("", http.MethodGet, "/docs", "", nil)
	if status != http.StatusOK || !strings.Contains(string(page), `src="/docs/assets/reference.js"`) || strings.Contains(string(page), "//") {
		t.Errorf("GET /docs = %d %s, want the page, and nothing from elsewhere", status, page)
	}
	// A person who opens the address of the platform gets the console, a program a problem.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	response, err := http.DefaultClient.Do(r)
	if err != nil || response.Request.URL.Path != "/sign-in" {
		t.Fatalf("GET / = %v, %v, want the sign-in", response, err)
	}
	_ = response.Body.Close()
	p.call("", http.MethodGet, "/", nil, http.StatusNotFound)
	for path, want := range map[string]int{"/docs/assets/reference.js": 200, "/docs/assets/rapidoc-min.js": 200, "/docs/assets/nothing.js": 404} {
		if status, _ := p.send("", http.MethodGet, path, "", nil); status != want {
			t.Errorf("GET %s = %d, want %d", path, status, want)
		}
	}
}

// TestDescriptionInBrowser opens the page in a browser, which must load nothing from
// elsewhere.
func TestDescriptionInBrowser(t *testing.T) {
	server := httptest.NewServer(hub.Description())
	t.Cleanup(server.Close)
	ctx, said := webtest.Browser(t)
	var text string
	err := chromedp.Run(ctx, chromedp.Navigate(server.URL+"/docs"),
		chromedp.Poll(`document.querySelector("rapi-doc")?.shadowRoot?.textContent.includes("Make a service")`, nil),
		chromedp.Evaluate(`document.querySelector("rapi-doc").shadowRoot.textContent`, &text),
	)
	if err != nil {
		t.Fatalf("%v\n%s", err, said())
	}
	if !strings.Contains(text, "/qc-catalog/managed-services/{id}/build") {
		t.Error("the page lacks a route, want all")
	}
	for line := range strings.Lines(said()) {
		if strings.HasPrefix(line, "exception:") || strings.HasPrefix(line, "request: ") && !strings.Contains(line, " "+server.URL+"/") &&
			!strings.Contains(line, " data:") && !strings.Contains(line, " blob:") {
			t.Error(line)
		}
	}
}
