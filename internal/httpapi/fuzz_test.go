package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/httpapi"
)

// FuzzRequest asks for anything in any way: no answer is a 500 or holds the
// secret, every error is a problem document, and no path leads to a file that
// is not a result.
func FuzzRequest(f *testing.F) {
	fake := newFake(f)
	id := fake.finished(execution.Succeeded, `{}`, map[string]string{"a.txt": "fine", "../x": "OUTSIDE", "/etc/passwd": "OUTSIDE"}).ID.String()
	api := httpapi.New(httpapi.Options{Service: fake, LoopbackOnly: true})
	for _, seed := range [][3]string{
		{"GET", "/", ""}, {"POST", "/", accepted}, {"POST", "/", `{"$secrets": {"api_token": ["s3cr3t"]}}`},
		{"GET", "/" + id, ""}, {"GET", "/" + id + "?wait=1ms", ""}, {"GET", "/" + id + "/result/..%2fx", ""},
		{"GET", "/" + id + "/result/%2fetc%2fpasswd", ""}, {"GET", "/" + id + "/result/./a.txt", ""}, {"GET", "//" + id + "/log", ""},
		{"PUT", "/" + id + "/cancel", ""}, {"GET", "/?limit=1&after=%00", ""}, {"OPTIONS", "*", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], "application/json", "*/*")
	}
	f.Fuzz(func(t *testing.T, method, target, body, contentType, accept string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Query().Get("wait") != "" && !strings.HasSuffix(u.Query().Get("wait"), "ms") {
			t.Skip("no request has this address")
		}
		r := &http.Request{
			Method: method, URL: u, Host: "localhost", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header:        http.Header{"Content-Type": {contentType}, "Accept": {accept}},
			ContentLength: int64(len(body)),
		}
		w := httptest.NewRecorder()
		r.Body = http.NoBody
		if body != "" {
			r.Body = io.NopCloser(strings.NewReader(body))
		}
		api.ServeHTTP(w, r.WithContext(t.Context()))
		if w.Code >= 500 {
			t.Errorf("%d: %s", w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "OUTSIDE") {
			t.Error("a file outside of the results was read, want none")
		}
		if strings.Contains(body, "s3cr3t") && strings.Contains(w.Body.String(), "s3cr3t") {
			t.Errorf("the answer holds the secret: %s, want none", w.Body)
		}
		if w.Code >= 400 && (w.Header().Get("Content-Type") != "application/problem+json" || !json.Valid(w.Body.Bytes())) {
			t.Errorf("the answer with %d is no problem document: %s, want one", w.Code, w.Body)
		}
	})
}
