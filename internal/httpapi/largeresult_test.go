package httpapi_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/execution"
)

// largeFile is the name of a result file that is the value.
const largeFile = "large.json"

// A large value is answered as a small one is.
func TestLargeResult(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		`{}`, ` [1] `, `"text"`, `{"a": 1 , "b":[ {"x": "}]"} ]}`, `{"_links":{"x":1},"_embedded":2}`, `{"_links":{"x":1},"n":1.50,"\u005fembedded":2,"z":"\""}`,
	} {
		f, api := newAPI(t)
		e := f.finished(execution.Succeeded, value, map[string]string{"plain": "x"})
		large := f.finished(execution.Succeeded, "", map[string]string{largeFile: value, "plain": "x"})
		small, got := ask(api, "GET", "/"+e.ID.String()+"/result", ""), ask(api, "GET", "/"+large.ID.String()+"/result", "")
		if want := ownMembers(t, small.Body.String()); got.Code != 200 || ownMembers(t, got.Body.String()) != want {
			t.Errorf("GET a large result %s = %d %s\nwant the members %s", value, got.Code, got.Body, want)
		}
		if length := got.Header().Get("Content-Length"); length != strconv.Itoa(got.Body.Len()) || got.Header().Get("Content-Type") != "application/json" {
			t.Errorf("GET a large result %s has the headers %v for %d bytes", value, got.Header(), got.Body.Len())
		}
		head := ask(api, "HEAD", "/"+large.ID.String()+"/result", "")
		if head.Code != 200 || head.Header().Get("Content-Length") != got.Header().Get("Content-Length") {
			t.Errorf("HEAD a large result %s = %d %v", value, head.Code, head.Header())
		}
	}
}

// ownMembers are the text in front of the members of the API.
func ownMembers(t *testing.T, document string) string {
	t.Helper()
	before, _, found := strings.Cut(document, `"_embedded":{`)
	if !found || !json.Valid([]byte(document)) {
		t.Fatalf("a result without an envelope: %s", document)
	}
	return before
}
