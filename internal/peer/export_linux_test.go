package peer

import "net"

// Knows reports whether the guard takes a connection for an execution's.
func (g *Guard) Knows(conn net.Conn) bool { return g.fromExecution(conn) }

// KnowsByProc is Knows on a kernel that cannot look up one socket.
func (g *Guard) KnowsByProc(conn net.Conn) bool {
	remote, local, _ := addresses(conn)
	uid, found := ownerInProc(remote, local)
	return !found || g.isExecution(uid)
}
