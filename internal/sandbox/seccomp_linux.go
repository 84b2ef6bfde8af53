package sandbox

import "github.com/qhubctl/qhubctl/internal/sandbox/seccomp"

// profile is the filter that the shim of a command with this policy installs. The
// command of a policy with forks is started in a user namespace.
func (m *Machine) profile(p Policy) seccomp.Profile {
	if p.Forks != "" {
		return m.shimProfile(p)
	}
	return seccomp.Profile{
		GPU:          p.GPUs > 0,
		NoNetwork:    p.Network == NetworkNone,
		OwnProcesses: m.has(layerProcesses) || m.has(layerUser),
		OwnIPC:       m.has(layerIPC),
	}
}

// zygoteProfile is for the process that is forked, and for its forks until they
// have separated. They make namespaces and mounts, but no user namespace.
func (m *Machine) zygoteProfile(p Policy) seccomp.Profile {
	return seccomp.Profile{Zygote: true, GPU: p.GPUs > 0, NoNetwork: p.Network == NetworkNone, OwnProcesses: m.has(layerUser), OwnIPC: true}
}

// forkProfile is the filter that a fork adds to that, last of all and before any code
// of the request runs: it refuses the calls that separating needed.
var forkProfile = seccomp.Profile{Fork: true}

// shimProfile is for the shim that starts the process that is forked in a user
// namespace.
func (m *Machine) shimProfile(p Policy) seccomp.Profile {
	profile := m.zygoteProfile(p)
	profile.Shim = true
	return profile
}

// profiles are those of all filters that this machine may need.
func (m *Machine) profiles() []seccomp.Profile {
	var all []seccomp.Profile
	for _, network := range []Network{NetworkFull, NetworkLoopback, NetworkNone} {
		for gpus := range 2 {
			p := Policy{Network: network, GPUs: gpus}
			all = append(all, m.profile(p), m.zygoteProfile(p), m.shimProfile(p))
		}
	}
	return append(all, forkProfile)
}

// filter returns the program of a profile, which Detect has made before; nil
// if the machine has no such filters.
func (m *Machine) filter(p seccomp.Profile) []byte {
	if !m.has(layerSyscalls) {
		return nil
	}
	program, _ := p.Native()
	return []byte(program)
}
