//go:build !linux

package peer

import (
	"errors"
	"net/netip"
)

type sockets struct{}

func openSockets() (sockets, error) { return sockets{}, errors.ErrUnsupported }

func (sockets) close() {}

func (sockets) owner(netip.AddrPort, netip.AddrPort) (uint32, bool) { return 0, false }

func (sockets) isOwn(netip.Addr) bool { return false }
