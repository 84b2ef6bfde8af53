package sandbox

import "github.com/qhubctl/qhubctl/internal/sandbox/seccomp"

// Own is what each fork of a command has apart from the other forks.
type Own struct {
	// User is a user that no other execution runs as.
	User bool
	// IPC is a namespace of IPC.
	IPC bool
}

// ForkFilter returns the filter of system calls that a fork of a command with
// this policy puts in force, last of all and before any code of the request
// runs: after its mounts, its user, its capabilities and its Landlock rules,
// because the filter refuses the calls that these take. It is nil where the
// machine has no such filters.
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
	program, err := forkProfile(p, own).Native()
	return []byte(program), err
}

// profile is the filter that the shim of a command with this policy puts in
// force. The command of a policy with forks is started in a user namespace.
func (m *Machine) profile(p Policy) seccomp.Profile {
	if p.Forks != "" {
		return shimProfile(p)
	}
	return seccomp.Profile{
		NoNetwork:    p.Network == NetworkNone,
		OwnProcesses: m.has(layerProcesses) || m.has(layerUser),
		OwnIPC:       m.has(layerIPC),
	}
}

func forkProfile(p Policy, own Own) seccomp.Profile {
	return seccomp.Profile{NoNetwork: p.Network == NetworkNone, OwnProcesses: own.User, OwnIPC: own.IPC}
}

// zygoteProfile is for the process that is forked, and for its forks until they
// have separated. They make namespaces and mounts, but no user namespace.
func zygoteProfile(p Policy) seccomp.Profile {
	return seccomp.Profile{Zygote: true, NoNetwork: p.Network == NetworkNone, OwnIPC: true}
}

// shimProfile is for the shim that starts that process in a user namespace.
func shimProfile(p Policy) seccomp.Profile {
	profile := zygoteProfile(p)
	profile.Shim = true
	return profile
}

// profiles are those of all filters that this machine may need.
func (m *Machine) profiles() []seccomp.Profile {
	var all []seccomp.Profile
	for _, network := range []Network{NetworkFull, NetworkLoopback, NetworkNone} {
		p := Policy{Network: network}
		all = append(all, m.profile(p), zygoteProfile(p), shimProfile(p))
		for _, user := range []bool{false, true} {
			all = append(all, forkProfile(p, Own{User: user, IPC: true}))
		}
	}
	return all
}

// filter returns the program of a profile, which Detect has made before; nil
// where the machine has no such filters.
func (m *Machine) filter(p seccomp.Profile) []byte {
	if !m.has(layerSyscalls) {
		return nil
	}
	program, _ := p.Native()
	return []byte(program)
}
