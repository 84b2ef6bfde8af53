package peer

import "net"

// Knows tells whether a connection is taken for an execution's.
func (g *Guard) Knows(conn net.Conn) bool { return g.fromExecution(conn) }

// KnowsByProc is Knows on a kernel that answers no questions about sockets.
func (g *Guard) KnowsByProc(conn net.Conn) bool {
	remote, local, _ := addresses(conn)
	uid, found := ownerInProc(remote, local)
	return !found || g.isExecution(uid)
}
