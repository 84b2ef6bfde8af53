package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/httpapi"
	"github.com/qhubctl/qhubctl/internal/signature"
	"github.com/qhubctl/qhubctl/internal/store"
)

const accepted = `{"n": 4, "$secrets": {"api_token": "s3cr3t-value"}, "$tags": ["blue"]}`

// ask makes a request without a network.
func ask(api http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, "http://localhost:8000"+target, strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w
}

func newAPI(t testing.TB) (*fakeService, *httpapi.API) {
	t.Helper()
	f := newFake(t)
	return f, httpapi.New(httpapi.Options{Service: f, LoopbackOnly: true})
}

// members decodes an object.
func members(t testing.TB, text []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("Unmarshal(%s) = %v, want an object", text, err)
	}
	return m
}

// wantProblem checks that an answer is a problem document of a status.
func wantProblem(t testing.TB, w *httptest.ResponseRecorder, status int) map[string]any {
	t.Helper()
	if w.Code != status {
		t.Fatalf("got %d, want %d: %s", w.Code, status, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("the content type is %q, want application/problem+json", got)
	}
	document := members(t, w.Body.Bytes())
	if document["status"] != float64(status) || document["title"] == "" || document["type"] == "" {
		t.Errorf("the answer with %d is %s, want a problem document", status, w.Body)
	}
	return document
}

func TestStart(t *testing.T) {
	t.Parallel()
	f, api := newAPI(t)
	w := ask(api, "POST", "/", accepted)
	if w.Code != http.StatusCreated {
		t.Fatalf("POST / = %d %s, want 201", w.Code, w.Body)
	}
	e := members(t, w.Body.Bytes())
	want := map[string]any{
		"id": f.executions[0].ID.String(), "createdAt": "2026-01-31 22:38:08", "startedAt": nil, "endedAt": nil,
		"status": "PENDING", "type": "MANAGED", "serviceId": serviceID, "serviceDefinitionId": nil, "applicationId": nil,
	}
	tags := e["tags"]
	delete(e, "tags")
	if !maps.Equal(e, want) || fmt.Sprint(tags) != "[blue]" {
		t.Errorf("the answer is %v with tags %v, want a PENDING execution with its tags", e, tags)
	}
	if got := w.Header().Get("Location"); got != "/"+f.executions[0].ID.String() {
		t.Errorf("Location is %q, want the path of the execution", got)
	}
	if f.copies[0] != accepted {
		t.Errorf("the engine got %q, want the body unchanged", f.copies[0])
	}
	if strings.Trim(string(f.bodies[0]), "\x00") != "" {
		t.Error("the body has its text after the answer, want it wiped")
	}
	if got := ask(api, "GET", w.Header().Get("Location"), ""); got.Code != http.StatusOK {
		t.Errorf("GET the new execution = %d, want 200", got.Code)
	}
}

func TestStartListsAllErrorsAndEchoesNothing(t *testing.T) {
	t.Parallel()
	f, api := newAPI(t)
	w := ask(api, "POST", "/", `{"n": "s3cr3t-value", "what": 1, "$secrets": {"api_token": {"v": "s3cr3t-value"}, "other": "s3cr3t-value"}}`)
	document := wantProblem(t, w, http.StatusBadRequest)
	if document["type"] != httpapi.TypeRequest {
		t.Errorf("the type is %v, want %s", document["type"], httpapi.TypeRequest)
	}
	var paths []string
	for _, e := range document["errors"].([]any) {
		paths = append(paths, e.(map[string]any)["path"].(string))
	}
	if want := []string{"$secrets.api_token", "$secrets.other", "n", "what"}; !slices.Equal(paths, want) {
		t.Errorf("errors at %v, want %v", paths, want)
	}
	if strings.Contains(w.Body.String(), "s3cr3t") {
		t.Error("the answer repeats the body, want no part of it")
	}
	if len(f.executions) != 0 {
		t.Error("an invalid body started an execution, want none")
	}
	var many strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&many, `"k%d":1,`, i)
	}
	w = ask(api, "POST", "/", "{"+many.String()+`"n":1}`)
	if document := wantProblem(t, w, http.StatusBadRequest); len(document["errors"].([]any)) != 100 || document["errorsOmitted"] != float64(4901) {
		t.Errorf("%d errors are listed and %v omitted, want 100 listed and the rest counted", len(document["errors"].([]any)), document["errorsOmitted"])
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	f, api := newAPI(t)
	first := ask(api, "POST", "/", accepted, "Idempotency-Key", "k 1")
	second := ask(api, "POST", "/", accepted, "Idempotency-Key", "k 1")
	if first.Code != 201 || second.Code != 201 || first.Body.String() != second.Body.String() || len(f.executions) != 1 {
		t.Errorf("POST twice with one key = %d %s, %d %s, want the same execution", first.Code, first.Body, second.Code, second.Body)
	}
	if first.Header().Get("Idempotency-Replayed") != "" || second.Header().Get("Idempotency-Replayed") != "true" {
		t.Error("the header of a replay is missing or on a first answer, want it on the replay only")
	}
	for name, key := range map[string]string{"too long": strings.Repeat("k", 256), "not printable": "k\x7f", "empty": ""} {
		if w := ask(api, "POST", "/", accepted, "Idempotency-Key", key); w.Code != http.StatusBadRequest {
			t.Errorf("POST with the key %s = %d, want 400", name, w.Code)
		}
	}
}

func TestErrorsOfTheEngine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		header string
	}{
		{&store.QueueFullError{Limit: 3}, http.StatusTooManyRequests, "Retry-After"},
		{fmt.Errorf("engine: %w", store.ErrIdempotencyMismatch), http.StatusUnprocessableEntity, ""},
		{store.ErrFull, http.StatusInsufficientStorage, ""},
		{store.ErrClosed, http.StatusServiceUnavailable, "Retry-After"},
		{store.ErrBusy, http.StatusServiceUnavailable, "Retry-After"},
		{store.ErrInvalid, http.StatusBadRequest, ""},
		{&signature.TooLargeError{Path: "rows"}, http.StatusRequestEntityTooLarge, ""},
		{errors.New("the inside s3cr3t-value"), http.StatusInternalServerError, ""},
	} {
		f, api := newAPI(t)
		f.err = c.err
		w := ask(api, "POST", "/", accepted)
		document := wantProblem(t, w, c.status)
		if c.header != "" && w.Header().Get(c.header) == "" {
			t.Errorf("the answer for %v has no %s, want one", c.err, c.header)
		}
		if strings.Contains(w.Body.String(), "inside") {
			t.Errorf("the answer has internal details: %s, want none", w.Body)
		}
		if c.status >= 500 && !strings.HasPrefix(fmt.Sprint(document["instance"]), "urn:uuid:") {
			t.Errorf("the answer for %v has the instance %v, want one for server errors only", c.err, document["instance"])
		}
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	f, api := newAPI(t)
	f.add(execution.Running)
	id := f.executions[0].ID.String()
	other := execution.NewID().String()
	for _, c := range []struct {
		method, target string
		status         int
		headers        []string
	}{
		{"GET", "/nothing/here/at/all", 404, nil},
		{"GET", "/favicon.ico", 404, nil},
		{"GET", "/" + other, 404, nil},
		{"GET", "/" + other + "/result", 404, nil},
		{"GET", "/" + other + "/log", 404, nil},
		{"PUT", "/" + other + "/cancel", 404, nil},
		{"GET", "/{" + id[1:35] + "}", 404, nil},
		{"GET", "/" + id + "/", 404, nil},
		{"GET", "//" + id, 404, nil},
		{"GET", "/" + id + "/result/../log", 404, nil},
		{"GET", "/" + id + "/result", 404, nil}, // not finished
		{"DELETE", "/", 405, nil},
		{"POST", "/" + id, 405, nil},
		{"GET", "/" + id + "/cancel", 405, nil},
		{"BREW", "/" + id + "/log", 405, nil},
		{"GET", "/", 406, []string{"Accept", "text/turtle"}},
		{"GET", "/" + id, 406, []string{"Accept", "application/json;q=0"}},
		{"GET", "/" + id + "/log", 406, []string{"Accept", "image/png"}},
		{"GET", "/" + id + "?wait=soon", 400, nil},
		{"GET", "/" + id + "?wait=-1s", 400, nil},
		{"GET", "/?limit=0", 400, nil},
		{"GET", "/?limit=1001", 400, nil},
		{"GET", "/?limit=x", 400, nil},
		{"GET", "/" + id + "/log", 400, []string{"Accept", "text/event-stream", "Last-Event-ID", "x"}},
	} {
		w := ask(api, c.method, c.target, "", c.headers...)
		wantProblem(t, w, c.status)
		if (c.status == http.StatusMethodNotAllowed) != (w.Header().Get("Allow") != "") {
			t.Errorf("%s %s = %d with Allow %q, want Allow for 405 only", c.method, c.target, c.status, w.Header().Get("Allow"))
		}
	}
	for _, c := range []struct{ header, value string }{
		{"Content-Type", "application/x-www-form-urlencoded"},
		{"Content-Type", "text/plain"},
		{"Content-Type", "application/json; charset=latin1"},
		{"Content-Type", "////"},
		{"Content-Encoding", "gzip"},
	} {
		wantProblem(t, ask(api, "POST", "/", accepted, c.header, c.value), http.StatusUnsupportedMediaType)
	}
	if w := ask(api, "POST", "/", accepted, "Content-Type", "application/vnd.x+json; charset=UTF-8"); w.Code != 201 {
		t.Errorf("POST with application/vnd.x+json = %d, want 201", w.Code)
	}
	for _, kind := range []string{"application/json; charset=utf8", `application/json; charset="UTF-8"`, "application/json;charset=us-ascii", "text/json"} {
		if w := ask(api, "POST", "/", "\ufeff"+accepted, "Content-Type", kind); w.Code != 201 {
			t.Errorf("POST with a byte order mark as %s = %d, want 201: %s", kind, w.Code, w.Body)
		}
	}
	for accept, want := range map[string]int{
		"application/hal+json": 200, "application/problem+json, application/vnd.siren+json;q=0.5": 200, "application/*+json": 200, "text/json": 200,
		"application/hal+json;q=0": 406, "application/hal+json; q=0.0, image/png": 406, "application/xhtml+xml": 406,
	} {
		w := ask(api, "GET", "/"+id, "", "Accept", accept)
		if w.Code != want || want == 200 && w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("GET with Accept: %s = %d %s, want %d", accept, w.Code, w.Header().Get("Content-Type"), want)
		}
	}
}

func TestAllowedMethods(t *testing.T) {
	t.Parallel()
	_, api := newAPI(t)
	for target, want := range map[string]string{
		"/": "GET, HEAD, OPTIONS, POST", "/x/cancel": "OPTIONS, PUT", "/x/log": "GET, HEAD, OPTIONS",
	} {
		w := ask(api, "OPTIONS", target, "")
		if w.Code != http.StatusNoContent || w.Header().Get("Allow") != want {
			t.Errorf("OPTIONS %s: %d %q", target, w.Code, w.Header().Get("Allow"))
		}
		if w := ask(api, "PATCH", target, ""); w.Header().Get("Allow") != want {
			t.Errorf("PATCH %s: %q", target, w.Header().Get("Allow"))
		}
	}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	f, api := newAPI(t)
	if w := ask(api, "GET", "/", ""); w.Body.String() != "[]\n" {
		t.Errorf("GET / without executions = %s, want []", w.Body)
	}
	for i := range 7 {
		tag := "odd"
		if i%2 == 0 {
			tag = "a b&c"
		}
		f.add(execution.Pending, tag)
	}
	var seen []string
	for next := "/?tag=a+b%26c&limit=2"; next != ""; {
		w := ask(api, "GET", next, "")
		var page []execution.Execution
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page {
			seen = append(seen, e.ID.String())
		}
		link, rel, _ := strings.Cut(w.Header().Get("Link"), ">")
		if next = strings.TrimPrefix(link, "<"); next != "" && rel != `; rel="next"` {
			t.Errorf("the Link header ends with %q, want rel=\"next\"", rel)
		}
	}
	want := []string{f.executions[6].ID.String(), f.executions[4].ID.String(), f.executions[2].ID.String(), f.executions[0].ID.String()}
	if !slices.Equal(seen, want) {
		t.Errorf("saw %v, want %v", seen, want)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	f, api := newAPI(t)
	running, done := f.add(execution.Running).ID, f.add(execution.Succeeded).ID
	for _, id := range []execution.ID{running, done, running} {
		if w := ask(api, "PUT", "/"+id.String()+"/cancel", ""); w.Code != http.StatusNoContent || w.Body.Len() > 0 {
			t.Errorf("PUT cancel = %d %s, want 204 without a body", w.Code, w.Body)
		}
	}
	if f.find(running).Status != execution.Cancelled || f.find(done).Status != execution.Succeeded {
		t.Error("after the cancellations, the running execution is not CANCELLED or the ended one has changed, want only the running one cancelled")
	}
}

func TestSecurityHeaders(t *testing.T) {
	t.Parallel()
	f, api := newAPI(t)
	id := f.finished(execution.Succeeded, `{}`, map[string]string{"a.html": "<script>"}).ID.String()
	for _, target := range []string{"/", "/" + id, "/" + id + "/result", "/" + id + "/result/a.html", "/nothing/here"} {
		h := ask(api, "GET", target, "").Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
		} {
			if h.Get(name) != want {
				t.Errorf("GET %s has %s: %q, want %q", target, name, h.Get(name), want)
			}
		}
	}
}

func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	_, local := newAPI(t)
	for host, ok := range map[string]bool{
		"localhost": true, "LOCALHOST:8000": true, "127.0.0.1:9": true, "127.8.8.8": true, "[::1]:80": true, "a.localhost": true,
		"localhost.": true, "[::ffff:127.0.0.1]": true,
		"evil.example": false, "localhost.evil.example": false, "10.0.0.1": false, "127.0.0.1.evil.example": false, "": false, "0.0.0.0": false,
	} {
		if w := ask(local, "GET", "/", "", "Host", host); (w.Code == 200) != ok {
			t.Errorf("GET / with Host %q = %d, want it answered: %t", host, w.Code, ok)
		}
	}
	for _, c := range []struct {
		method, header, value string
		status                int
	}{
		{"POST", "Origin", "http://evil.example", 403},
		{"POST", "Origin", "null", 403},
		{"POST", "Sec-Fetch-Site", "cross-site", 403},
		{"POST", "Sec-Fetch-Site", "same-site", 403},
		{"POST", "Origin", "http://localhost:8000", 201},
		{"POST", "Sec-Fetch-Site", "same-origin", 201},
		{"GET", "Origin", "http://evil.example", 200},
	} {
		if w := ask(local, c.method, "/", accepted, c.header, c.value); w.Code != c.status {
			t.Errorf("%s with %s: %s = %d, want %d", c.method, c.header, c.value, w.Code, c.status)
		}
	}
	if w := ask(local, "GET", "/", "", "Authorization", "Bearer anything"); w.Code != 200 {
		t.Errorf("GET / with any token = %d, want 200", w.Code)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	api := httpapi.New(httpapi.Options{Service: f, Auth: httpapi.NewToken(secret("t0ken-value"))})
	basic := func(password string) string {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.SetBasicAuth("any one", password)
		return r.Header.Get("Authorization")
	}
	for header, ok := range map[string]bool{
		"Bearer t0ken-value": true, "bearer t0ken-value": true, basic("t0ken-value"): true,
		"": false, "Bearer": false, "Bearer ": false, "Bearer t0ken-valuE": false, "Bearer t0ken-value2": false,
		"t0ken-value": false, "Token t0ken-value": false, basic(""): false, basic("x"): false,
	} {
		w := ask(api, "GET", "/", "", "Authorization", header, "Host", "service.example")
		if ok && w.Code != 200 {
			t.Errorf("GET / with Authorization %q = %d, want 200", header, w.Code)
		}
		if !ok {
			wantProblem(t, w, http.StatusUnauthorized)
			if !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("the challenge is %q, want Bearer first", w.Header().Get("WWW-Authenticate"))
			}
		}
	}
}

// readers admits everyone, to read.
type readers struct{}

func (readers) Challenge() string { return "" }
func (readers) Authenticate(*http.Request) (access.Principal, error) {
	return access.Principal{Kind: "reader", Rights: []access.Right{access.Read}}, nil
}

// TestRights calls every route as a caller that may read only.
func TestRights(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	e := f.finished(execution.Succeeded, `{"a": 1}`, nil)
	api := httpapi.New(httpapi.Options{Service: f, Auth: readers{}})
	id := "/" + e.ID.String()
	for path, want := range map[string]int{"/": 200, id: 200, id + "/result": 200, id + "/log": 204, "/openapi.json": 200} {
		if w := ask(api, "GET", path, ""); w.Code != want {
			t.Errorf("GET %s as a reader = %d, want %d", path, w.Code, want)
		}
	}
	wantProblem(t, ask(api, "POST", "/", accepted), http.StatusForbidden)
	wantProblem(t, ask(api, "PUT", id+"/cancel", ""), http.StatusForbidden)
}

func TestPanicTellsNoValue(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var log bytes.Buffer
	api := httpapi.New(httpapi.Options{
		Service: f, Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	f.panics = errors.New("a value: s3cr3t-value")
	w := ask(api, "GET", "/"+execution.NewID().String()+"?q=s3cr3t-value", "")
	wantProblem(t, w, http.StatusInternalServerError)
	if strings.Contains(w.Body.String()+log.String(), "s3cr3t") {
		t.Errorf("the answer or the log holds the value of the panic, want none:\n%s\n%s", w.Body, log.String())
	}
	if !strings.Contains(log.String(), "fakeService") {
		t.Errorf("the log is %s, want the stack of the panic", log.String())
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var log bytes.Buffer
	api := httpapi.New(httpapi.Options{Service: f, Log: slog.New(slog.NewJSONHandler(&log, nil))})
	ask(api, "POST", "/?token=s3cr3t-value", accepted)
	ask(api, "GET", "/s3cr3t-value", "", "Authorization", "Bearer s3cr3t-value")
	ask(api, "s3cr3t-value", "/", "")
	ask(api, "GET", "/", "")
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("the log of 4 requests at level INFO has %d lines, want 3 without the successful GET:\n%s", len(lines), log.String())
	}
	if strings.Contains(log.String(), "s3cr3t") {
		t.Errorf("the access log holds a value, want none:\n%s", log.String())
	}
	first := members(t, []byte(lines[0]))
	if first["method"] != "POST" || first["status"] != float64(201) || first["route"] != "/" {
		t.Errorf("the log line is %v, want method POST, status 201, route /", first)
	}
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	_, api := newAPI(t)
	w := ask(api, "GET", "/openapi.json", "")
	document := members(t, w.Body.Bytes())
	servers := document["servers"].([]any)[0].(map[string]any)
	if document["openapi"] != "3.1.0" || servers["url"] != "http://localhost:8000" {
		t.Errorf("the description has openapi %v and server %v, want 3.1.0 and http://localhost:8000", document["openapi"], servers["url"])
	}
	if _, err := io.Copy(io.Discard, w.Body); err != nil {
		t.Fatal(err)
	}
}
