package sandbox

import "github.com/qhubctl/qhubctl/internal/sandbox/seccomp"

// Own is what each fork of a command has apart from the other forks.
type Own struct {
	// User is a user that no other execution runs as.
	User bool
	// IPC is a namespace of IPC.
	IPC bool
}

// ForkFilter is the filter of system calls that a fork of a command with this
// policy puts in force for itself, last of all and before any code of the
// request runs: after its mounts, its user, its capabilities and its Landlock
// rules, as the filter refuses what these take. It is nil where the machine has
// no such filters.
//
// The bytes are an array of struct sock_filter in the byte order of the
// machine, eight bytes each. A fork puts them in force with no_new_privs set:
//
//	struct sock_fprog { unsigned short len = bytes/8; void *filter = bytes; }
//	seccomp(SECCOMP_SET_MODE_FILTER = 1, 0, &sock_fprog)
//
// or by prctl(PR_SET_SECCOMP = 22, SECCOMP_MODE_FILTER = 2, &sock_fprog), whose
// number is the same on every architecture. A filter only adds refusals: the
// fork stays under that of the command, too.
func (m *Machine) ForkFilter(p Policy, own Own) ([]byte, error) {
	if !m.has(layerSyscalls) {
		return nil, nil
	}
	program, err := seccomp.Profile{NoNetwork: p.Network == NetworkNone, OwnProcesses: own.User, OwnIPC: own.IPC}.Native()
	return []byte(program), err
}

// profile is the filter that a command with this policy gets.
func (m *Machine) profile(p Policy) seccomp.Profile {
	shared := p.Forks != ""
	return seccomp.Profile{
		NoNetwork:    p.Network == NetworkNone,
		OwnProcesses: !shared && (m.has(layerProcesses) || m.has(layerUser)),
		OwnIPC:       !shared && m.has(layerIPC),
	}
}
