package forkserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// maxPacket bounds a message of a zygote.
	maxPacket = 64 << 10
	// maxFiles is how many descriptors the kernel accepts in one packet.
	maxFiles = 253
)

// A message is the answer of a zygote to its first order.
type message struct {
	Ready *struct {
		Seconds float64 `json:"seconds"`
	} `json:"ready"`
	Cold string `json:"cold"`
}

// send gives the zygote an order.
func (z *zygote) send(order string, files ...int) error {
	_, _, err := z.control.WriteMsgUnix([]byte(order), unix.UnixRights(files...), nil)
	return err
}

// answer reads the answer of a zygote to its first order.
func (z *zygote) answer() (m message, err error) {
	buffer := make([]byte, maxPacket)
	n, from, err := receiveFrom(z.control, buffer)
	closeAll(from.files)
	if err == nil {
		err = json.Unmarshal(buffer[:n], &m)
	}
	z.pid = from.pid
	return m, err
}

// listen passes on the messages of the zygote until its end.
func (z *zygote) listen() {
	buffer := make([]byte, maxPacket)
	for {
		n, from, err := receiveFrom(z.control, buffer)
		closeAll(from.files)
		if err != nil {
			z.lose()
			return
		}
		notice, rest, _ := strings.Cut(string(buffer[:n]), " ")
		first, rest, _ := strings.Cut(rest, " ")
		number, err := strconv.Atoi(first)
		if err != nil {
			continue
		}
		switch notice {
		case "failed":
			z.ended(number, func(f *fork) { f.reason = rest })
		case "ended":
			if status, err := strconv.ParseUint(rest, 10, 32); err == nil {
				z.ended(number, func(f *fork) { f.status, f.known = unix.WaitStatus(status), true })
			}
		}
	}
}

func closeAll(files []*os.File) {
	for _, file := range files {
		_ = file.Close()
	}
}

// socketPair makes connected sockets: ours for this program, theirs for another
// process, in blocking mode.
func socketPair(kind int) (ours *net.UnixConn, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	if err := unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		_, _ = unix.Close(pair[0]), unix.Close(pair[1])
		return nil, nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	file := os.NewFile(uintptr(pair[0]), "zygote")
	defer func() { _ = file.Close() }() // FileConn has a copy of it
	theirs = os.NewFile(uintptr(pair[1]), "zygote")
	conn, err := net.FileConn(file)
	ours, ok := conn.(*net.UnixConn)
	if err != nil || !ok {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// An origin is the data of the kernel about a message: the number of the process that
// has written it, in this program's namespace, and the descriptors that came along. A
// sender cannot forge it.
type origin struct {
	pid   int
	files []*os.File
}

// receiveFrom reads a message.
func receiveFrom(conn *net.UnixConn, buffer []byte) (n int, from origin, err error) {
	control := make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4*maxFiles))
	n, size, flags, _, err := conn.ReadMsgUnix(buffer, control)
	if err == nil && n == 0 {
		err = errGone
	}
	if err != nil {
		return n, from, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:size])
	if err != nil {
		return n, from, err
	}
	for _, m := range messages {
		if sender, err := unix.ParseUnixCredentials(&m); err == nil {
			from.pid = int(sender.Pid)
		}
		if rights, err := unix.ParseUnixRights(&m); err == nil {
			for _, fd := range rights {
				from.files = append(from.files, os.NewFile(uintptr(fd), "place"))
			}
		}
	}
	if flags&unix.MSG_CTRUNC != 0 { // the buffer is large enough for all descriptors
		return n, from, fmt.Errorf("the descriptors that a zygote sends are lost: %w", unix.EMFILE)
	}
	if from.pid < 2 {
		return n, from, errors.New("a zygote is out of sight")
	}
	return n, from, nil
}
