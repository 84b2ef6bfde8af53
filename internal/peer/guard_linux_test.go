package peer_test

import (
	"context"
	"net"
	"os"
	"testing"

	"github.com/qhubctl/qhubctl/internal/peer"
)

// pair is a connection, both ends.
func pair(t testing.TB, network, listen, dial string) (server, client net.Conn) {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), network, listen)
	if err != nil {
		t.Skipf("this machine has no %s: %v", listen, err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var dialer net.Dialer
	if client, err = dialer.DialContext(t.Context(), "tcp", net.JoinHostPort(dial, port)); err != nil {
		t.Skipf("this machine is not reached at %s: %v", dial, err)
	}
	if server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return server, client
}

func guard(t testing.TB, is func(uint32) bool) *peer.Guard {
	t.Helper()
	g, err := peer.NewGuard(is)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func isSelf(uid uint32) bool { return int(uid) == os.Getuid() }
func nobody(uint32) bool     { return false }

// ways are the addresses by which a connection reaches this machine itself.
func ways(t *testing.T) map[string][3]string {
	t.Helper()
	all := map[string][3]string{
		"IPv4": {"tcp4", "127.0.0.1:0", "127.0.0.1"}, "IPv6": {"tcp6", "[::1]:0", "::1"},
		"mapped": {"tcp", "[::]:0", "127.0.0.1"}, "another loopback address": {"tcp4", "0.0.0.0:0", "127.9.8.7"},
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			all["own address "+n.IP.String()] = [3]string{"tcp", "[::]:0", n.IP.String()}
		}
	}
	return all
}

func TestGuardTellsUsers(t *testing.T) {
	for name, way := range ways(t) {
		t.Run(name, func(t *testing.T) {
			server, client := pair(t, way[0], way[1], way[2])
			if !guard(t, isSelf).Knows(server) {
				t.Error("Knows(connection of the user) = false, want true")
			}
			if guard(t, nobody).Knows(server) {
				t.Error("Knows(connection of another user) = true, want false")
			}
			if !guard(t, isSelf).KnowsByProc(server) || guard(t, nobody).KnowsByProc(server) {
				t.Error("/proc tells another user than the kernel's answer")
			}
			if err := client.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if guard(t, nobody).Knows(server) {
				t.Error("Knows(connection of another user, half closed) = true, want false")
			}
			_ = client.Close()
			if !guard(t, nobody).Knows(server) {
				t.Error("Knows(connection whose socket is closed) = false, want true: it may have been an execution's")
			}
		})
	}
}

// TestGuardOfOthers lets connections pass that no process of this machine holds,
// and all connections if there is no guard.
func TestGuardOfOthers(t *testing.T) {
	server, _ := pair(t, "tcp4", "127.0.0.1:0", "127.0.0.1")
	var none *peer.Guard
	if ctx := none.ConnContext(context.Background(), server); ctx != context.Background() {
		t.Error("a nil guard has marked a connection")
	}
	none.Close()
	remote := foreign{server}
	if guard(t, isSelf).Knows(remote) {
		t.Error("Knows(connection from another machine) = true, want false")
	}
}

// foreign is a connection that says it comes from another machine.
type foreign struct{ net.Conn }

func (foreign) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4711} }

func BenchmarkGuard(b *testing.B) {
	server, _ := pair(b, "tcp4", "127.0.0.1:0", "127.0.0.1")
	g := guard(b, nobody)
	for name, conn := range map[string]net.Conn{"loopback": server, "another machine": foreign{server}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				g.ConnContext(b.Context(), conn)
			}
		})
	}
}
