package peer

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// sockets asks the kernel about the sockets and addresses of this machine.
type sockets struct {
	diag, route *netlink
	// answered: the kernel has found a socket by diag, so a socket that it does
	// not find does not exist.
	answered *atomic.Bool
}

func openSockets() (s sockets, err error) {
	s.answered = new(atomic.Bool)
	if s.route, err = openNetlink(unix.NETLINK_ROUTE); err != nil {
		return s, err
	}
	if s.diag, err = openNetlink(unix.NETLINK_SOCK_DIAG); err != nil {
		s.diag = nil // /proc has it too
	}
	return s, nil
}

func (s sockets) close() {
	s.route.close()
	if s.diag != nil {
		s.diag.close()
	}
}

const (
	diagRequestSize = 56
	// In the answer, behind the head of a message.
	diagState, diagPort, diagUID, diagInode, diagAnswerSize = 1, 6, 64, 68, 72
)

// owner returns the user of the socket whose own address is at, connected to the
// address to; found is false if no process holds it any more.
func (s sockets) owner(at, to netip.AddrPort) (uid uint32, found bool) {
	if s.diag != nil {
		answer, err := s.diag.ask(unix.SOCK_DIAG_BY_FAMILY, diagRequest(at, to))
		if err == nil && len(answer) >= diagAnswerSize {
			s.answered.Store(true)
			connected := connected(answer[diagState]) && binary.BigEndian.Uint16(answer[diagPort:]) == to.Port()
			inode := binary.NativeEndian.Uint32(answer[diagInode:])
			return binary.NativeEndian.Uint32(answer[diagUID:]), connected && inode != 0
		}
		if s.answered.Load() {
			return 0, false
		}
	}
	// A kernel without the module answers as if the socket did not exist.
	return ownerInProc(at, to)
}

// connected reports whether a TCP socket in this state belongs to a connection
// that a process may hold.
func connected(state byte) bool {
	switch state {
	case unix.BPF_TCP_ESTABLISHED, unix.BPF_TCP_FIN_WAIT1, unix.BPF_TCP_FIN_WAIT2, unix.BPF_TCP_CLOSE_WAIT, unix.BPF_TCP_LAST_ACK, unix.BPF_TCP_CLOSING:
		return true
	}
	return false
}

// diagRequest is a struct inet_diag_req_v2.
func diagRequest(at, to netip.AddrPort) []byte {
	b := make([]byte, diagRequestSize)
	b[0], b[1] = unix.AF_INET, unix.IPPROTO_TCP
	if at.Addr().Is6() {
		b[0] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(b[4:], ^uint32(0)) // states
	binary.BigEndian.PutUint16(b[8:], at.Port())
	binary.BigEndian.PutUint16(b[10:], to.Port())
	copy(b[12:28], at.Addr().AsSlice())
	copy(b[28:44], to.Addr().AsSlice())
	binary.NativeEndian.PutUint32(b[44:], interfaceIndex(at.Addr()))
	for i := 48; i < diagRequestSize; i++ {
		b[i] = 0xff // no cookie
	}
	return b
}

// interfaceIndex is that of the zone of a link-local address.
func interfaceIndex(a netip.Addr) uint32 {
	if a.Zone() == "" {
		return 0
	}
	i, err := net.InterfaceByName(a.Zone())
	if err != nil {
		return 0
	}
	return uint32(i.Index)
}

// isOwn reports whether packets to an address stay on this machine.
func (s sockets) isOwn(a netip.Addr) bool {
	text := a.AsSlice()
	b := make([]byte, unix.SizeofRtMsg, unix.SizeofRtMsg+unix.SizeofRtAttr+len(text))
	b[0], b[1] = unix.AF_INET, byte(8*len(text))
	if a.Is6() {
		b[0] = unix.AF_INET6
	}
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(text)))
	b = binary.NativeEndian.AppendUint16(b, unix.RTA_DST)
	b = append(b, text...)
	answer, err := s.route.ask(unix.RTM_GETROUTE, b)
	const routeType = 7 // of struct rtmsg
	return err == nil && len(answer) > routeType && answer[routeType] == unix.RTN_LOCAL
}

// netlink is a socket that answers one question at a time.
type netlink struct {
	mu     sync.Mutex
	fd     int
	number uint32
	buffer [4096]byte
}

func openNetlink(protocol int) (*netlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// The kernel answers before Sendto returns; this timeout is for a lost answer.
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	return &netlink{fd: fd}, nil
}

func (n *netlink) close() { _ = unix.Close(n.fd) }

var errNoAnswer = errors.New("the kernel gave no answer")

// ask returns the answer without its head.
func (n *netlink) ask(kind uint16, question []byte) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.number++
	message := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(question))
	binary.NativeEndian.PutUint32(message, uint32(unix.SizeofNlMsghdr+len(question)))
	binary.NativeEndian.PutUint16(message[4:], kind)
	binary.NativeEndian.PutUint16(message[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(message[8:], n.number)
	if err := unix.Sendto(n.fd, append(message, question...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("sendto", err)
	}
	for range 4 { // late answers to earlier questions may come first
		length, from, err := unix.Recvfrom(n.fd, n.buffer[:], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("recvfrom", err)
		}
		kernel, ok := from.(*unix.SockaddrNetlink)
		if !ok || kernel.Pid != 0 || length < unix.SizeofNlMsghdr || binary.NativeEndian.Uint32(n.buffer[8:]) != n.number {
			continue
		}
		if binary.NativeEndian.Uint16(n.buffer[4:]) == unix.NLMSG_ERROR {
			return nil, errNoAnswer
		}
		return append([]byte(nil), n.buffer[unix.SizeofNlMsghdr:length]...), nil
	}
	return nil, errNoAnswer
}
