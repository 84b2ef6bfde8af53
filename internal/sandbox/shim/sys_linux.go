package shim

import (
	"syscall"
	"unsafe"
)

// The system calls of a shim are made here, and not by golang.org/x/sys/unix,
// because that is initialised after most of this program. They are raw, which does
// not tell the runtime: it would have other threads take over and give back, and
// no other code runs in a shim.

// Constants that package syscall lacks. The numbers are the same on every architecture.
const (
	sysPidfdSendSignal = 424
	sysOpenTree        = 428
	sysMoveMount       = 429
	sysCloseRange      = 436
	sysMountSetattr    = 442
	sysLandlockCreate  = 444
	sysLandlockAdd     = 445
	sysLandlockEnforce = 446

	cwd = ^uintptr(99) // AT_FDCWD, -100

	atEmptyPath       = 0x1000
	atSymlinkNofollow = 0x100
	atRecursive       = 0x8000
	oPath             = 0x200000
	openTreeClone     = 1
	moveFromEmpty     = 4
	mountAttrIDMap    = 0x100000
	closeRangeCloexec = 4

	prSetDumpable       = 4
	prCapBsetDrop       = 24
	prSetSecureBits     = 28
	prSetChildSubreaper = 36
	prSetNoNewPrivs     = 38
	prCapAmbient        = 47
	prCapAmbientClear   = 4

	capVersion3 = 0x20080522
	capSetpcap  = 8

	landlockPathBeneath  = 1
	seccompSetModeFilter = 1
	maxFilter            = 4096
)

// call makes a system call. Memory that pointers among the arguments point to does
// not move.
//
//go:uintptrescapes
func call(number uintptr, args ...uintptr) (uintptr, error) {
	var a [6]uintptr
	copy(a[:], args)
	for {
		n, _, errno := syscall.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno == 0 {
			return n, nil
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

// do is call without the result.
//
//go:uintptrescapes
func do(number uintptr, args ...uintptr) error {
	_, err := call(number, args...)
	return err
}

// text is a string in the form of the kernel, in memory that is not freed: the
// collector does not run in a shim.
func text(s string) uintptr {
	b := append(make([]byte, 0, len(s)+1), s...)
	b = append(b, 0)
	return uintptr(unsafe.Pointer(unsafe.SliceData(b))) //nolint:gosec // for the kernel
}
