package sandbox

import (
	"fmt"
	"slices"
	"unsafe"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// denied are calls no service needs, most of which no process without
// privileges may make anyway: what stays is the attack surface of the kernel.
var denied = []string{
	// Other processes, even of the same user.
	"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd",
	// Namespaces and mounts.
	"unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "open_tree_attr", "fsopen",
	"fsconfig", "fsmount", "fspick", "mount_setattr", "statmount", "listmount", "quotactl", "quotactl_fd",
	// Files by handle, past all folders.
	"open_by_handle_at", "name_to_handle_at",
	// The kernel and the machine.
	"kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "query_module",
	"get_kernel_syms", "bpf", "perf_event_open", "userfaultfd", "reboot", "swapon", "swapoff", "syslog", "acct", "lookup_dcookie",
	"iopl", "ioperm", "modify_ldt", "vm86", "vm86old", "uselib", "ustat", "sysfs", "_sysctl", "nfsservctl", "vhangup", "fanotify_init",
	"sethostname", "setdomainname",
	// Keys, which namespaces do not part.
	"add_key", "request_key", "keyctl",
	// The clock.
	"settimeofday", "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex", "stime",
	// NUMA: other processes' pages.
	"move_pages", "migrate_pages",
}

// absent are calls that are answered as by a kernel that lacks them, so that
// programs fall back: the arguments of clone3 cannot be looked at, and
// io_uring goes past this filter.
var absent = []string{"clone3", "io_uring_setup", "io_uring_enter", "io_uring_register"}

const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
	unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWTIME

// shared are calls that reach others of the same user, or what they have left:
// not for executions that are forked in one sandbox. Answered as by a kernel that
// lacks them.
var shared = []string{"shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl", "mq_open"}

// filterKey is what a filter depends on.
type filterKey struct {
	network Network
	forks   bool
}

// filter assembles a filter.
func filter(key filterKey) (string, error) {
	info, err := arch.GetInfo("")
	if err != nil {
		return "", fmt.Errorf("no filter of system calls for this architecture: %w", err)
	}
	known := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			_, ok := info.SyscallNames[name]
			return !ok
		})
	}
	families := []uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}
	if key.network == NetworkNone {
		families = families[:1]
	}
	// All but these: sockets to the host of a virtual machine, to the
	// kernel's cryptography, and whatever comes.
	var others seccomp.ArgumentConditions
	for _, family := range families {
		others = append(others, seccomp.Condition{Argument: 0, Operation: seccomp.NotEqual, Value: family})
	}
	policy := seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls: []seccomp.SyscallGroup{
			{Names: known(denied), Action: errno(unix.EPERM)},
			{Names: known(absent), Action: errno(unix.ENOSYS)},
			{NamesWithCondtions: []seccomp.NameWithConditions{{
				Name: "clone", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.BitsSet, Value: newNamespaces}},
			}}, Action: errno(unix.EPERM)},
			{NamesWithCondtions: []seccomp.NameWithConditions{
				{Name: "socket", Conditions: others},
				{Name: "socketpair", Conditions: others},
			}, Action: errno(unix.EAFNOSUPPORT)},
		},
	}
	if key.forks {
		others := seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.NotEqual, Value: 0}}
		policy.Syscalls = append(policy.Syscalls,
			seccomp.SyscallGroup{Names: known(shared), Action: errno(unix.ENOSYS)},
			// Of other processes, and of all of a user.
			seccomp.SyscallGroup{NamesWithCondtions: []seccomp.NameWithConditions{
				{Name: "prlimit64", Conditions: others},
				{Name: "setpriority", Conditions: others},
			}, Action: errno(unix.EPERM)},
		)
	}
	program, err := policy.Assemble()
	if err != nil {
		return "", fmt.Errorf("cannot assemble the filter of system calls: %w", err)
	}
	// The library lets calls of another architecture pass, such as those of 32
	// bits, which have other numbers.
	program = append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 4}, // the architecture, in struct seccomp_data
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(info.ID), SkipTrue: 1},
		bpf.RetConstant{Val: uint32(errno(unix.ENOSYS))},
	}, program...)
	raw, err := bpf.Assemble(program)
	if err != nil {
		return "", fmt.Errorf("cannot assemble the filter of system calls: %w", err)
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	//nolint:gosec // as the kernel wants it
	return string(unsafe.Slice((*byte)(unsafe.Pointer(&code[0])), len(code)*int(unsafe.Sizeof(code[0])))), nil
}

func errno(e unix.Errno) seccomp.Action { return seccomp.ActionErrno | seccomp.Action(e) }
