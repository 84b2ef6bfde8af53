// Package platformapitest compares answers of a platform API with its description.
package platformapitest

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/qhubctl/qhubctl/internal/platformapi"
)

const address = "https://example.com/openapi.json"

// A Description is that of an API, to compare answers with.
type Description struct {
	mux      *http.ServeMux
	document any

	mu       sync.Mutex
	compiler *jsonschema.Compiler
}

// Describe reads the description of an API, all of whose routes are registered.
func Describe(api *platformapi.API) (*Description, error) {
	d := &Description{mux: http.NewServeMux(), compiler: jsonschema.NewCompiler()}
	text, err := api.OpenAPI()
	if err != nil {
		return nil, err
	}
	if d.document, err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
		return nil, err
	}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	if err := d.compiler.AddResource(address, d.document); err != nil {
		return nil, err
	}
	for _, route := range api.Routes() {
		d.mux.HandleFunc(route.Method+" "+route.Path, func(http.ResponseWriter, *http.Request) {})
	}
	return d, nil
}

// anyKind is the media type of a body of any.
const anyKind = "*/*"

// Compare reports an answer that the description does not have. Answers of addresses
// outside of the API are left out.
func (d *Description) Compare(t testing.TB, method, path string, status int, header http.Header, body []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+strings.TrimSuffix(path, "/"), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	_, pattern := d.mux.Handler(r)
	if pattern == "" {
		return // not of the platform API
	}
	_, route, _ := strings.Cut(pattern, " ")
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	steps := []string{"paths", strings.ReplaceAll(route, "...}", "}"), strings.ToLower(method), "responses", strconv.Itoa(status)}
	if len(body) > 0 {
		steps = append(steps, "content", kind, "schema")
	}
	escape, pointer := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D"), make([]string, 0, len(steps))
	at := d.document
	for _, step := range steps {
		members, _ := at.(map[string]any)
		if at = members[step]; at == nil && step == kind && members[anyKind] != nil {
			return // such as a download, in the type of its file
		}
		if at == nil {
			t.Errorf("%s = %d %s %.100s, which the description lacks", pattern, status, kind, body)
			return
		}
		pointer = append(pointer, escape.Replace(step))
	}
	if !strings.HasSuffix(kind, "json") {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	schema, err := d.compiler.Compile(address + "#" + "/" + strings.Join(pointer, "/"))
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if json.Unmarshal(body, &value) != nil || schema.Validate(value) != nil {
		t.Errorf("%s = %s, want what the description says: %v", pattern, body, schema.Validate(value))
	}
}
