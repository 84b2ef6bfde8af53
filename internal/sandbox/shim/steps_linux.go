package shim

import (
	"errors"
	"syscall"
	"unsafe"
)

// walker carries out steps. Settings per thread apply to the calling one, which is
// the main thread and forks the service.
type walker struct {
	ruleset uintptr
}

func (w *walker) do(s *Step) error {
	switch s.Op {
	case OpMount:
		return do(syscall.SYS_MOUNT, text(s.A), text(s.B), text(s.C), uintptr(s.N), text(s.D))
	case OpMkdir:
		return mkdirFor(s.A, uint32(s.N), uintptr(s.M))
	case OpTouch:
		return touch(s.A)
	case OpSymlink:
		return do(syscall.SYS_SYMLINKAT, text(s.A), cwd, text(s.B))
	case OpBind:
		return bind(s)
	case OpAttr:
		return setAttributes(cwd, s.A, atRecursive|atSymlinkNofollow, mountAttributes{set: s.N})
	case OpChdir:
		return do(syscall.SYS_CHDIR, text(s.A))
	case OpRoot:
		return changeRoot()
	case OpJoin:
		// 0 is the calling thread. Moving only itself avoids the locks that make
		// moving others wait for a grace period of RCU.
		return do(syscall.SYS_WRITE, uintptr(s.N), text("0"), 1)
	case OpLimit:
		// By the package, so that it forgets the number of open files that it
		// would restore in children.
		return syscall.Setrlimit(int(s.N), &syscall.Rlimit{Cur: s.M, Max: max(s.M, s.L)})
	case OpLoopback:
		return loopbackUp()
	case OpRuleset, OpAllow, OpRestrict:
		return w.landlock(s)
	case OpNoPrivileges:
		return dropPrivileges()
	case OpFilter:
		return filter(uintptr(s.N), s.A)
	case OpSubreaper:
		return do(syscall.SYS_PRCTL, prSetChildSubreaper, 1)
	case OpUndumpable:
		return do(syscall.SYS_PRCTL, prSetDumpable)
	case OpDevice:
		return do(syscall.SYS_MKNODAT, cwd, text(s.A), syscall.S_IFCHR|0o666, uintptr(s.N))
	case OpWrite:
		return write(s.A, s.B)
	case OpUnmount:
		return do(syscall.SYS_UMOUNT2, text(s.A), syscall.MNT_DETACH)
	}
	return syscall.ENOSYS
}

func mkdirFor(path string, mode uint32, user uintptr) error {
	err := mkdirAll(path, mode)
	if err == nil && user != 0 {
		err = do(syscall.SYS_FCHOWNAT, cwd, text(path), user, user, 0)
	}
	return err
}

func mkdirAll(path string, mode uint32) error {
	err := do(syscall.SYS_MKDIRAT, cwd, text(path), uintptr(mode))
	if errors.Is(err, syscall.ENOENT) {
		if parent := parentOf(path); parent != "" {
			if err := mkdirAll(parent, 0o755); err != nil {
				return err
			}
			err = do(syscall.SYS_MKDIRAT, cwd, text(path), uintptr(mode))
		}
	}
	if errors.Is(err, syscall.EEXIST) {
		return nil
	}
	return err
}

// parentOf works without package filepath, for the reason above.
func parentOf(path string) string {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '/' {
			return path[:i]
		}
	}
	return ""
}

func touch(path string) error {
	const flags = syscall.O_CREAT | syscall.O_RDONLY | syscall.O_CLOEXEC | syscall.O_NOFOLLOW
	fd, err := call(syscall.SYS_OPENAT, cwd, text(path), flags, 0o444)
	if errors.Is(err, syscall.ENOENT) {
		if err := mkdirAll(parentOf(path), 0o755); err != nil {
			return err
		}
		fd, err = call(syscall.SYS_OPENAT, cwd, text(path), flags, 0o444)
	}
	if err != nil {
		return err
	}
	return do(syscall.SYS_CLOSE, fd)
}

func write(path, content string) error {
	const flags = syscall.O_CREAT | syscall.O_EXCL | syscall.O_WRONLY | syscall.O_CLOEXEC | syscall.O_NOFOLLOW
	fd, err := call(syscall.SYS_OPENAT, cwd, text(path), flags, 0o444)
	if err != nil {
		return err
	}
	n, err := call(syscall.SYS_WRITE, fd, text(content), uintptr(len(content)))
	if err == nil && int(n) != len(content) {
		err = syscall.ENOSPC
	}
	_ = do(syscall.SYS_CLOSE, fd)
	return err
}

// mountAttributes is struct mount_attr of the kernel.
type mountAttributes struct{ set, clear, propagation, namespace uint64 }

func setAttributes(dir uintptr, path string, flags uintptr, a mountAttributes) error {
	//nolint:gosec // as the kernel wants it
	return do(sysMountSetattr, dir, text(path), flags, uintptr(unsafe.Pointer(&a)), unsafe.Sizeof(a))
}

// bind prepares the mount before any process can see it.
func bind(s *Step) error {
	tree, err := call(sysOpenTree, cwd, text(s.A), openTreeClone|syscall.O_CLOEXEC|atRecursive)
	if err != nil {
		return err
	}
	attr := mountAttributes{set: s.N, namespace: s.M}
	flags := uintptr(atEmptyPath | atRecursive)
	if s.M != 0 {
		attr.set |= mountAttrIDMap
		flags = atEmptyPath // mounts in it keep their owners
	}
	if attr.set != 0 {
		err = setAttributes(tree, "", flags, attr)
	}
	if err == nil {
		err = do(sysMoveMount, tree, text(""), cwd, text(s.B), moveFromEmpty)
	}
	_ = do(syscall.SYS_CLOSE, tree)
	return err
}

// changeRoot stacks the old root on the new one, and unmounts it.
func changeRoot() error {
	if err := do(syscall.SYS_PIVOT_ROOT, text("."), text(".")); err != nil {
		return err
	}
	if err := do(syscall.SYS_UMOUNT2, text("."), syscall.MNT_DETACH); err != nil {
		return err
	}
	return do(syscall.SYS_CHDIR, text("/"))
}

func loopbackUp() error {
	fd, err := call(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	request := struct { // struct ifreq of the kernel
		name  [16]byte
		flags uint16
		rest  [22]byte
	}{name: [16]byte{'l', 'o'}, flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	err = do(syscall.SYS_IOCTL, fd, syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))) //nolint:gosec // as the kernel wants it
	_ = do(syscall.SYS_CLOSE, fd)
	return err
}

// landlock makes the system calls itself: the library for it restricts all threads
// of a process, and this one must stay able to kill the processes of the service.
func (w *walker) landlock(s *Step) error {
	switch s.Op {
	case OpRuleset:
		attr := [3]uint64{s.N, s.M, s.L}
		known := 3 // an older kernel does not know the members at the end
		for known > 1 && attr[known-1] == 0 {
			known--
		}
		var err error
		//nolint:gosec // as the kernel wants it
		w.ruleset, err = call(sysLandlockCreate, uintptr(unsafe.Pointer(&attr)), uintptr(known)*8, 0)
		return err
	case OpAllow:
		fd, err := call(syscall.SYS_OPENAT, cwd, text(s.A), oPath|syscall.O_CLOEXEC, 0)
		if err != nil {
			if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EACCES) {
				return nil
			}
			return err
		}
		// struct landlock_path_beneath_attr of the kernel, which has no padding.
		rule := [3]uint32{uint32(s.N), uint32(s.N >> 32), uint32(fd)}
		//nolint:gosec // as the kernel wants it
		err = do(sysLandlockAdd, w.ruleset, landlockPathBeneath, uintptr(unsafe.Pointer(&rule)), 0)
		_ = do(syscall.SYS_CLOSE, fd)
		return err
	default:
		err := do(sysLandlockEnforce, w.ruleset, 0)
		_ = do(syscall.SYS_CLOSE, w.ruleset)
		return err
	}
}

// secureBits are locked: execve gives root no capabilities, and no process passes
// capabilities on.
const secureBits = 1<<0 | 1<<1 | // SECBIT_NOROOT, locked
	1<<5 | // SECBIT_KEEP_CAPS locked off
	1<<6 | 1<<7 // SECBIT_NO_CAP_AMBIENT_RAISE, locked

// dropPrivileges leaves the shim its capabilities: programs that it executes from
// now on have none, and get none from files.
func dropPrivileges() error {
	if err := do(syscall.SYS_PRCTL, prSetNoNewPrivs, 1); err != nil {
		return err
	}
	if err := do(syscall.SYS_PRCTL, prCapAmbient, prCapAmbientClear); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	header := struct { // of capget(2), like the sets
		version uint32
		pid     int32
	}{version: capVersion3}
	var sets [2]struct{ effective, permitted, inheritable uint32 }
	//nolint:gosec // as the kernel wants it
	if err := do(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets))); err != nil {
		return err
	}
	mayDrop := sets[0].effective&(1<<capSetpcap) != 0
	sets[0].inheritable, sets[1].inheritable = 0, 0
	//nolint:gosec // as the kernel wants it
	if err := do(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&sets))); err != nil {
		return err
	}
	if !mayDrop {
		return nil // an ordinary user: no capabilities, and no_new_privs prevents any
	}
	if err := do(syscall.SYS_PRCTL, prSetSecureBits, secureBits); err != nil {
		return err
	}
	for capability := uintptr(0); capability < 64; capability++ {
		if err := do(syscall.SYS_PRCTL, prCapBsetDrop, capability); err != nil {
			if errors.Is(err, syscall.EINVAL) {
				break // the last one this kernel has
			}
			return err
		}
	}
	return nil
}

// filter installs a program by seccomp(2). The caller passes the number of the
// call, because each architecture has another.
func filter(number uintptr, program string) error {
	n := len(program) / 8 // struct sock_filter of the kernel
	if n == 0 || n > maxFilter {
		return syscall.EINVAL
	}
	fprog := struct { // struct sock_fprog of the kernel
		size    uint16
		program uintptr
	}{uint16(n), text(program)}
	return do(number, seccompSetModeFilter, 0, uintptr(unsafe.Pointer(&fprog))) //nolint:gosec // as the kernel wants it
}
