package httpapi_test

import (
	"net"
	"sync"
	"testing"
	"time"
)

// A tap is a listener whose connections tests look at from the server's side.
type tap struct {
	net.Listener

	mu    sync.Mutex
	conns map[string]*tapped // by the client's address
}

// Accept implements [net.Listener].
func (l *tap) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	accepted := &tapped{Conn: c, ended: make(chan struct{})}
	accepted.changed.L = &accepted.mu
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c.RemoteAddr().String()] = accepted
	return accepted, nil
}

// of is the server's side of a client's connection, once it is accepted.
func (l *tap) of(t *testing.T, client net.Conn) *tapped {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		l.mu.Lock()
		c := l.conns[client.LocalAddr().String()]
		l.mu.Unlock()
		if c != nil {
			return c
		}
	}
	t.Fatal("the server has not accepted the connection")
	return nil
}

// tapped is a connection of the server.
type tapped struct {
	net.Conn
	ended chan struct{} // closed when the server has closed it

	mu      sync.Mutex
	changed sync.Cond
	read    int64 // bytes that the server has taken
	asks    bool  // it reads, and there is nothing
	writes  int64 // bytes since the last deadline
	// withoutDeadline is the most that was written under one deadline.
	withoutDeadline int64
	closed          bool
}

// Read implements [net.Conn].
func (c *tapped) Read(p []byte) (int, error) {
	c.set(func() { c.asks = true })
	n, err := c.Conn.Read(p)
	c.set(func() { c.asks, c.read = false, c.read+int64(n) })
	return n, err
}

// Write implements [net.Conn].
func (c *tapped) Write(p []byte) (int, error) {
	c.set(func() {
		c.writes += int64(len(p))
		c.withoutDeadline = max(c.withoutDeadline, c.writes)
	})
	return c.Conn.Write(p)
}

// SetWriteDeadline implements [net.Conn].
func (c *tapped) SetWriteDeadline(at time.Time) error {
	c.set(func() { c.writes = 0 })
	return c.Conn.SetWriteDeadline(at)
}

// Close implements [net.Conn].
func (c *tapped) Close() error {
	c.set(func() {
		if !c.closed {
			close(c.ended)
		}
		c.closed = true
	})
	return c.Conn.Close()
}

// CloseWrite is what package http looks for.
func (c *tapped) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

func (c *tapped) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	c.changed.Broadcast()
}

// wantEnd waits until the server has closed the connection.
func (c *tapped) wantEnd(t *testing.T) *tapped {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(patience):
		t.Fatal("the server keeps the connection")
	}
	return c
}

// awaitRead waits until the server has taken so many bytes and wants more; false
// if it has answered.
func (c *tapped) awaitRead(t *testing.T, n int64) bool {
	t.Helper()
	late := time.AfterFunc(patience, func() { _ = c.Close() })
	defer late.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for (c.read < n || !c.asks) && c.withoutDeadline == 0 && !c.closed {
		c.changed.Wait()
	}
	return c.withoutDeadline == 0 && !c.closed
}
