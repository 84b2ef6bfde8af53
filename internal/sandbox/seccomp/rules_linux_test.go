package seccomp_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox/seccomp"
)

const high = 1 << 32 // a bit that the kernel ignores in an int

// TestArguments repeats the rules about arguments as cases.
func TestArguments(t *testing.T) {
	const no = unix.Errno(0)
	apart := seccomp.Profile{OwnProcesses: true, OwnIPC: true}
	var forks seccomp.Profile
	none := seccomp.Profile{NoNetwork: true}
	zygote := seccomp.Profile{Zygote: true}
	for _, test := range []struct {
		profile seccomp.Profile
		call    string
		want    unix.Errno // none: allowed
		args    [6]uint64
	}{
		{apart, "clone", no, [6]uint64{unix.CLONE_VM | unix.CLONE_VFORK | uint64(unix.SIGCHLD)}},
		{apart, "clone", unix.EPERM, [6]uint64{unix.CLONE_NEWUSER | uint64(unix.SIGCHLD)}},
		{apart, "clone", unix.EPERM, [6]uint64{unix.CLONE_PARENT | uint64(unix.SIGCHLD)}},
		{zygote, "clone", unix.EPERM, [6]uint64{unix.CLONE_NEWNS}},
		{apart, "unshare", unix.EPERM, [6]uint64{unix.CLONE_NEWNS}},
		{zygote, "unshare", no, [6]uint64{unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET}},
		{zygote, "unshare", unix.EPERM, [6]uint64{unix.CLONE_NEWUSER}},
		{zygote, "unshare", unix.EPERM, [6]uint64{unix.CLONE_NEWUSER | unix.CLONE_NEWNS}},
		{zygote, "mount", no, [6]uint64{}},
		{apart, "mount", unix.EPERM, [6]uint64{}},
		{zygote, "setns", unix.EPERM, [6]uint64{}},
		{zygote, "sethostname", unix.EPERM, [6]uint64{}},

		{apart, "fcntl", no, [6]uint64{3, unix.F_SETLK}},
		{apart, "fcntl", no, [6]uint64{3, unix.F_ADD_SEALS}},
		{apart, "fcntl", no, [6]uint64{3, unix.F_SETPIPE_SZ}},
		{apart, "fcntl", unix.EPERM, [6]uint64{3, unix.F_SETLEASE}},
		{apart, "fcntl", unix.EPERM, [6]uint64{3, unix.F_SETLEASE | high}},
		{apart, "fcntl", unix.EPERM, [6]uint64{3, unix.F_GETLEASE}},
		{apart, "fcntl", unix.EPERM, [6]uint64{3, unix.F_NOTIFY}},
		{apart, "fcntl", unix.EPERM, [6]uint64{3, unix.F_SETOWN}},
		{apart, "fcntl", unix.EPERM, [6]uint64{3, unix.F_SETOWN_EX}},
		{apart, "fcntl", unix.EPERM, [6]uint64{3, unix.F_SETSIG}},
		{zygote, "fcntl", unix.EPERM, [6]uint64{3, unix.F_SETLEASE}},
		{apart, "fcntl", unix.EPERM, [6]uint64{3, 1024 + 16}}, // F_SETDELEG

		{apart, "ioctl", no, [6]uint64{3, unix.TIOCGWINSZ}},
		{apart, "ioctl", no, [6]uint64{3, unix.TIOCINQ}},
		{apart, "ioctl", no, [6]uint64{3, unix.SIOCGIFCONF}},
		{apart, "ioctl", unix.EPERM, [6]uint64{3, unix.TIOCSTI}},
		{apart, "ioctl", unix.EPERM, [6]uint64{3, unix.TIOCSTI | high}},
		{apart, "ioctl", unix.EPERM, [6]uint64{3, 0x8901}}, // FIOSETOWN
		{apart, "ioctl", unix.EPERM, [6]uint64{3, 0x8902}}, // SIOCSPGRP
		{apart, "ioctl", unix.EPERM, [6]uint64{3, 0x5452}}, // FIOASYNC
		{apart, "ioctl", unix.EOPNOTSUPP, [6]uint64{3, unix.FICLONE}},
		{apart, "ioctl", unix.EOPNOTSUPP, [6]uint64{3, unix.FIDEDUPERANGE}},
		{apart, "ioctl", unix.ENOTTY, [6]uint64{3, unix.FS_IOC_SETFLAGS}},
		{apart, "ioctl", unix.ENOTTY, [6]uint64{3, 0x40305828}}, // FS_IOC_RESVSP
		{apart, "ioctl", unix.ENOTTY, [6]uint64{3, 0x4030582a}}, // FS_IOC_RESVSP64
		{apart, "ioctl", unix.ENOTTY, [6]uint64{3, 0x40305839}}, // FS_IOC_ZERO_RANGE
		{apart, "ioctl", unix.ENOTTY, [6]uint64{3, 0xae01}},     // KVM_CREATE_VM
		{apart, "ioctl", unix.ENOTTY, [6]uint64{3, unix.BLKDISCARD}},
		{apart, "ioctl", unix.ENOTTY, [6]uint64{3, unix.TUNSETIFF}},

		{forks, "setpriority", no, [6]uint64{unix.PRIO_PROCESS, 0, 19}},
		{forks, "setpriority", unix.EPERM, [6]uint64{unix.PRIO_PROCESS, 7, 19}},
		{forks, "setpriority", unix.EPERM, [6]uint64{unix.PRIO_PGRP, 0, 19}},
		{forks, "setpriority", unix.EPERM, [6]uint64{unix.PRIO_USER, 0, 19}},
		{apart, "setpriority", no, [6]uint64{unix.PRIO_PROCESS, 7, 19}},
		{forks, "sched_setaffinity", no, [6]uint64{0, 8}},
		{forks, "sched_setaffinity", no, [6]uint64{high, 8}},
		{forks, "sched_setaffinity", unix.EPERM, [6]uint64{7, 8}},
		{forks, "sched_setscheduler", unix.EPERM, [6]uint64{7, 5}},
		{forks, "sched_setparam", unix.EPERM, [6]uint64{7}},
		{forks, "sched_setattr", unix.EPERM, [6]uint64{7}},
		{forks, "ioprio_set", no, [6]uint64{1, 0}},
		{forks, "ioprio_set", unix.EPERM, [6]uint64{1, 7}},
		{forks, "ioprio_set", unix.EPERM, [6]uint64{2, 0}},
		{forks, "ioprio_set", unix.EPERM, [6]uint64{3, 0}},
		{forks, "prlimit64", no, [6]uint64{0, 1, 0x7fff00000000}},
		{forks, "prlimit64", unix.EPERM, [6]uint64{7, 1, 0x7fff00000000}},
		{forks, "prlimit64", unix.EPERM, [6]uint64{7, 1, 0}},
		{apart, "prlimit64", no, [6]uint64{7, 1, 0x7fff}},

		{apart, "prctl", no, [6]uint64{unix.PR_SET_NAME}},
		{apart, "prctl", no, [6]uint64{unix.PR_SET_VMA}},
		{apart, "prctl", unix.EINVAL, [6]uint64{unix.PR_SCHED_CORE}},
		{apart, "prctl", unix.EINVAL, [6]uint64{unix.PR_SET_PTRACER}},
		{apart, "prctl", unix.EINVAL, [6]uint64{unix.PR_SET_MM}},
		{apart, "prctl", unix.EINVAL, [6]uint64{unix.PR_SET_IO_FLUSHER}},
		{apart, "prctl", unix.EINVAL, [6]uint64{67}}, // PR_SET_MEMORY_MERGE
		{zygote, "prctl", no, [6]uint64{unix.PR_SET_SECCOMP}},
		{zygote, "prctl", no, [6]uint64{unix.PR_CAPBSET_DROP}},

		{apart, "socket", no, [6]uint64{unix.AF_UNIX, unix.SOCK_STREAM | unix.SOCK_CLOEXEC}},
		{apart, "socket", no, [6]uint64{unix.AF_INET6, unix.SOCK_DGRAM | unix.SOCK_NONBLOCK, unix.IPPROTO_UDP}},
		{apart, "socket", no, [6]uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}},
		{apart, "socket", no, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW | unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE}},
		{apart, "socket", unix.EPROTONOSUPPORT, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_INET_DIAG}},
		{apart, "socket", unix.EPROTONOSUPPORT, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT}},
		{apart, "socket", unix.EPROTONOSUPPORT, [6]uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP}},
		{apart, "socket", unix.EPROTONOSUPPORT, [6]uint64{unix.AF_INET, 10, 0}}, // SOCK_PACKET, which is AF_PACKET
		{apart, "socket", unix.EAFNOSUPPORT, [6]uint64{unix.AF_PACKET, unix.SOCK_RAW}},
		{apart, "socket", unix.EAFNOSUPPORT, [6]uint64{unix.AF_VSOCK | high, unix.SOCK_STREAM}},
		{apart, "socket", unix.EAFNOSUPPORT, [6]uint64{unix.AF_ALG, unix.SOCK_SEQPACKET}},
		{none, "socket", unix.EAFNOSUPPORT, [6]uint64{unix.AF_INET, unix.SOCK_STREAM}},
		{none, "socket", unix.EAFNOSUPPORT, [6]uint64{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}},
		{none, "socket", no, [6]uint64{unix.AF_UNIX, unix.SOCK_STREAM}},
		{apart, "socketpair", no, [6]uint64{unix.AF_UNIX, unix.SOCK_STREAM}},
		{apart, "socketpair", unix.EAFNOSUPPORT, [6]uint64{unix.AF_VSOCK, unix.SOCK_STREAM}},

		{apart, "fallocate", unix.EOPNOTSUPP, [6]uint64{3, 0, 0, 1 << 30}},
		{apart, "fallocate", unix.EOPNOTSUPP, [6]uint64{3, unix.FALLOC_FL_KEEP_SIZE, 0, 1 << 30}},
		{apart, "fallocate", unix.EOPNOTSUPP, [6]uint64{3, unix.FALLOC_FL_ZERO_RANGE, 0, 1 << 30}},
		{apart, "fallocate", no, [6]uint64{3, unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE, 0, 1 << 30}},
		{apart, "mmap", no, [6]uint64{0, 4096, 3, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS}},
		{apart, "mmap", unix.ENOMEM, [6]uint64{0, 4096, 3, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_HUGETLB}},
		{apart, "memfd_create", no, [6]uint64{0, unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING}},
		{apart, "memfd_create", unix.ENOSYS, [6]uint64{0, unix.MFD_HUGETLB}},
		{apart, "madvise", no, [6]uint64{0, 0, unix.MADV_DONTNEED}},
		{apart, "madvise", unix.EINVAL, [6]uint64{0, 0, unix.MADV_MERGEABLE}},
		{apart, "personality", no, [6]uint64{0xffffffff}},
		{apart, "personality", unix.EPERM, [6]uint64{0x0400000}}, // READ_IMPLIES_EXEC

		{apart, "shmget", no, [6]uint64{}},
		{forks, "shmget", unix.ENOSYS, [6]uint64{}},
		{forks, "mq_unlink", unix.ENOSYS, [6]uint64{}},
	} {
		number, ok := numbers(t, seccomp.AMD64)[test.call]
		if !ok {
			t.Fatalf("the table has no %s, want a line", test.call)
		}
		want := seccomp.Allow
		if test.want != no {
			want = seccomp.Refuse(test.want)
		}
		if got := build(t, seccomp.AMD64, test.profile).run(t, seccomp.AMD64.Audit(), uint32(number), test.args); got != want {
			t.Errorf("%s(%x) with %+v = %#x, want %#x (%v)", test.call, test.args, test.profile, got, want, test.want)
		}
	}
}
