// Package peer tells whether a connection to the server comes from one of its
// executions, so that the server can refuse it: a service with the network of
// the server must not use the server's API.
package peer

import (
	"context"
	"net"
	"net/http"
	"net/netip"
)

// A Guard distinguishes the connections of executions from others. A nil Guard knows no
// executions. Its methods may be called by any goroutine.
type Guard struct {
	isExecution func(uid uint32) bool
	sockets     sockets
}

// NewGuard is a guard of a machine on which executions have their own users.
// It looks into the network namespace of the calling process. Close must be called.
func NewGuard(isExecution func(uid uint32) bool) (*Guard, error) {
	s, err := openSockets()
	if err != nil {
		return nil, err
	}
	return &Guard{isExecution: isExecution, sockets: s}, nil
}

// Close releases the kernel sockets of the guard. The guard must not be used afterwards.
func (g *Guard) Close() {
	if g != nil {
		g.sockets.close()
	}
}

type contextKey struct{}

// ConnContext looks at a new connection once, for all of its requests. It is made
// for [http.Server.ConnContext].
func (g *Guard) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if g == nil || !g.fromExecution(conn) {
		return ctx
	}
	return context.WithValue(ctx, contextKey{}, true)
}

// FromExecution reports whether a request came by a connection of an execution.
// A connection of this machine whose socket was closed before the guard could
// look it up counts as one.
func FromExecution(r *http.Request) bool {
	from, _ := r.Context().Value(contextKey{}).(bool)
	return from
}

func (g *Guard) fromExecution(conn net.Conn) bool {
	remote, local, ok := addresses(conn)
	if !ok || !g.isLocal(remote, local) {
		return false
	}
	uid, found := g.sockets.owner(remote, local)
	return !found || g.isExecution(uid)
}

func addresses(conn net.Conn) (remote, local netip.AddrPort, ok bool) {
	theirs, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return remote, local, false
	}
	ours, ok := conn.LocalAddr().(*net.TCPAddr)
	if !ok {
		return remote, local, false
	}
	return unmapped(theirs), unmapped(ours), true
}

// unmapped returns an IPv4 address that is mapped into IPv6 as an IPv4 address.
func unmapped(a *net.TCPAddr) netip.AddrPort {
	p := a.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// isLocal reports whether the other end of a connection is on this machine.
func (g *Guard) isLocal(remote, local netip.AddrPort) bool {
	return remote.Addr().IsLoopback() || remote.Addr() == local.Addr() || g.sockets.isOwn(remote.Addr())
}
