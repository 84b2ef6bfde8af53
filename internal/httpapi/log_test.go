package httpapi_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/httpapi"
)

func TestLog(t *testing.T) {
	t.Parallel()
	f, api := newAPI(t)
	id := f.add(execution.Running).ID
	target := "/" + id.String() + "/log"
	for _, accept := range []string{"", "text/plain"} {
		if w := ask(api, "GET", target, "", "Accept", accept); w.Code != http.StatusNoContent || w.Body.Len() > 0 {
			t.Errorf("GET an empty log with Accept %q = %d %q, want 204", accept, w.Code, w.Body)
		}
	}
	f.write(id, "one", "t<w>o")
	w := ask(api, "GET", target, "")
	want := `[{"message":"one","severity":"INFO","timestamp":"2026-01-31T22:38:09Z"},` +
		`{"message":"t\u003cw\u003eo","severity":"INFO","timestamp":"2026-01-31T22:38:09Z"}]`
	if w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("GET the log = %d %v %s, want 200 and JSON %s", w.Code, w.Header(), w.Body, want)
	}
	w = ask(api, "GET", target, "", "Accept", "text/plain, application/json;q=0.5")
	if w.Body.String() != "2026-01-31T22:38:09Z INFO one\n2026-01-31T22:38:09Z INFO t<w>o\n" || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("GET the log as text = %q with %v, want two lines of text/plain", w.Body, w.Header())
	}
}

func TestLongLogIsWhole(t *testing.T) {
	t.Parallel()
	for _, n := range []int{999, 1000, 1001, 2000, 3500} {
		f, api := newAPI(t)
		id := f.add(execution.Running).ID
		for i := range n {
			f.write(id, strconv.Itoa(i))
		}
		var entries []execution.LogEntry
		if err := json.Unmarshal(ask(api, "GET", "/"+id.String()+"/log", "").Body.Bytes(), &entries); err != nil {
			t.Fatal(err)
		}
		if len(entries) != n || entries[n-1].Message != strconv.Itoa(n-1) {
			t.Errorf("GET a log of %d lines returned %d, want all in order", n, len(entries))
		}
	}
}

// event is one of an event stream.
type event struct{ id, kind, data string }

func (e event) String() string {
	if e.kind == "status" {
		var x execution.Execution
		_ = json.Unmarshal([]byte(e.data), &x)
		return string(x.Status)
	}
	var entry execution.LogEntry
	_ = json.Unmarshal([]byte(e.data), &entry)
	return e.id + " " + entry.Message
}

// stream opens an event stream; what it gives comes from next, and nil when
// the stream has ended.
func stream(t *testing.T, server *httptest.Server, target, last string) (next func() *event) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode == http.StatusNoContent {
		return func() *event { return nil }
	}
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("the content type is %q, want text/event-stream", got)
	}
	lines := bufio.NewScanner(response.Body)
	return func() *event {
		var e event
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.kind = value
			case "data":
				e.data = value
			case "":
				if e.kind != "" {
					return &e
				}
			}
		}
		return nil
	}
}

func newServer(t *testing.T, change func(*httpapi.Options)) (*fakeService, *httpapi.API, *httptest.Server) {
	t.Helper()
	f := newFake(t)
	o := httpapi.Options{Service: f, LoopbackOnly: true}
	if change != nil {
		change(&o)
	}
	api := httpapi.New(o)
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return f, api, server
}

func all(next func() *event) []string {
	var got []string
	for e := next(); e != nil; e = next() {
		got = append(got, e.String())
	}
	return got
}

func TestEventsAreLiveAndEnd(t *testing.T) {
	t.Parallel()
	f, _, server := newServer(t, nil)
	id := f.add(execution.Pending).ID
	next := stream(t, server, "/"+id.String()+"/log", "")
	step := func(want string) {
		t.Helper()
		if e := next(); e == nil || e.String() != want {
			t.Fatalf("got %v, want %s", e, want)
		}
	}
	step("PENDING")
	f.set(id, execution.Running)
	step("RUNNING")
	f.write(id, "a dot")
	step("1 a dot")
	f.write(id, "two", "three")
	step("2 two")
	step("3 three")
	f.set(id, execution.Succeeded)
	step("SUCCEEDED")
	if e := next(); e != nil {
		t.Errorf("the stream sent %v after the end, want nothing", e)
	}
}

func TestEventsGoOnWhereTheyWereCutOff(t *testing.T) {
	t.Parallel()
	f, _, server := newServer(t, nil)
	id := f.add(execution.Succeeded).ID
	target := "/" + id.String() + "/log"
	if got := all(stream(t, server, target, "")); !slices.Equal(got, []string{"SUCCEEDED"}) {
		t.Errorf("the events without a log are %v, want SUCCEEDED only", got)
	}
	f.write(id, "one", "two", "three")
	for last, want := range map[string][]string{
		"":  {"1 one", "2 two", "3 three", "SUCCEEDED"},
		"1": {"2 two", "3 three", "SUCCEEDED"},
		"3": nil, // 204: a browser asks no more
	} {
		if got := all(stream(t, server, target, last)); !slices.Equal(got, want) {
			t.Errorf("after %q: %v, want %v", last, got, want)
		}
	}
}

// poll asks for an execution when it has ended.
func poll(t *testing.T, server *httptest.Server, id execution.ID, wait string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/"+id.String()+"?wait="+wait, http.NoBody)
	if err != nil {
		return nil, err
	}
	return server.Client().Do(r)
}

func TestDrainEndsWhatWaits(t *testing.T) {
	t.Parallel()
	f, api, server := newServer(t, nil)
	id := f.add(execution.Running).ID
	next := stream(t, server, "/"+id.String()+"/log", "")
	if e := next(); e == nil || e.String() != "RUNNING" {
		t.Fatalf("the first event is %v, want RUNNING", e)
	}
	polled := make(chan string)
	go func() {
		response, err := poll(t, server, id, "1h")
		if err != nil {
			polled <- err.Error()
			return
		}
		defer func() { _ = response.Body.Close() }()
		var e execution.Execution
		if err := json.NewDecoder(response.Body).Decode(&e); err != nil {
			polled <- err.Error()
			return
		}
		polled <- fmt.Sprint(response.StatusCode, " ", e.Status)
	}()
	api.Drain()
	if e := next(); e != nil {
		t.Errorf("the stream sent %v after the shutdown began, want its end", e)
	}
	if got := <-polled; got != "200 RUNNING" {
		t.Errorf("the long poll answered %s, want 200 RUNNING", got)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	f, _, server := newServer(t, nil)
	id := f.add(execution.Running).ID
	for _, wait := range []string{"1ms", "0", "0s"} {
		w := ask(httpapi.New(httpapi.Options{Service: f}), "GET", "/"+id.String()+"?wait="+wait, "")
		if members(t, w.Body.Bytes())["status"] != "RUNNING" {
			t.Errorf("GET with wait=%s = %s, want RUNNING", wait, w.Body)
		}
	}
	polled := make(chan execution.Status)
	go func() {
		response, err := poll(t, server, id, "60")
		if err != nil {
			polled <- execution.Unknown
			return
		}
		defer func() { _ = response.Body.Close() }()
		var e execution.Execution
		_ = json.NewDecoder(response.Body).Decode(&e)
		polled <- e.Status
	}()
	f.set(id, execution.Failed)
	if got := <-polled; got != execution.Failed {
		t.Errorf("the long poll answered %s, want FAILED", got)
	}
}

// TestNewOnesSettle polls a new execution, and polls an older one twice in a row:
// both polls are held until the execution ends.
func TestNewOnesSettle(t *testing.T) {
	t.Parallel()
	f, _, _ := newServer(t, nil)
	api := httpapi.New(httpapi.Options{Service: f, Limits: httpapi.Limits{PollHold: time.Hour}})
	status := func(query string, id execution.ID) any {
		return members(t, ask(api, "GET", "/"+id.String()+query, "").Body.Bytes())["status"]
	}
	old := f.add(execution.Running).ID
	if got := status("", old); got != "RUNNING" {
		t.Errorf("the first poll of an older execution = %v, want RUNNING", got)
	}
	id := f.add(execution.Running).ID
	f.with(func() { f.find(id).CreatedAt = time.Now() })
	for what, id := range map[string]execution.ID{"of a new execution": id, "soon after another": old} {
		if got := status("?wait=0", id); got != "RUNNING" {
			t.Errorf("a poll %s with wait=0 = %v, want RUNNING", what, got)
		}
		answered := make(chan any)
		go func() { answered <- status("", id) }()
		f.set(id, execution.Failed)
		if got := <-answered; got != "FAILED" {
			t.Errorf("a poll %s = %v, want FAILED", what, got)
		}
	}
}
