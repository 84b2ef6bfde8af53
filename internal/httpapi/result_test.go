package httpapi_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

func secret(s string) plaintext.Bytes { return plaintext.FromString(s) }

func TestResult(t *testing.T) {
	t.Parallel()
	f, api := newAPI(t)
	for _, c := range []struct {
		name   string
		status execution.Status
		value  string
		files  map[string]string
		want   string // without the envelope
		links  []string
	}{
		{"object", execution.Succeeded, `{"total": 1.10, "big": 12345678901234567890, "a": {"b": [1]}}`, map[string]string{"b c.txt": "x"},
			`{"total":1.10,"big":12345678901234567890,"a":{"b": [1]}}`, []string{"b c.txt", "status"}},
		{"list", execution.Succeeded, `[1, 2]`, map[string]string{"output.json": "[1, 2]"}, `{}`, []string{"output.json", "status"}},
		{"nothing", execution.Succeeded, "", nil, `{}`, []string{"status"}},
		{"own envelope", execution.Succeeded, `{"_links": 1, "\u005fembedded": 2, "x": 3}`, map[string]string{"status": "x"}, `{"x":3}`, []string{"./status", "status"}},
		{"folders", execution.Succeeded, `{}`, map[string]string{"a/status": "1", "self": "2", `a/b ü/..c\d#`: "3", "a": "4"}, `{}`,
			[]string{"./self", "a", "a/b ü/..c\\d#", "a/status", "status"}},
		{"failed", execution.Failed, `{"ignored": true}`, map[string]string{"trace.txt": "x"},
			`{"type":"about:blank","status":500,"title":"ValueError","detail":"no","code":7}`, []string{"status", "trace.txt"}},
		{"cancelled", execution.Cancelled, `{"half": true}`, map[string]string{"half.txt": "x"}, `{}`, []string{"status"}},
	} {
		e := f.finished(c.status, c.value, c.files)
		if c.status == execution.Failed {
			f.find(e.ID).Problem = &execution.Problem{Status: 500, Title: "ValueError", Detail: "no", Extensions: map[string]any{"code": 7}}
		}
		w := ask(api, "GET", "/"+e.ID.String()+"/result", "")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: GET the result = %d %s, want 200 and JSON", c.name, w.Code, w.Body)
			continue
		}
		var document struct {
			Links    map[string]struct{ Href string } `json:"_links"`
			Embedded struct {
				Status execution.Execution `json:"status"`
			} `json:"_embedded"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil {
			t.Fatal(err)
		}
		own, _, _ := strings.Cut(w.Body.String(), `"_embedded":`)
		if own = strings.TrimSuffix(own, ",") + "}"; own != c.want {
			t.Errorf("%s: the members are %s, want %s", c.name, own, c.want)
		}
		if document.Embedded.Status.ID != e.ID || document.Embedded.Status.Status != c.status {
			t.Errorf("%s: the embedded execution is %+v, want %s with its id", c.name, document.Embedded, c.status)
		}
		if document.Links["status"].Href != "/"+e.ID.String() {
			t.Errorf("%s: the links are %v, want status to lead to the execution", c.name, document.Links)
		}
		var names []string
		for name, link := range document.Links {
			names = append(names, name)
			if name == "status" {
				continue
			}
			if got := ask(api, "GET", link.Href, ""); got.Code != 200 || got.Body.String() != c.files[strings.TrimPrefix(name, "./")] {
				t.Errorf("%s: GET the link %s = %d %q, want 200 and the content of the file", c.name, name, got.Code, got.Body)
			}
		}
		if slices.Sort(names); !slices.Equal(names, c.links) {
			t.Errorf("%s: the links to files are %v, want %v", c.name, names, c.links)
		}
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	f, api := newAPI(t)
	id := f.finished(execution.Succeeded, "", map[string]string{`plan "ä".txt`: "0123456789"}).ID.String()
	target := "/" + id + "/result/plan%20%22%C3%A4%22.txt"
	w := ask(api, "GET", target, "")
	h := w.Header()
	if w.Code != 200 || w.Body.String() != "0123456789" || h.Get("Content-Length") != "10" || h.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("GET a file = %d %s with %v, want 200 and 10 bytes of application/octet-stream", w.Code, w.Body, h)
	}
	if h.Get("Content-Disposition") != `attachment; filename*=utf-8''plan%20%22%C3%A4%22.txt` || h.Get("Accept-Ranges") != "bytes" {
		t.Errorf("the headers are %v, want an attachment with its name and ranges", h)
	}
	if w := ask(api, "HEAD", target, ""); w.Code != 200 || w.Header().Get("Content-Length") != "10" {
		t.Errorf("HEAD a file = %d %v, want 200 and a length of 10", w.Code, w.Header())
	}
	w = ask(api, "GET", target, "", "Range", "bytes=3-5")
	if w.Code != http.StatusPartialContent || w.Body.String() != "345" || w.Header().Get("Content-Range") != "bytes 3-5/10" {
		t.Errorf("GET the range 3-5 = %d %q, want 206 and 345", w.Code, w.Body)
	}
	w = ask(api, "GET", target, "", "Range", "bytes=20-")
	wantProblem(t, w, http.StatusRequestedRangeNotSatisfiable)
	if w.Header().Get("Content-Range") != "bytes */10" {
		t.Errorf("Content-Range is %q, want bytes */10", w.Header().Get("Content-Range"))
	}
	wantProblem(t, ask(api, "GET", target, "", "Accept", "image/png"), http.StatusNotAcceptable)
}

func TestPathTricks(t *testing.T) {
	t.Parallel()
	f, api := newAPI(t)
	id := f.finished(execution.Succeeded, "", map[string]string{"../x": "outside", "/etc/passwd": "outside", ".": "outside", "..": "outside"}).ID.String()
	for _, name := range []string{
		"..%2fx", "..%2Fx", "%2e%2e%2fx", "%2fetc%2fpasswd", "..%5cx", "%2e", "%2e%2e", "..", "../x", "a%00", "a/../../x",
		"..%252fx", "%c0%ae%c0%ae%2fx", "", "nothing.txt",
	} {
		w := ask(api, "GET", "/"+id+"/result/"+name, "")
		for w.Code == http.StatusTemporaryRedirect || w.Code == http.StatusMovedPermanently { // to the path without dots
			w = ask(api, "GET", w.Header().Get("Location"), "")
		}
		wantProblem(t, w, http.StatusNotFound)
	}
}
