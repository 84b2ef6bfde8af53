package httpapi

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/openapi"
	"github.com/qhubctl/qhubctl/internal/signature"
)

// TestRoutesAreDescribed compares the routes of the API with its OpenAPI description
// and with the table of docs/serve.md.
func TestRoutesAreDescribed(t *testing.T) {
	t.Parallel()
	document, err := openapi.New(&signature.Signature{}, openapi.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := document.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var described struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(text, &described); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/serve.md")
	if err != nil {
		t.Fatal(err)
	}
	var routes, paths []string
	for pattern, methods := range new(API).routes() {
		path := strings.NewReplacer("{$}", "", "{file...}", "{file}").Replace(pattern)
		for method := range methods {
			call := method + " " + path
			if !strings.Contains(string(page), "`"+call+"`") {
				t.Errorf("docs/serve.md has no row for `%s`, want one for each route", call)
			}
			if path != "/openapi.json" { // the description itself
				routes = append(routes, call)
			}
		}
	}
	for path, methods := range described.Paths {
		for method := range methods {
			if method != "parameters" {
				paths = append(paths, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(routes)
	slices.Sort(paths)
	if !slices.Equal(routes, paths) {
		t.Errorf("the OpenAPI description has %q, want the routes %q", paths, routes)
	}
}
