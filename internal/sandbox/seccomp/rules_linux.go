package seccomp

import "golang.org/x/sys/unix"

// A Profile selects a filter by the process that it is for.
type Profile struct {
	// Zygote is for the process that imports a service: it may make the
	// namespaces and mounts of its forks, and drop its privileges for that.
	Zygote bool
	// Shim is for the shim that starts that process in a user namespace.
	Shim bool
	// Fork is for a fork of the zygote, which is under the zygote's filter. It
	// refuses the calls that only the zygote may make, and leaves the rest to that
	// filter. A short filter takes a fork 0.1 ms less to install.
	Fork bool
	// NoNetwork leaves Unix sockets only.
	NoNetwork bool
	// OwnProcesses says that the kernel keeps other executions' processes out
	// of reach: by another user, or a private list of processes. Else the
	// filter does: it allows no process number but 0, the caller itself.
	OwnProcesses bool
	// GPU lets programs talk to the drivers of GPUs.
	GPU bool
	// OwnIPC says that the execution has a private namespace of IPC.
	OwnIPC bool
}

// An Action is what the kernel does with a call: SECCOMP_RET_ALLOW, or
// SECCOMP_RET_ERRNO with an error.
type Action uint32

// Allow lets a call pass.
const Allow Action = unix.SECCOMP_RET_ALLOW

// Refuse answers a call with an error.
func Refuse(e unix.Errno) Action { return unix.SECCOMP_RET_ERRNO | Action(e) }

// A clause has an action that applies if all conditions hold; the first such clause
// counts. The last clause of a rule has no conditions.
type clause struct {
	when []condition
	then Action
}

// A condition holds if the argument, masked, is one of the values or, without
// values, always. All arguments in question are integers or flags of 32 bits; like
// the kernel, a filter compares only those bits.
type condition struct {
	arg    int
	mask   uint32
	values []uint32
	none   bool
}

func is(arg int, values ...uint32) condition {
	return condition{arg: arg, mask: ^uint32(0), values: values}
}

func masked(arg int, mask uint32, values ...uint32) condition {
	return condition{arg: arg, mask: mask, values: values}
}

func none(arg int, mask uint32) condition { return masked(arg, mask, 0) }

func some(arg int, mask uint32) condition {
	return condition{arg: arg, mask: mask, values: []uint32{0}, none: true}
}

func allowIf(when ...condition) clause { return clause{when, Allow} }

func refuseIf(e unix.Errno, when ...condition) clause { return clause{when, Refuse(e)} }

func otherwise(then Action) clause { return clause{nil, then} }

// rules decide by the arguments of a call, by its name.
var rules = map[string]func(Profile) []clause{
	"clock_getres":       clock,
	"clock_gettime":      clock,
	"clock_nanosleep":    clock,
	"clone":              clone,
	"fallocate":          fallocate,
	"fcntl":              fcntl,
	"ioctl":              ioctl,
	"ioprio_set":         ioprioSet,
	"madvise":            madvise,
	"memfd_create":       memfdCreate,
	"mmap":               mmap,
	"personality":        personality,
	"prctl":              prctl,
	"prlimit64":          ofItself,
	"sched_setaffinity":  ofItself,
	"sched_setattr":      ofItself,
	"sched_setparam":     ofItself,
	"sched_setscheduler": ofItself,
	"setpriority":        setpriority,
	"socket":             socket,
	"socketpair":         socketpair,
	"timer_create":       clock,
	"unshare":            unshare,
}

// clock refuses the clocks of processes, whose numbers are below 0: they show how
// long any process has computed.
func clock(Profile) []clause {
	return []clause{refuseIf(unix.EINVAL, some(0, 1<<31)), otherwise(Allow)}
}

const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
	unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWTIME

// clone allows no namespaces, and no sibling, which would be a child of the
// zygote. CLONE_NEWTIME is no flag of clone, and no signal that exists.
func clone(p Profile) []clause {
	namespaces := uint32(newNamespaces)
	if p.Shim {
		namespaces &^= unix.CLONE_NEWUSER
	}
	return []clause{allowIf(none(0, namespaces|unix.CLONE_PARENT)), otherwise(Refuse(unix.EPERM))}
}

// unshare allows the namespaces of the zygote's forks. A namespace of users gives
// all capabilities inside it, so it stays refused.
func unshare(Profile) []clause {
	const apart = unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWPID | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SYSVSEM
	return []clause{allowIf(none(0, ^uint32(apart))), otherwise(Refuse(unix.EPERM))}
}

// ofItself is for calls whose first argument is a process.
func ofItself(p Profile) []clause {
	if p.OwnProcesses {
		return []clause{otherwise(Allow)}
	}
	return []clause{allowIf(is(0, 0)), otherwise(Refuse(unix.EPERM))}
}

func setpriority(p Profile) []clause {
	if p.OwnProcesses {
		return []clause{otherwise(Allow)}
	}
	return []clause{allowIf(is(0, unix.PRIO_PROCESS), is(1, 0)), otherwise(Refuse(unix.EPERM))}
}

func ioprioSet(p Profile) []clause {
	const process = 1 // IOPRIO_WHO_PROCESS
	if p.OwnProcesses {
		return []clause{otherwise(Allow)}
	}
	return []clause{allowIf(is(0, process), is(1, 0)), otherwise(Refuse(unix.EPERM))}
}

// personality allows to read it, to set that of Linux, to switch off random
// addresses (debuggers), and to report a machine of 32 bits (setarch).
func personality(Profile) []clause {
	const query, noRandomAddresses, linux32 = 0xffffffff, 0x0040000, 0x0008
	return []clause{allowIf(is(0, 0, query, noRandomAddresses, linux32)), otherwise(Refuse(unix.EPERM))}
}

// mmap allows no huge pages: they are not charged, and a program that gets none
// uses others.
func mmap(Profile) []clause {
	return []clause{refuseIf(unix.ENOMEM, some(3, unix.MAP_HUGETLB)), otherwise(Allow)}
}

// memfdCreate answers as a kernel without huge pages.
func memfdCreate(Profile) []clause {
	return []clause{refuseIf(unix.ENOSYS, some(1, unix.MFD_HUGETLB)), otherwise(Allow)}
}

// madvise answers as a kernel that merges no pages.
func madvise(Profile) []clause {
	return []clause{refuseIf(unix.EINVAL, is(2, unix.MADV_MERGEABLE)), otherwise(Allow)}
}

// fallocate may give space back, and reserves none: the C library writes instead.
func fallocate(Profile) []clause {
	return []clause{allowIf(is(1, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE)), otherwise(Refuse(unix.EOPNOTSUPP))}
}

// kindMask cuts the flags off the kind of a socket. One kind is packets of the
// machine under another family.
const kindMask = 0xf

// socket allows families and protocols of everyday programs. Netlink is for
// interfaces and routes, which getaddrinfo and ifaddrs read; its other protocols
// list others' sockets, or control parts of the machine.
func socket(p Profile) []clause {
	unixFamily := allowIf(is(0, unix.AF_UNIX))
	if p.NoNetwork {
		return []clause{unixFamily, otherwise(Refuse(unix.EAFNOSUPPORT))}
	}
	inet := is(0, unix.AF_INET, unix.AF_INET6)
	return []clause{
		allowIf(inet, masked(1, kindMask, unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW),
			is(2, 0, unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6, unix.IPPROTO_MPTCP)),
		unixFamily,
		allowIf(is(0, unix.AF_NETLINK), is(2, unix.NETLINK_ROUTE)),
		refuseIf(unix.EPROTONOSUPPORT, is(0, unix.AF_NETLINK, unix.AF_INET, unix.AF_INET6)),
		otherwise(Refuse(unix.EAFNOSUPPORT)),
	}
}

func socketpair(Profile) []clause {
	return []clause{allowIf(is(0, unix.AF_UNIX)), otherwise(Refuse(unix.EAFNOSUPPORT))}
}
