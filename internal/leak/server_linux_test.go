package leak_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/leak"
	"github.com/qhubctl/qhubctl/internal/testenv"
)

// patience is how long a step may take on a busy machine.
const patience = 2 * time.Minute

// A server is a `qhubctl serve` in a separate process.
type server struct {
	t       *testing.T
	command *exec.Cmd
	url     string
	out     *testenv.Buffer // of both streams
	client  *http.Client
	found   *findings
	ended   func() error
}

// serve starts the command of a program that serves a workspace.
func serve(t *testing.T, command *exec.Cmd, found *findings) *server {
	t.Helper()
	s := &server{t: t, command: command, out: &testenv.Buffer{}, found: found, client: &http.Client{Transport: &http.Transport{}}}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = s.out
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(io.TeeReader(stdout, s.out))
	s.ended = sync.OnceValue(func() error {
		s.client.CloseIdleConnections()
		_, _ = io.Copy(io.Discard, reader)
		return command.Wait()
	})
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = s.ended()
	})
	line, err := reader.ReadString('\n')
	if err != nil {
		_ = s.ended()
		t.Fatalf("the server did not start: %v, want its address\n%s", err, s.out.Bytes())
	}
	s.url = strings.TrimSpace(line)
	return s
}

// await waits until the server has printed a text.
func (s *server) await(text string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !bytes.Contains(s.out.Bytes(), []byte(text)); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("the server never printed %q, want it in\n%s", text, s.out.Bytes())
		}
	}
}

// stop interrupts the server like a user.
func (s *server) stop() {
	s.t.Helper()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.ended(); err != nil {
		s.t.Errorf("the server ended with %v, want success\n%s", err, s.out.Bytes())
	}
	s.found.search("the terminal of serve", s.out.Bytes())
}

// An answer of the server, whose every byte has been searched.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// request sends a request, and searches the answer: unchanged, and the decoded texts in it
// if it is JSON.
func (s *server) request(method, path, accept string, body []byte) answer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	a, err := s.try(ctx, method, path, accept, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v, want an answer\n%s", method, path, err, s.out.Bytes())
	}
	return a
}

func (s *server) try(ctx context.Context, method, path, accept string, body []byte) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	var all bytes.Buffer
	fmt.Fprintln(&all, response.Status)
	if err := response.Header.Write(&all); err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(response.Body)
	all.Write(text)
	place := fmt.Sprintf("the answer to %s %s (%s)", method, path, accept)
	s.found.search(place, all.Bytes())
	s.found.searchJSON(place, text)
	return answer{response.StatusCode, response.Header, text}, err
}

func (s *server) get(path, accept string) answer { return s.request(http.MethodGet, path, accept, nil) }

// metrics searches the page for Prometheus, at its separate address.
func (s *server) metrics() {
	s.t.Helper()
	_, address, found := strings.Cut(string(s.out.Bytes()), "Metrics ")
	address, _, ended := strings.Cut(address, "/metrics\n")
	if !found || !ended {
		s.t.Fatalf("the server does not print the address of its metrics, want it in\n%s", s.out.Bytes())
	}
	shown := *s
	shown.url = address
	if a := shown.get("/metrics", ""); a.status != http.StatusOK || !bytes.Contains(a.body, []byte("qhubctl_executions_ended_total")) {
		s.t.Errorf("the metrics are %d %s, want the executions", a.status, a.body)
	}
}

// start starts an execution with the secrets of canaries, and returns its id.
func (s *server) start(m mode, canaries []leak.Canary) string {
	s.t.Helper()
	a := s.request(http.MethodPost, "/", "", request(s.t, m, canaries))
	var e struct{ ID string }
	if err := json.Unmarshal(a.body, &e); err != nil || a.status != http.StatusCreated {
		s.t.Fatalf("starting %s: %d %s, want 201", m, a.status, a.body)
	}
	return e.ID
}

// request is the body of a request with the secrets of canaries.
func request(t *testing.T, m mode, canaries []leak.Canary) []byte {
	t.Helper()
	secrets := map[string]string{}
	for _, c := range given(canaries) {
		secrets[parameter(c)] = c.Value
	}
	body, err := json.Marshal(map[string]any{"mode": m, "$secrets": secrets})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// A stream is the event stream of an execution, read by a goroutine.
type stream struct {
	text  *testenv.Buffer
	ended chan struct{}
}

// follow reads the event stream of an execution, and searches it when it ends.
func (s *server) follow(id string) *stream {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/"+id+"/log", http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	response, err := s.client.Do(request) //nolint:bodyclose // the goroutine closes it
	if err != nil {
		s.t.Fatal(err)
	}
	f := &stream{&testenv.Buffer{}, make(chan struct{})}
	go func() {
		defer close(f.ended)
		defer func() { _ = response.Body.Close() }()
		_, _ = io.Copy(f.text, response.Body) // a killed server cuts it off
		s.found.search("the event stream", f.text.Bytes())
		for line := range bytes.Lines(f.text.Bytes()) {
			if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				s.found.searchJSON("the event stream", data)
			}
		}
	}()
	return f
}

// awaitText waits until a stream has a text.
func (s *server) awaitText(f *stream, text string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !bytes.Contains(f.text.Bytes(), []byte(text)); {
		select {
		case <-f.ended:
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the stream never had %q, want it in\n%s\n%s", text, f.text.Bytes(), s.out.Bytes())
		}
	}
}
