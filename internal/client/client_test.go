package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/qhubctl/qhubctl/internal/client"
	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/plaintext"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	id    = execution.ID("5f2c0a1e-8f0e-4a53-9f67-9a4c7a1d2b3c")
	token = "t0ken-of-the-tests"
)

// serve answers by a handler, and returns a client for it.
func serve(t *testing.T, handler http.HandlerFunc) (*client.Client, *httptest.Server) {
	t.Helper()
	var mu sync.Mutex // handlers record their requests
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL+"/", plaintext.FromString(token))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, server
}

func document(status execution.Status) string {
	return fmt.Sprintf(`{"id":%q,"createdAt":"2026-01-31 22:38:08","status":%q,"tags":[]}`, id, status)
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"http://127.0.0.1:8000": true, "https://service.example/a/b/": true,
		"127.0.0.1:8000": false, "ftp://x": false, "http://": false, "http://user:pass-w0rd@host": false,
		"http://h?x=1": false, "http://h#x": false, "http://h/%zz": false,
	} {
		_, err := client.New(address, plaintext.Bytes{})
		if (err == nil) != ok {
			t.Errorf("New(%s) = %v, want accepted: %t", address, err, ok)
		}
		if err != nil && strings.Contains(err.Error(), "w0rd") {
			t.Errorf("the error is %v, want no password in it", err)
		}
	}
}

func TestExposed(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"http://127.0.0.1:8000": false, "http://localhost": false, "http://[::1]:1": false, "https://service.example": false,
		"http://service.example": true, "http://10.0.0.1": true, "http://localhost.evil.example": true,
	} {
		c, err := client.New(address, plaintext.Bytes{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Exposed() != want {
			t.Errorf("Exposed(%s) = %v, want %v", address, c.Exposed(), want)
		}
	}
}

func TestNothingFollowsARedirection(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) })
		_, err := c.Start(t.Context(), []byte(`{"$secrets":{"a":"value"}}`), "")
		var strange *client.StrangeAnswerError
		if !errors.As(err, &strange) || reached.Load() {
			t.Errorf("status %d: %v, reached: %v, want a StrangeAnswerError and no second request", status, err, reached.Load())
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status     int
		kind, body string
		says       string
	}{
		{400, "application/problem+json", `{"title":"Invalid request","detail":"No.","errors":[{"path":"n","message":"must be a number"},{"path":"","message":"no"}]}`, "Invalid request: No.\nn: must be a number\nno"},
		{400, "application/problem+json", `{"title":"Bad","errors":"none"}`, "Bad"},
		{502, "text/html", `<html>`, "502 Bad Gateway"},
		{200, "text/html", `<html>`, "is not one of the Service API"},
		{304, "", ``, "is not one of the Service API"},
	} {
		api, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		})
		_, err := api.Get(t.Context(), id)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("status %d, %s: %v, want %q", c.status, c.body, err, c.says)
		}
	}
	c, server := serve(t, nil)
	server.Close()
	_, err := c.Get(t.Context(), id)
	var gone *client.UnreachableError
	if !errors.As(err, &gone) || !strings.Contains(gone.Hint(), "qhubctl serve") {
		t.Errorf("Get(a server that is gone) = %v, want an UnreachableError with a hint", err)
	}
}

func TestListFollowsThePagesOfThisServerOnly(t *testing.T) {
	t.Parallel()
	var asked []string
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		if len(asked) < 3 {
			w.Header().Set("Link", fmt.Sprintf(`<http://evil.example/path?after=%d>; rel="next"`, len(asked)))
		}
		_, _ = fmt.Fprintf(w, "[%s,%s]", document("PENDING"), document("FAILED"))
	})
	all, err := c.List(t.Context(), "a b", 5)
	if err != nil || len(all) != 5 {
		t.Errorf("List() = %d executions, %v, want 5", len(all), err)
	}
	if want := []string{"/?limit=5&tag=a+b", "/?after=1", "/?after=2"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %v, want %v", asked, want)
	}
}

func TestFollowGoesOnAfterACut(t *testing.T) {
	t.Parallel()
	line := func(n int) string {
		return fmt.Sprintf("id: %d\nevent: log\ndata: {\"message\":\"line %d\",\"severity\":\"INFO\",\"timestamp\":\"2026-01-31T22:38:09Z\"}\n\n", n, n)
	}
	status := func(s execution.Status) string { return "event: status\ndata: " + document(s) + "\n\n" }
	var last []string
	answers := []func(http.ResponseWriter){
		func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "retry: 1\n\n"+status("RUNNING")+line(1)+line(2))
		}, // ends early
		func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		func(w http.ResponseWriter) { _, _ = io.WriteString(w, ": beat\n\n"+line(3)+status("FAILED")+line(4)) },
	}
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		last = append(last, r.Header.Get("Last-Event-ID"))
		w.Header().Set("Content-Type", "text/event-stream")
		answers[len(last)-1](w)
	})
	var got []string
	e, err := c.Watch(t.Context(), id, func(entry execution.LogEntry) error {
		got = append(got, entry.Message)
		return nil
	})
	if err != nil || e.Status != execution.Failed {
		t.Errorf("Watch() = %v, %v, want FAILED", e.Status, err)
	}
	if want := []string{"line 1", "line 2", "line 3"}; !slices.Equal(got, want) {
		t.Errorf("lines %v, want %v", got, want)
	}
	if want := []string{"", "2", "2", "2"}; !slices.Equal(last, want) {
		t.Errorf("asked to go on after %q, want %q", last, want)
	}
}

func TestFollowEnds(t *testing.T) {
	t.Parallel()
	mine := errors.New("mine")
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    func(error) bool
	}{
		"unknown execution": {
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
			func(err error) bool { _, ok := errors.AsType[*client.RefusedError](err); return ok },
		},
		"the caller's error": {
			func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "event: log\ndata: {\"message\":\"x\",\"timestamp\":\"2026-01-31T22:38:09Z\"}\n\n")
			},
			func(err error) bool { return errors.Is(err, mine) },
		},
		"had all": {
			func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/log") {
					w.WriteHeader(http.StatusNoContent)
					return
				}
				_, _ = io.WriteString(w, document("SUCCEEDED"))
			},
			func(err error) bool { return err == nil },
		},
	} {
		api, _ := serve(t, c.handler)
		if _, err := api.Watch(t.Context(), id, func(execution.LogEntry) error { return mine }); !c.want(err) {
			t.Errorf("Watch(%s) = %v, want another error", name, err)
		}
	}
	begun := make(chan struct{})
	api, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		close(begun)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if _, err := api.Watch(ctx, id, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Watch(cancelled) = %v, want context.Canceled", err)
	}
}

func TestResultKeepsTheTextOfTheMembers(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"n": 12345678901234567890, "f": 1.10, "_links": {"status": {"href": "/x"}, "b": {"href": "/y"}, "a": {"href": "/z"}}, "_embedded": {"status": `+document("SUCCEEDED")+`}}`)
	})
	r, err := c.Result(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Members) != `{"n":12345678901234567890,"f":1.10}` || !slices.Equal(r.Files, []string{"a", "b"}) || r.Execution.Status != execution.Succeeded {
		t.Errorf("Result() = members %s, files %v, execution %+v, want the text unchanged", r.Members, r.Files, r.Execution)
	}
}
