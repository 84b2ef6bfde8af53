package peer

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// ownerInProc is owner for kernels that cannot look up one socket: it reads the
// list of all.
func ownerInProc(at, to netip.AddrPort) (uid uint32, found bool) {
	tables := []string{"/proc/self/net/tcp6"}
	if at.Addr().Is4() {
		tables = []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} // mapped addresses are in the latter
	}
	for _, table := range tables {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		six := strings.HasSuffix(table, "6")
		want := procAddress(at, six) + " " + procAddress(to, six) + " "
		for line := range bytes.Lines(text) {
			_, rest, ok := bytes.Cut(line, []byte(": "))
			if !ok || !bytes.HasPrefix(rest, []byte(want)) {
				continue
			}
			return ownerInLine(bytes.Fields(rest))
		}
	}
	return 0, false
}

// ownerInLine reads local address, remote address, state, queues, timer, retries,
// user, probes and inode.
func ownerInLine(fields [][]byte) (uid uint32, found bool) {
	if len(fields) < 9 {
		return 0, false
	}
	state, err := strconv.ParseUint(string(fields[2]), 16, 8)
	if err != nil || !connected(byte(state)) {
		return 0, false
	}
	user, err := strconv.ParseUint(string(fields[6]), 10, 32)
	return uint32(user), err == nil && string(fields[8]) != "0"
}

// procAddress is an address as /proc writes it: words of 32 bits in the order of
// this machine.
func procAddress(a netip.AddrPort, six bool) string {
	text := a.Addr().AsSlice()
	if six {
		full := a.Addr().As16()
		text = full[:]
	}
	for word := text; len(word) >= 4; word = word[4:] {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	return strings.ToUpper(hex.EncodeToString(text)) + ":" + strings.ToUpper(hex.EncodeToString(binary.BigEndian.AppendUint16(nil, a.Port())))
}
