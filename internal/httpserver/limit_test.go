package httpserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// patience is how long a necessary step may take.
const patience = 3 * time.Minute

// limited is a server whose connections are bounded. It answers a request for /hold
// when the test releases it, and treats one for /trust as one with a valid token.
type limited struct {
	t       *testing.T
	limiter *Limiter
	port    string
	held    int
	holding chan struct{} // a token for each request that is held
	release chan struct{} // closed: held requests are answered
}

func startLimited(t *testing.T, limits Limits) *limited {
	t.Helper()
	from, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	s := &limited{t: t, limiter: NewLimiter(limits, nil), holding: make(chan struct{}, 100), release: make(chan struct{})}
	_, s.port, _ = net.SplitHostPort(from.Addr().String())
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/trust", func(_ http.ResponseWriter, r *http.Request) { Trust(r.Context()) })
	mux.HandleFunc("/gone", func(_ http.ResponseWriter, r *http.Request) {
		s.holding <- struct{}{}
		<-r.Context().Done()
	})
	mux.HandleFunc("/hold", func(http.ResponseWriter, *http.Request) {
		s.holding <- struct{}{}
		<-s.release
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	go func() {
		ended <- Serve(ctx, server, s.limiter.Listener(from), func() {}, patience)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve() = %v, want nil", err)
		}
	})
	return s
}

// dial opens a connection from an address of this machine.
func (s *limited) dial(from string) *client {
	s.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := dialer.DialContext(s.t.Context(), "tcp", "127.0.0.1:"+s.port)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { _ = c.Close() })
	return &client{c, bufio.NewReader(c)}
}

// client is one connection.
type client struct {
	net.Conn
	in *bufio.Reader
}

// get requests a path and returns the status; 0 if the connection was closed without an
// answer.
func (c *client) get(path string) int {
	c.ask(path)
	return c.status()
}

func (c *client) ask(path string) {
	_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path) // a failure shows in status
}

func (c *client) status() int {
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode
}

// ended waits for the server to close the connection.
func (c *client) ended(t *testing.T) {
	t.Helper()
	if _, err := c.in.ReadByte(); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("reading from the connection ended with %v, want its end", err)
	}
}

// settle returns when so many connections are open in all, and all wait except those
// that are held: a client has its answer a moment before the server waits again.
func (s *limited) settle(open int) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s.limiter.mu.Lock()
		waiting, all := s.limiter.trusted.Len(), s.limiter.open
		for _, a := range s.limiter.addresses {
			waiting += a.idle.Len() + a.fresh.Len()
		}
		s.limiter.mu.Unlock()
		if waiting+s.held == all && all == open {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%d of %d connections wait, want all of %d but %d", waiting, all, open, s.held)
		}
	}
}

// settled is settle for the current number of connections.
func (s *limited) settled() {
	s.t.Helper()
	s.limiter.mu.Lock()
	open := s.limiter.open
	s.limiter.mu.Unlock()
	s.settle(open)
}

// several opens connections, and returns when the server knows them and they wait.
func (s *limited) several(from string, n int) []*client {
	s.t.Helper()
	all := make([]*client, n)
	for i := range all {
		all[i] = s.dial(from)
		if status := all[i].get("/"); status != http.StatusOK {
			s.t.Fatalf("connection %d from %s was answered %d, want 200", i, from, status)
		}
		s.settled()
	}
	return all
}

// hold opens connections whose requests are not answered until release.
func (s *limited) hold(from string, n int) []*client {
	s.t.Helper()
	all := make([]*client, n)
	for i := range all {
		all[i] = s.dial(from)
		all[i].ask("/hold")
		select {
		case <-s.holding:
			s.held++
		case <-time.After(patience):
			s.t.Fatalf("connection %d from %s was not accepted, want its request held", i, from)
		}
	}
	return all
}

func TestOneAddressReplacesItsOwnConnections(t *testing.T) {
	s := startLimited(t, Limits{Total: 100, PerAddress: 4})
	other := s.several("127.0.0.2", 1)[0]
	old := s.several("127.0.0.1", 4)
	if status := old[0].get("/"); status != http.StatusOK { // now the second has waited longest
		t.Fatalf("a second request was answered %d, want 200", status)
	}
	s.settled()
	s.several("127.0.0.1", 1)
	old[1].ended(t)
	for _, c := range []*client{old[0], old[2], old[3], other} {
		if status := c.get("/"); status != http.StatusOK {
			t.Errorf("a connection that had to stay was answered %d, want 200", status)
		}
	}
}

// TestSilentConnectionsAreReplaced: connections whose client has sent nothing, or half a
// request, are replaced too, after those that had an answer.
func TestSilentConnectionsAreReplaced(t *testing.T) {
	s := startLimited(t, Limits{Total: 100, PerAddress: 4})
	silent := []*client{s.dial("127.0.0.1"), s.dial("127.0.0.1"), s.dial("127.0.0.1"), s.dial("127.0.0.1")}
	_, _ = io.WriteString(silent[0], "GET / HTTP/1.1\r\nHost: loc")
	s.settle(4)
	served := s.several("127.0.0.1", 1)[0]
	silent[0].ended(t)
	held := s.hold("127.0.0.1", 4)
	served.ended(t)
	for _, c := range silent[1:] {
		c.ended(t)
	}
	close(s.release)
	for _, c := range held {
		if status := c.status(); status != http.StatusOK {
			t.Errorf("a connection in the place of a silent one was answered %d, want 200", status)
		}
	}
}

func TestAnsweredConnectionsStay(t *testing.T) {
	s := startLimited(t, Limits{Total: 100, PerAddress: 4})
	held := s.hold("127.0.0.1", 4)
	refused := s.dial("127.0.0.1")
	response, err := http.ReadResponse(refused.in, nil)
	if err != nil {
		t.Fatalf("a connection above the limit got %v, want an answer", err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusTooManyRequests || response.Header.Get("Retry-After") == "" || err != nil ||
		response.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(body), `"status":429`) {
		t.Errorf("a connection above the limit was answered %d %v %s (%v), want a problem document with 429", response.StatusCode, response.Header, body, err)
	}
	refused.ended(t)
	s.several("127.0.0.2", 2)
	close(s.release)
	for _, c := range held {
		if status := c.status(); status != http.StatusOK {
			t.Errorf("a request that was being answered got %d, want 200", status)
		}
	}
	s.held = 0
	s.settled()
	s.several("127.0.0.1", 1) // replaces one that waits now
}

func TestValidTokensDoNotCountForTheAddress(t *testing.T) {
	s := startLimited(t, Limits{Total: 20, PerAddress: 4})
	trusted := make([]*client, 6)
	for i := range trusted {
		trusted[i] = s.dial("127.0.0.1")
		if status := trusted[i].get("/trust"); status != http.StatusOK {
			t.Fatalf("connection %d with a token was answered %d, want 200", i, status)
		}
	}
	s.settle(6)
	s.hold("127.0.0.1", 4)
	if status := s.dial("127.0.0.1").get("/"); status != http.StatusTooManyRequests {
		t.Errorf("a fifth connection without a token was answered %d, want 429", status)
	}
	for _, c := range trusted {
		if status := c.get("/"); status != http.StatusOK {
			t.Errorf("a connection with a token was answered %d, want 200", status)
		}
	}
	close(s.release)
}

// TestTotal: if all connections are too many, the largest address loses one, then those
// with a token.
func TestTotal(t *testing.T) {
	s := startLimited(t, Limits{Total: 8, PerAddress: 4})
	trusted := s.dial("127.0.0.5")
	if status := trusted.get("/trust"); status != http.StatusOK {
		t.Fatalf("a connection with a token was answered %d, want 200", status)
	}
	small := s.several("127.0.0.2", 3)
	large := s.several("127.0.0.1", 4)
	s.several("127.0.0.3", 1)
	large[0].ended(t)
	for _, c := range append(small, large[1:]...) {
		if status := c.get("/"); status != http.StatusOK {
			t.Errorf("a connection that had to stay was answered %d, want 200", status)
		}
	}
	s.settled()
	s.hold("127.0.0.4", 4)
	s.hold("127.0.0.6", 3) // and one more, which replaces the one with a token:
	s.hold("127.0.0.7", 1)
	trusted.ended(t)
	if status := s.dial("127.0.0.8").get("/"); status != http.StatusServiceUnavailable {
		t.Errorf("a connection above the total was answered %d, want 503", status)
	}
	close(s.release)
}

// TestOneAddressLeavesHalf: no limits let one address take all connections.
func TestOneAddressLeavesHalf(t *testing.T) {
	s := startLimited(t, Limits{Total: 6})
	s.hold("127.0.0.1", 3)
	if status := s.dial("127.0.0.1").get("/"); status != http.StatusTooManyRequests {
		t.Errorf("a fourth connection of six was answered %d, want 429", status)
	}
	s.hold("127.0.0.2", 3)
	close(s.release)
}

// TestClosedConnectionsDoNotCount: connections that their clients close free their place,
// even while a request is answered.
func TestClosedConnectionsDoNotCount(t *testing.T) {
	s := startLimited(t, Limits{Total: 8, PerAddress: 4})
	for range 3 {
		closed := s.several("127.0.0.1", 2)
		for range 2 {
			c := s.dial("127.0.0.1")
			c.ask("/gone")
			<-s.holding
			closed = append(closed, c)
		}
		for _, c := range closed {
			_ = c.Close()
		}
		s.settle(0)
	}
	if n := len(s.limiter.addresses); n != 0 {
		t.Errorf("%d addresses count without a connection, want 0", n)
	}
}

func TestRefusalsAreSaidOnce(t *testing.T) {
	var said strings.Builder
	limiter := NewLimiter(Limits{Total: 2}, slog.New(slog.NewTextHandler(&said, nil)))
	from, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	holding := make(chan struct{})
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		holding <- struct{}{}
		<-r.Context().Done()
	})}
	go func() {
		defer close(ended)
		_ = Serve(ctx, server, limiter.Listener(from), func() {}, time.Nanosecond)
	}()
	_, port, _ := net.SplitHostPort(from.Addr().String())
	s := &limited{t: t, port: port}
	s.dial("127.0.0.1").ask("/")
	<-holding
	for range 3 {
		if status := s.dial("127.0.0.1").get("/"); status != http.StatusTooManyRequests {
			t.Errorf("a connection above the limit was answered %d, want 429", status)
		}
	}
	stop()
	<-ended
	if n := strings.Count(said.String(), "connections are refused"); n != 1 {
		t.Errorf("the log says %d times that connections are refused, want once:\n%s", n, said.String())
	}
}

func TestKeyOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "::1": "::/64",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1": "fe80::/64",
	} {
		if got := keyOf(&net.TCPAddr{IP: net.ParseIP(address), Port: 4711}).String(); got != want {
			t.Errorf("keyOf(%s) = %s, want %s", address, got, want)
		}
	}
	if got := keyOf(&net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 1, Zone: "eth0"}).String(); got != "fe80::/64" {
		t.Errorf("keyOf(an address with a zone) = %s, want fe80::/64", got)
	}
	if got := keyOf(&net.UnixAddr{Name: "/run/x", Net: "unix"}); got.IsValid() {
		t.Errorf("keyOf(a Unix socket) = %s, want none", got)
	}
}
