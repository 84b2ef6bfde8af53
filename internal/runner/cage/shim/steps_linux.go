package shim

import (
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// walker carries out steps. All that is set per thread is set on the calling
// one, which is the main thread and the one that forks the service.
type walker struct {
	ruleset int
}

func (w *walker) do(s *Step) error {
	switch s.Op {
	case OpMount:
		return unix.Mount(s.A, s.B, s.C, uintptr(s.N), s.D)
	case OpMkdir:
		return mkdirAll(s.A, uint32(s.N))
	case OpTouch:
		return touch(s.A)
	case OpSymlink:
		return unix.Symlink(s.A, s.B)
	case OpBind:
		return bind(s)
	case OpAttr:
		return unix.MountSetattr(unix.AT_FDCWD, s.A, unix.AT_RECURSIVE|unix.AT_SYMLINK_NOFOLLOW, &unix.MountAttr{Attr_set: s.N})
	case OpChdir:
		return unix.Chdir(s.A)
	case OpRoot:
		return changeRoot()
	case OpJoin:
		// 0 is the calling thread: moving oneself alone needs none of the
		// locks that make moving others wait for a grace period of RCU.
		_, err := unix.Write(int(s.N), []byte{'0'})
		return err
	case OpLimit:
		// By syscall, not unix: it makes the package forget the number of open
		// files that it would restore in children.
		return syscall.Setrlimit(int(s.N), &syscall.Rlimit{Cur: s.M, Max: max(s.M, s.L)})
	case OpLoopback:
		return loopbackUp()
	case OpRuleset, OpAllow, OpRestrict:
		return w.landlock(s)
	case OpNoPrivileges:
		return dropPrivileges()
	case OpFilter:
		return filter(s.A)
	case OpSubreaper:
		return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	case OpUndumpable:
		return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	}
	return unix.ENOSYS
}

func mkdirAll(path string, mode uint32) error {
	err := unix.Mkdir(path, mode)
	if err == unix.ENOENT {
		if parent := parentOf(path); parent != "" {
			if err := mkdirAll(parent, 0o755); err != nil {
				return err
			}
			err = unix.Mkdir(path, mode)
		}
	}
	if err == unix.EEXIST {
		return nil
	}
	return err
}

// parentOf does without package filepath: it comes late in the order in which
// packages are initialised, and the shim would come after it.
func parentOf(path string) string {
	return path[:max(0, strings.LastIndexByte(path, '/'))]
}

func touch(path string) error {
	if parent := parentOf(path); parent != "" {
		if err := mkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o444)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// bind prepares the mount before anybody can see it.
func bind(s *Step) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, s.A, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(tree) }()
	attr := unix.MountAttr{Attr_set: s.N, Userns_fd: s.M}
	flags := uint(unix.AT_EMPTY_PATH | unix.AT_RECURSIVE)
	if s.M != 0 {
		attr.Attr_set |= unix.MOUNT_ATTR_IDMAP
		flags = unix.AT_EMPTY_PATH // what is mounted in it keeps its owners
	}
	if attr.Attr_set != 0 {
		if err := unix.MountSetattr(tree, "", flags, &attr); err != nil {
			return err
		}
	}
	return unix.MoveMount(tree, "", unix.AT_FDCWD, s.B, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// changeRoot stacks the old root on the new one, and takes it away.
func changeRoot() error {
	if err := unix.PivotRoot(".", "."); err != nil {
		return err
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	return unix.Chdir("/")
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// landlock calls the kernel itself: the library for it restricts all threads
// of a process, and this one has to stay able to end what the service leaves.
func (w *walker) landlock(s *Step) error {
	switch s.Op {
	case OpRuleset:
		attr := unix.LandlockRulesetAttr{Handled_access_fs: s.N, Handled_access_net: s.M, Scoped: s.L}
		size := unsafe.Sizeof(attr)
		if s.L == 0 {
			size = unsafe.Offsetof(attr.Scoped) // an older kernel knows no more
			if s.M == 0 {
				size = unsafe.Offsetof(attr.Handled_access_net)
			}
		}
		//nolint:gosec // a system call that no package has
		fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
		if errno != 0 {
			return errno
		}
		w.ruleset = int(fd)
		return nil
	case OpAllow:
		fd, err := unix.Open(s.A, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			if err == unix.ENOENT || err == unix.EACCES {
				return nil
			}
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		rule := unix.LandlockPathBeneathAttr{Allowed_access: s.N, Parent_fd: int32(fd)}
		_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(w.ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
			uintptr(unsafe.Pointer(&rule)), 0, 0, 0) //nolint:gosec // a system call that no package has
		return result(errno)
	default:
		_, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(w.ruleset), 0, 0)
		_ = unix.Close(w.ruleset)
		return result(errno)
	}
}

func result(errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

// secureBits lock: root is nobody special to execve, and nothing passes
// capabilities on.
const secureBits = 1<<0 | 1<<1 | // SECBIT_NOROOT, locked
	1<<5 | // SECBIT_KEEP_CAPS locked off
	1<<6 | 1<<7 // SECBIT_NO_CAP_AMBIENT_RAISE, locked

// dropPrivileges leaves the shim its own capabilities: what is executed from
// here on has none, and finds none in files.
func dropPrivileges() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && err != unix.EINVAL {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return err
	}
	mayDrop := sets[0].Effective&(1<<unix.CAP_SETPCAP) != 0
	sets[0].Inheritable, sets[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return err
	}
	if !mayDrop {
		return nil // an ordinary user: without capabilities, and no_new_privs keeps it so
	}
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, secureBits, 0, 0, 0); err != nil {
		return err
	}
	for capability := uintptr(0); capability < 64; capability++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
			if err == unix.EINVAL {
				break // the last one this kernel has
			}
			return err
		}
	}
	return nil
}

func filter(program string) error {
	n := len(program) / int(unsafe.Sizeof(unix.SockFilter{}))
	if n == 0 || n > unix.BPF_MAXINSNS {
		return unix.EINVAL
	}
	code := make([]unix.SockFilter, n)
	//nolint:gosec // as the kernel wants it
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&code[0])), len(program)), strings.Clone(program))
	fprog := unix.SockFprog{Len: uint16(n), Filter: &code[0]}
	//nolint:gosec // a system call that no package has
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog)))
	return result(errno)
}
