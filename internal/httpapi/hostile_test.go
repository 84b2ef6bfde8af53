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

// impatient limits make a test with a slow client short.
func impatient() httpapi.Limits {
	l := httpapi.DefaultLimits()
	l.HeaderTimeout, l.BodyTimeout, l.WriteTimeout, l.IdleTimeout = 700*time.Millisecond, 700*time.Millisecond, 700*time.Millisecond, time.Minute
	l.Shutdown = time.Second
	return l
}

// serve runs a server until the test ends.
func serve(t *testing.T, limits httpapi.Limits) (*fakeEngine, string) {
	t.Helper()
	f := newFake(t)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- httpapi.New(httpapi.Options{Engine: f, Service: serviceID, LoopbackOnly: true, Limits: limits}).Serve(ctx, listener)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return f, listener.Addr().String()
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil { // of the test, not of the server
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
		t.Errorf("%d is no problem document", response.StatusCode)
	}
	return response.StatusCode
}

// wantClosed waits until the server has closed a connection.
func wantClosed(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the server keeps the connection")
	}
}

const head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

func TestSlowClientsAreGivenUp(t *testing.T) {
	t.Parallel()
	f, address := serve(t, impatient())
	for name, text := range map[string]string{
		"silent":      "",
		"slow header": "POST / HTTP/1.1\r\nHost: local",
	} {
		c := dial(t, address)
		send(t, c, text)
		t.Log(name)
		wantClosed(t, c)
	}
	for name, text := range map[string]string{
		"slow body":            head + "Content-Length: 100\r\n\r\n{\"n\":",
		"slow chunks":          head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"n\":\r\n",
		"body that none wants": "PUT /x/cancel HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
		"refused body":         "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n{",
	} {
		t.Log(name)
		c := dial(t, address)
		send(t, c, text)
		if got := status(t, c); got < 400 || got >= 500 {
			t.Errorf("%s: %d", name, got)
		}
		wantClosed(t, c)
	}
	if len(f.bodies) != 0 {
		t.Error("the engine was given half a body")
	}
}

func TestHalfClosedClientIsAnswered(t *testing.T) {
	t.Parallel()
	_, address := serve(t, impatient())
	c := dial(t, address)
	send(t, c, head+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(accepted), accepted))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := status(t, c); got != http.StatusCreated {
		t.Errorf("%d", got)
	}
	c = dial(t, address)
	send(t, c, head+"Content-Length: 1000\r\n\r\n{")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := status(t, c); got != http.StatusBadRequest {
		t.Errorf("half a body: %d", got)
	}
}

func TestHugeBodyIsRefusedEarly(t *testing.T) {
	t.Parallel()
	f, address := serve(t, httpapi.Limits{})
	c := dial(t, address)
	send(t, c, head+"Content-Length: 100000000\r\nExpect: 100-continue\r\n\r\n")
	if got := status(t, c); got != http.StatusRequestEntityTooLarge {
		t.Errorf("announced: %d", got)
	}
	// One that does not say how large it will be, and writes without looking.
	c = dial(t, address)
	send(t, c, head+"Transfer-Encoding: chunked\r\n\r\n")
	written := make(chan int)
	go func() {
		chunk := fmt.Sprintf("100000\r\n%s\r\n", strings.Repeat(" ", 1<<20))
		for i := range 100 {
			if _, err := io.WriteString(c, chunk); err != nil {
				written <- i
				return
			}
		}
		written <- 100
	}()
	if got := status(t, c); got != http.StatusRequestEntityTooLarge {
		t.Errorf("streamed: %d", got)
	}
	if n := <-written; n >= 40 {
		t.Errorf("the server took %d MiB", n)
	}
	if len(f.bodies) != 0 {
		t.Error("the engine was given a body")
	}
}

func TestBodyAtTheLimit(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1000, 1001, 70_000, 200_000} {
		f := newFake(t)
		for extra := range 2 {
			api := httpapi.New(httpapi.Options{Engine: f, Service: serviceID, Limits: httpapi.Limits{Body: int64(size)}})
			w := ask(api, "POST", "/", accepted+strings.Repeat(" ", size+extra-len(accepted)))
			if want := []int{201, 413}[extra]; w.Code != want {
				t.Errorf("%d bytes of %d: %d", size+extra, size, w.Code)
			}
		}
	}
}

func TestUnfinishedBodiesShareTheMemory(t *testing.T) {
	t.Parallel()
	f, address := serve(t, httpapi.Limits{Body: 1 << 20, Bodies: 4 << 20})
	var held []net.Conn
	for refused := false; !refused; {
		if len(held) > 100 {
			t.Fatal("100 bodies of a megabyte are held at once")
		}
		c := dial(t, address)
		held = append(held, c)
		send(t, c, head+"Content-Length: 1000000\r\n\r\n"+strings.Repeat(" ", 500_000))
		if err := c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			continue // it waits for the rest
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
			t.Errorf("%d %v", response.StatusCode, response.Header)
		}
		refused = true
	}
	if len(held) < 4 {
		t.Errorf("only %d bodies fit", len(held)-1)
	}
	for _, c := range held {
		_ = c.Close()
	}
	// When the server has noticed, there is room again.
	for try := 0; ; try++ {
		c := dial(t, address)
		send(t, c, head+"Connection: close\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat(" ", 1_000_000-len(accepted))+accepted)
		got := status(t, c)
		if got == http.StatusCreated {
			break
		}
		if got != http.StatusServiceUnavailable || try > 100 {
			t.Fatalf("after %d tries: %d", try, got)
		}
	}
	f.with(func() {
		if len(f.copies) != 1 {
			t.Errorf("%d bodies reached the engine", len(f.copies))
		}
	})
}

func TestClientThatTakesNothingIsGivenUp(t *testing.T) {
	t.Parallel()
	f, address := serve(t, impatient())
	id := f.finished(execution.Succeeded, "", map[string]string{"large": strings.Repeat("x", 64<<20)}).ID
	c := dial(t, address)
	send(t, c, "GET /"+id.String()+"/result/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
	// Nothing is read until the server must have given up; what then comes is
	// what the system had buffered.
	time.Sleep(2 * time.Second)
	n, err := io.Copy(io.Discard, c)
	if errors.Is(err, os.ErrDeadlineExceeded) || n >= 64<<20 {
		t.Errorf("the server went on: %d bytes, %v", n, err)
	}
}

func TestSlowReaderGetsAll(t *testing.T) {
	t.Parallel()
	limits := impatient()
	// Longer than a busy machine keeps the reader from reading at all, and
	// shorter than all of it takes.
	limits.WriteTimeout = 2 * time.Second
	f, address := serve(t, limits)
	const size = 16 << 20
	id := f.finished(execution.Succeeded, "", map[string]string{"large": strings.Repeat("x", size)}).ID
	c := dial(t, address)
	// With a large buffer the system lets the sender wait until much of it is
	// free.
	if err := c.SetReadBuffer(128 << 10); err != nil {
		t.Fatal(err)
	}
	send(t, c, "GET /"+id.String()+"/result/large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	buffer, total := make([]byte, 64<<10), 0
	for begun := time.Now(); ; {
		n, err := c.Read(buffer)
		total += n
		if err != nil {
			if time.Since(begun) < limits.WriteTimeout {
				t.Error("the test was too fast to show anything")
			}
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if total < size {
		t.Errorf("got %d of %d bytes", total, size)
	}
}

func TestStreamsOutliveTheDeadlines(t *testing.T) {
	t.Parallel()
	limits := impatient()
	limits.KeepAlive = 150 * time.Millisecond
	f, address := serve(t, limits)
	id := f.add(execution.Running).ID
	c := dial(t, address)
	send(t, c, "GET /"+id.String()+"/log HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
	lines := bufio.NewScanner(c)
	beats := 0
	for beats < 10 && lines.Scan() { // more than twice any deadline
		if strings.HasPrefix(lines.Text(), ":") {
			beats++
		}
	}
	f.set(id, execution.Succeeded)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "SUCCEEDED") {
			return
		}
	}
	t.Errorf("the stream was cut off after %d beats: %v", beats, lines.Err())
}
