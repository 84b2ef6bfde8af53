package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call makes a system call; pointers among the arguments must be kept alive.
func call(number uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

// attackLeases makes others wait for files, and has the kernel send them signals.
func attackLeases(in input) answers {
	a := answers{}
	own := output("leased")
	_ = os.WriteFile(own, nil, 0o600)
	self, _ := os.Executable()
	for _, path := range append(listOf(in.Text), self, own) {
		fd, err := unix.Open(path, unix.O_RDONLY, 0)
		if err != nil {
			continue
		}
		for name, command := range map[string][2]int{
			"F_SETLEASE read": {unix.F_SETLEASE, unix.F_RDLCK}, "F_SETLEASE write": {unix.F_SETLEASE, unix.F_WRLCK}, "F_SETDELEG": {1040, 0},
			"F_SETOWN": {unix.F_SETOWN, os.Getppid()}, "F_SETOWN_EX": {unix.F_SETOWN_EX, 0}, "F_SETSIG": {unix.F_SETSIG, int(unix.SIGKILL)},
		} {
			_, err := unix.FcntlInt(uintptr(fd), command[0], command[1])
			a.try(name+" "+path, err)
		}
		if folder, err := unix.Open(filepath.Dir(path), unix.O_RDONLY, 0); err == nil {
			_, err = unix.FcntlInt(uintptr(folder), unix.F_NOTIFY, 4) // DN_CREATE
			a.try("F_NOTIFY "+path, err)
			_ = unix.Close(folder)
		}
		_ = unix.Close(fd)
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		for name, request := range map[string]uint{"FIOSETOWN": 0x8901, "SIOCSPGRP": 0x8902, "FIOASYNC": 0x5452} {
			a.try(name, unix.IoctlSetPointerInt(ends[0], request, os.Getppid()))
		}
	}
	return a
}

// attackSchedule takes the processors from each process that it can name, by every call
// there is. It reports the number of attempts.
func attackSchedule(in input) answers {
	var one unix.CPUSet
	one.Set(0)
	few := unix.Rlimit{Cur: 200, Max: 200}
	parameter := new([64]byte)
	zero := uintptr(unsafe.Pointer(parameter)) //nolint:gosec // the system call takes a pointer
	tried := 0
	for pid := 1; pid < max(in.Number, os.Getpid()+64); pid++ {
		if pid == os.Getpid() {
			continue
		}
		tried++
		other := uintptr(pid)
		_ = unix.SchedSetaffinity(pid, &one)
		_ = call(unix.SYS_SCHED_SETSCHEDULER, other, 5, zero) // SCHED_IDLE
		_ = call(unix.SYS_SCHED_SETPARAM, other, zero)
		_ = unix.SchedSetAttr(pid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: 5}, 0)
		_ = call(unix.SYS_IOPRIO_SET, 1, other, 3<<13)
		_ = unix.Setpriority(unix.PRIO_PROCESS, pid, 19)
		_ = unix.Setpriority(unix.PRIO_PGRP, pid, 19)
		_ = unix.Prlimit(pid, unix.RLIMIT_NOFILE, &few, nil)
	}
	_ = unix.Setpriority(unix.PRIO_USER, os.Getuid(), 19)
	_ = call(unix.SYS_IOPRIO_SET, 3, uintptr(os.Getuid()), 3<<13)
	_ = call(unix.SYS_IOPRIO_SET, 2, 0, 3<<13)
	return answers{"tried": tried}
}

// attackStanding reports how it is scheduled, and how many files it may open.
func attackStanding(input) answers {
	a := answers{}
	nice, _ := unix.Getpriority(unix.PRIO_PROCESS, 0)
	a["nice"] = 20 - nice // the kernel returns 20 minus the value
	attributes, _ := unix.SchedGetAttr(0, 0)
	a["policy"] = attributes.Policy
	var processors unix.CPUSet
	_ = unix.SchedGetaffinity(0, &processors)
	a["processors"] = processors.Count()
	io, _, _ := unix.Syscall(unix.SYS_IOPRIO_GET, 1, 0, 0)
	a["input"] = io
	a["files"] = resourceLimit(unix.RLIMIT_NOFILE)
	return a
}

// attackReserve takes space on the disk faster than by writing, in ways that no limit
// counts.
func attackReserve(in input) answers {
	a := answers{}
	f, err := os.Create(output("reserved"))
	if err != nil {
		panic(err)
	}
	fd := f.Fd()
	for _, mode := range []uint32{0, 1, 0x10, 0x11, 0x20} {
		a.try(fmt.Sprintf("fallocate %#x", mode), unix.Fallocate(int(fd), mode, 0, int64(in.Number)))
	}
	space := make([]byte, 48) // struct space_resv
	binary.NativeEndian.PutUint64(space[16:], uint64(in.Number))
	for name, request := range map[string]uintptr{"RESVSP": 0x40305828, "RESVSP64": 0x4030582a, "ZERO_RANGE": 0x40305839, "size to reserve": 0x401c5820} {
		a.try(name, call(unix.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(&space[0])))) //nolint:gosec // the system call takes a pointer
	}
	a.try("attributes", unix.Fsetxattr(int(fd), "user.hoard", make([]byte, 1024), 0))
	_ = f.Close()
	_ = os.Remove(output("reserved"))
	return a
}

// attackFallback does what the C library does when it can reserve nothing.
func attackFallback(in input) answers {
	if err := writeMany(output("written"), in.Number); err != nil {
		panic(err)
	}
	return answers{"size": in.Number}
}

// attackPour writes as fast as it can into more and more files, and ignores signals, until
// it is killed.
func attackPour(in input) answers {
	signal.Ignore(unix.SIGTERM)
	var threads sync.WaitGroup
	for thread := range 2 {
		threads.Go(func() {
			for n := range 4096 {
				_ = writeMany(output(fmt.Sprintf("%d-%d", thread, n)), in.Number)
			}
		})
	}
	threads.Wait()
	return answers{}
}

// attackHoard leaves memory in a place where it may outlive its process.
func attackHoard(in input) answers {
	switch in.Text {
	case "shared memory":
		segment, err := unix.SysvShmGet(0x51AD, in.Number, unix.IPC_CREAT|0o666)
		if err != nil {
			return answers{"hoarded": "refused"}
		}
		memory, err := unix.SysvShmAttach(segment, 0, 0)
		must(err)
		for i := 0; i < len(memory); i += 4096 {
			memory[i] = 1
		}
	case "unnamed":
		fd, err := unix.MemfdCreate("hoard", 0)
		must(err, writeMany(fmt.Sprintf("/proc/self/fd/%d", fd), in.Number))
	default:
		place := cmp.Or(os.Getenv(in.Text), in.Text)
		must(writeMany(filepath.Join(place, "hoard"), in.Number))
	}
	return answers{"hoarded": in.Number}
}

// attackSockets opens sockets that show more than the network of programs.
func attackSockets(input) answers {
	a := answers{}
	for name, kind := range map[string][3]int{
		"list of sockets": {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_SOCK_DIAG}, "events of devices": {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT},
		"audit": {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT}, "events of processes": {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_CONNECTOR},
		"firewall": {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER}, "packets": {unix.AF_PACKET, unix.SOCK_RAW, 0},
		"packets of old": {unix.AF_INET, unix.SOCK_PACKET, 0}, "raw": {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
		"host": {unix.AF_VSOCK, unix.SOCK_STREAM, 0}, "cryptography": {unix.AF_ALG, unix.SOCK_SEQPACKET, 0}, "keys": {unix.AF_KEY, unix.SOCK_RAW, 2},
		"bluetooth": {unix.AF_BLUETOOTH, unix.SOCK_RAW, 1}, "express data path": {unix.AF_XDP, unix.SOCK_RAW, 0}, "SCTP": {unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP},
	} {
		fd, err := unix.Socket(kind[0], kind[1], kind[2])
		a.try(name, err)
		if err == nil {
			_ = unix.Close(fd)
		}
	}
	return a
}
