package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/httpapi"
)

// patience is how long something may take that has to happen.
const patience = 2 * time.Minute

// soon is a deadline of the server that a test waits for.
const soon = 300 * time.Millisecond

// patient limits have no deadline that a busy machine could miss.
func patient() httpapi.Limits {
	l := httpapi.DefaultLimits()
	l.HeaderTimeout, l.BodyTimeout, l.WriteTimeout, l.IdleTimeout = patience, patience, patience, patience
	l.Shutdown = time.Second
	return l
}

// A watched server is one whose connections can be looked at from its side.
type watched struct {
	*fakeService
	address string
	tap     *tap
}

// serve runs a server until the test ends.
func serve(t *testing.T, limits httpapi.Limits) *watched {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &watched{newFake(t), listener.Addr().String(), &tap{Listener: listener, conns: map[string]*tapped{}}}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- httpapi.New(httpapi.Options{Service: s.fakeService, LoopbackOnly: true, Limits: limits}).Serve(ctx, s.tap)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve() = %v, want no error", err)
		}
	})
	return s
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil { // of the test, not of the server
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func status(t *testing.T, c net.Conn) int {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= 400 && response.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("the answer with %d is no problem document, want one", response.StatusCode)
	}
	return response.StatusCode
}

// wantClosed waits until the server has closed a connection.
func wantClosed(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the server keeps the connection, want it closed")
	}
}

const head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

func TestSlowClientsAreGivenUp(t *testing.T) {
	t.Parallel()
	limits := patient()
	limits.HeaderTimeout = soon
	s := serve(t, limits)
	for name, text := range map[string]string{
		"silent":      "",
		"slow header": "POST / HTTP/1.1\r\nHost: local",
	} {
		t.Log(name)
		c := dial(t, s.address)
		_, _ = io.WriteString(c, text) // the server may have closed it by now
		wantClosed(t, c)
	}
	limits = patient()
	limits.BodyTimeout = soon
	s = serve(t, limits)
	for name, text := range map[string]string{
		"slow body":            head + "Content-Length: 100\r\n\r\n{\"n\":",
		"slow chunks":          head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"n\":\r\n",
		"body that none wants": "PUT /x/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
		"refused body":         "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n{",
	} {
		t.Log(name)
		c := dial(t, s.address)
		send(t, c, text)
		if got := status(t, c); got < 400 || got >= 500 {
			t.Errorf("%s = %d, want a status from 400 to 499", name, got)
		}
		wantClosed(t, c)
	}
	if len(s.bodies) != 0 {
		t.Error("the engine got half a body, want none")
	}
}

func TestHalfClosedClientIsAnswered(t *testing.T) {
	t.Parallel()
	s := serve(t, patient())
	c := dial(t, s.address)
	send(t, c, head+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(accepted), accepted))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := status(t, c); got != http.StatusCreated {
		t.Errorf("a half-closed client got %d, want 201", got)
	}
	c = dial(t, s.address)
	send(t, c, head+"Content-Length: 1000\r\n\r\n{")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := status(t, c); got != http.StatusBadRequest {
		t.Errorf("half a body = %d, want 400", got)
	}
}

func TestHugeBodyIsRefusedEarly(t *testing.T) {
	t.Parallel()
	limits := patient()
	s := serve(t, limits)
	c := dial(t, s.address)
	send(t, c, head+"Content-Length: 100000000\r\nExpect: 100-continue\r\n\r\n")
	if got := status(t, c); got != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge announced body = %d, want 413", got)
	}
	// A client that does not announce the length, and writes without reading.
	c = dial(t, s.address)
	send(t, c, head+"Transfer-Encoding: chunked\r\n\r\n")
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		chunk := fmt.Sprintf("100000\r\n%s\r\n", strings.Repeat(" ", 1<<20))
		for range 100 {
			if _, err := io.WriteString(c, chunk); err != nil {
				return
			}
		}
	}()
	if got := status(t, c); got != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge streamed body = %d, want 413", got)
	}
	<-wrote
	// Bytes in the buffers of the kernel do not count: only those that the server took.
	if n := s.tap.of(t, c).wantEnd(t).read; n > limits.Body+1<<20 {
		t.Errorf("the server took %d bytes of a body of 100 MiB, want at most a little more than %d", n, limits.Body)
	}
	if len(s.bodies) != 0 {
		t.Error("the engine got a body above the limit, want none")
	}
}

func TestBodyAtTheLimit(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1000, 1001, 70_000, 200_000} {
		f := newFake(t)
		for extra := range 2 {
			api := httpapi.New(httpapi.Options{Service: f, Limits: httpapi.Limits{Body: int64(size)}})
			w := ask(api, "POST", "/", accepted+strings.Repeat(" ", size+extra-len(accepted)))
			if want := []int{201, 413}[extra]; w.Code != want {
				t.Errorf("%d bytes of %d: %d", size+extra, size, w.Code)
			}
		}
	}
}

func TestUnfinishedBodiesShareTheMemory(t *testing.T) {
	t.Parallel()
	limits := patient()
	limits.Body, limits.Bodies = 1<<20, 4<<20
	s := serve(t, limits)
	request := head + "Content-Length: 1000000\r\n\r\n" + strings.Repeat(" ", 500_000)
	var held []net.Conn
	for refused := false; !refused; {
		if len(held) > 100 {
			t.Fatal("the server holds 100 bodies of a megabyte at once, want it to refuse some")
		}
		c := dial(t, s.address)
		held = append(held, c)
		send(t, c, request)
		// It either waits for the rest, with the sent part in its memory, or answers.
		if s.tap.of(t, c).awaitRead(t, int64(len(request))) {
			continue
		}
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
			t.Errorf("a body without memory = %d %v, want 503 with Retry-After", response.StatusCode, response.Header)
		}
		refused = true
	}
	if len(held) < 4 {
		t.Errorf("the server holds %d bodies, want at least 3", len(held)-1)
	}
	for _, c := range held {
		_ = c.Close()
		s.tap.of(t, c).wantEnd(t)
	}
	// The server has noticed: there is room again.
	c := dial(t, s.address)
	send(t, c, head+"Connection: close\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat(" ", 1_000_000-len(accepted))+accepted)
	if got := status(t, c); got != http.StatusCreated {
		t.Errorf("with nothing else a body is answered %d, want 201", got)
	}
	s.with(func() {
		if len(s.copies) != 1 {
			t.Errorf("%d bodies reached the engine, want 1", len(s.copies))
		}
	})
}

func TestClientThatTakesNothingIsGivenUp(t *testing.T) {
	t.Parallel()
	limits := patient()
	limits.WriteTimeout = soon
	s := serve(t, limits)
	const size = 64 << 20
	id := s.finished(execution.Succeeded, "", map[string]string{"large": strings.Repeat("x", size)}).ID
	c := dial(t, s.address)
	send(t, c, "GET /"+id.String()+"/result/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
	// Nothing is read before the server has given up. What then comes is what the
	// system had buffered.
	s.tap.of(t, c).wantEnd(t)
	n, err := io.Copy(io.Discard, c)
	if errors.Is(err, os.ErrDeadlineExceeded) || n >= size {
		t.Errorf("the server sent %d bytes, %v, want it to give up before %d", n, err, size)
	}
}

// A client that takes some has time for the rest: the deadline moves with every
// 64 KiB, however long all of it takes.
func TestSlowReaderGetsAll(t *testing.T) {
	t.Parallel()
	s := serve(t, patient())
	const size = 16 << 20
	id := s.finished(execution.Succeeded, "", map[string]string{"large": strings.Repeat("x", size)}).ID
	c := dial(t, s.address)
	send(t, c, "GET /"+id.String()+"/result/large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	if n, err := io.Copy(io.Discard, c); n < size {
		t.Errorf("a slow client got %d bytes, %v, want all %d", n, err, size)
	}
	// Of a connection, up to two buffers of package http come on top.
	if n := s.tap.of(t, c).wantEnd(t).withoutDeadline; n > 64<<10+8<<10 {
		t.Errorf("the server has sent %d bytes under one deadline, want at most 64 KiB", n)
	}
}

func TestStreamsOutliveTheDeadlines(t *testing.T) {
	t.Parallel()
	limits := patient()
	limits.BodyTimeout, limits.WriteTimeout, limits.KeepAlive = soon, soon, soon/2
	s := serve(t, limits)
	id := s.add(execution.Running).ID
	c := dial(t, s.address)
	send(t, c, "GET /"+id.String()+"/log HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
	lines := bufio.NewScanner(c)
	beats := 0
	for beats < 10 && lines.Scan() { // more than twice any deadline
		if strings.HasPrefix(lines.Text(), ":") {
			beats++
		}
	}
	s.set(id, execution.Succeeded)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "SUCCEEDED") {
			return
		}
	}
	t.Errorf("the stream was cut off after %d beats: %v, want at least 10", beats, lines.Err())
}
