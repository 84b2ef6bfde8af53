package httpserver

import (
	"cmp"
	"container/list"
	"context"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// DefaultPerAddress is how many connections an address may have open that have
// not shown a valid token.
const DefaultPerAddress = 512

// Limits bound the connections of a server.
type Limits struct {
	// Total bounds all connections together. Zero means no bound.
	Total int
	// PerAddress bounds the connections of one address that have not shown a
	// valid token (see [Trust]). It is at most half of Total, so that one address
	// never keeps all others out. Zero means DefaultPerAddress.
	PerAddress int
}

// A Limiter bounds the connections that its listeners accept. It is safe for
// concurrent use.
//
// A connection above a limit replaces one that waits for a request: one of the same
// address or, if all connections together are too many, of the address with the
// most. The Limiter closes the longest idle one or, if none had a request yet, the
// oldest. Connections that have shown a valid token are closed last, and one whose
// request is being answered is never closed. If no connection can be closed, the new
// one is answered with status 429 or 503, and closed.
//
// An IPv4 address counts alone, an IPv6 address with all others of its /64, since one
// machine may have a network of that size.
type Limiter struct {
	limits Limits
	log    *slog.Logger

	mu        sync.Mutex
	open      int // connections
	addresses map[netip.Prefix]*address
	trusted   list.List // of *conn: idle ones with a valid token
	warned    time.Time
}

// An address has connections without a valid token.
type address struct {
	open int
	// Connections that wait, the longest first: idle ones had a request before,
	// fresh ones had none.
	idle, fresh list.List // of *conn
}

// longestWaiting is the connection that is closed first; nil if all are answered. Idle
// ones come before fresh ones, whose first request may be on its way.
func (a *address) longestWaiting() *conn {
	if c := first(&a.idle); c != nil {
		return c
	}
	return first(&a.fresh)
}

// NewLimiter returns a limiter. It warns log, at most once a minute, that it
// refuses connections; a nil log is not warned.
func NewLimiter(limits Limits, log *slog.Logger) *Limiter {
	if limits.Total == 0 {
		limits.Total = math.MaxInt
	}
	limits.PerAddress = max(1, min(cmp.Or(limits.PerAddress, DefaultPerAddress), limits.Total/2))
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Limiter{limits: limits, log: log, addresses: map[netip.Prefix]*address{}}
}

// Listener returns a listener that accepts the connections that the limits allow.
// Several listeners of one Limiter share its limits. Pass it to Serve unwrapped: Serve
// reports to the Limiter which connections wait.
func (l *Limiter) Listener(from net.Listener) net.Listener { return &limitedListener{from, l} }

type limitedListener struct {
	net.Listener
	limiter *Limiter
}

// Accept returns the next connection that the limits allow. It refuses others.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.limiter.admit(accepted); c != nil {
			return c, nil
		}
	}
}

// A conn is a connection that counts. The limiter's lock guards its fields, except
// for the first three.
type conn struct {
	net.Conn
	limiter *Limiter
	// key is the address that the connection counts for.
	key netip.Prefix

	trusted bool
	// waits is the connection's place in the list in, nil while a request is
	// answered.
	waits  *list.Element
	in     *list.List
	closed bool
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.limiter.forget(c)
	return c.Conn.Close()
}

// ReadFrom lets the kernel send files directly.
func (c *conn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// CloseWrite lets package http end a connection whose client still writes.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// keyOf is the key by which an address counts.
func keyOf(a net.Addr) netip.Prefix {
	parsed, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{} // no network address: all of them count together
	}
	ip, bits := parsed.Addr().Unmap(), 64
	if ip.Is4() {
		bits = 32
	}
	prefix, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// admit counts a connection and makes room for it; nil if there is none.
func (l *Limiter) admit(accepted net.Conn) *conn {
	c := &conn{Conn: accepted, limiter: l, key: keyOf(accepted.RemoteAddr())}
	l.mu.Lock()
	evicted, refusal := l.room(c.key)
	if refusal == "" {
		l.open++
		l.count(c)
	}
	warn := refusal != "" && time.Since(l.warned) > time.Minute
	if warn {
		l.warned = time.Now()
	}
	l.mu.Unlock()
	if evicted != nil {
		_ = evicted.Conn.Close()
	}
	if refusal == "" {
		return c
	}
	if warn {
		l.log.Warn("connections are refused: too many are open", "total", l.limits.Total, "perAddress", l.limits.PerAddress)
	}
	refuse(accepted, refusal)
	return nil
}

// room returns the connection to close for one more of an address, already removed from
// the counts. It is nil if none must be closed, or if the new one is refused.
func (l *Limiter) room(key netip.Prefix) (evicted *conn, refusal string) {
	own := l.addresses[key]
	switch {
	case own != nil && own.open >= l.limits.PerAddress:
		if evicted = own.longestWaiting(); evicted == nil {
			return nil, refusedAddress
		}
	case l.open >= l.limits.Total:
		if evicted = l.victim(key); evicted == nil {
			return nil, refusedTotal
		}
	default:
		return nil, ""
	}
	l.remove(evicted)
	return evicted, ""
}

// victim is the connection to close for one more of the address key; nil if all are
// answered.
func (l *Limiter) victim(key netip.Prefix) *conn {
	var found *conn
	most := 0
	for other, a := range l.addresses {
		open := a.open
		if other == key {
			open++
		}
		if c := a.longestWaiting(); c != nil && open > most {
			found, most = c, open
		}
	}
	if found == nil {
		found = first(&l.trusted)
	}
	return found
}

func first(waiting *list.List) *conn {
	if front := waiting.Front(); front != nil {
		return front.Value.(*conn) //nolint:forcetypeassert // it holds no other type
	}
	return nil
}

// count adds a connection that waits to those of its address. The caller holds
// the lock.
func (l *Limiter) count(c *conn) {
	a := l.addresses[c.key]
	if a == nil {
		a = &address{}
		l.addresses[c.key] = a
	}
	a.open++
	wait(c, &a.fresh)
}

func wait(c *conn, in *list.List) { c.waits, c.in = in.PushBack(c), in }

// uncount is the opposite of count. The caller holds the lock.
func (l *Limiter) uncount(c *conn) {
	stopWaiting(c)
	if c.trusted {
		return
	}
	a := l.addresses[c.key]
	if a.open--; a.open == 0 {
		delete(l.addresses, c.key)
	}
}

func stopWaiting(c *conn) {
	if c.waits != nil {
		c.in.Remove(c.waits)
		c.waits, c.in = nil, nil
	}
}

// remove removes a connection that is about to be closed from the counts. The caller
// holds the lock.
func (l *Limiter) remove(c *conn) {
	if c.closed {
		return
	}
	c.closed = true
	l.open--
	l.uncount(c)
}

func (l *Limiter) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(c)
}

// answers records whether a request of the connection is being answered.
func (l *Limiter) answers(c *conn, answers bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.closed:
	case answers:
		stopWaiting(c)
	case c.waits != nil:
	case c.trusted:
		wait(c, &l.trusted)
	default:
		wait(c, &l.addresses[c.key].idle)
	}
}

type connKey struct{}

// Trust records that the connection of a request has shown a valid token: it no longer
// counts for its address. Without a [Limiter] it does nothing.
func Trust(ctx context.Context) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok {
		return
	}
	l := c.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.closed && !c.trusted {
		l.uncount(c)
		c.trusted = true // its request is being answered
	}
}

// attach makes a server report which connections wait for a request, and which no longer
// do.
func (l *Limiter) attach(server *http.Server) {
	answer := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*conn); ok {
			l.answers(c, true)
		}
		answer.ServeHTTP(w, r)
	})
	before := server.ConnContext
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if before != nil {
			ctx = before(ctx, c)
		}
		return context.WithValue(ctx, connKey{}, c)
	}
	server.ConnState = func(c net.Conn, state http.ConnState) {
		if counted, ok := c.(*conn); ok && state == http.StateIdle { // the answer has been sent
			l.answers(counted, false)
		}
	}
}
