package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox/shim"
)

// A Machine knows which layers this machine has, and builds sandboxes of them.
// Its methods may be called by any goroutine.
type Machine struct {
	root   bool // may do all this without a user namespace
	abi    int  // of Landlock
	system system
	ids    *identities
	groups *groups
	drafts bool // overlays can be mounted
	held   [layers]bool
	says   [layers]string
}

// Confines reports whether commands can be started in sandboxes at all, of
// any number of layers.
func (m *Machine) Confines() bool { return m != nil }

func (m *Machine) has(l layer) bool { return m.held[l] }

func (m *Machine) lacks(l layer, why string) {
	m.held[l], m.says[l] = false, why
}

// Detect tries each layer once, by starting shims that do nothing else. It takes
// some milliseconds.
func Detect(o Options) *Machine {
	m := &Machine{
		root:   privileged(),
		system: findSystem(),
		ids:    newIdentities(o),
		groups: &groups{},
	}
	for _, l := range []layer{layerPrivileges, layerProcesses, layerFilesystem, layerProc, layerIPC, layerServer, layerSyscalls, layerLandlock} {
		m.held[l] = true
	}
	for _, profile := range m.profiles() {
		if _, err := profile.Native(); err != nil {
			m.lacks(layerSyscalls, err.Error())
		}
	}
	var err error
	if m.abi, err = landlockABI(); err != nil {
		m.lacks(layerLandlock, "the kernel has no Landlock: "+err.Error())
	}
	m.detectUser(o)
	m.detectNamespaces()
	m.detectSteps()
	m.detectDrafts()
	m.detectNetwork()
	m.detectGroups()
	return m
}

// Close releases what the machine holds. No command may run in a sandbox any more.
func (m *Machine) Close() {
	m.ids.close()
	m.groups.close()
}

func privileged() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if os.Geteuid() != 0 || unix.Capget(&header, &sets[0]) != nil {
		return false
	}
	for _, capability := range []int{unix.CAP_SYS_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETPCAP, unix.CAP_CHOWN} {
		if sets[0].Effective&(1<<capability) == 0 {
			return false
		}
	}
	return true
}

func (m *Machine) detectUser(o Options) {
	switch {
	case o.SameUser:
		m.lacks(layerUser, "not wanted by the configuration")
	case !m.root:
		m.lacks(layerUser, "only root can give each execution a separate user")
	default:
		m.held[layerUser] = true
	}
	if !m.has(layerUser) {
		m.lacks(layerOwners, "not needed without separate users")
		return
	}
	first, err := m.ids.take()
	if err != nil {
		m.lacks(layerUser, err.Error())
		m.lacks(layerOwners, "not needed without separate users")
		return
	}
	defer m.ids.give(first)
	space, err := newSpace(ownership{as: first})
	if err == nil {
		err = tryMapping("/", space)
		_ = space.Close()
	}
	if err != nil {
		m.lacks(layerOwners, fmt.Sprintf("mounts of the root file system cannot be mapped: %v", err))
	}
	m.held[layerOwners] = err == nil
	m.ids.mapped = true // other file systems may
}

// detectNamespaces tries each kind alone, because the kernel does not say which of
// several it refuses.
func (m *Machine) detectNamespaces() {
	for _, space := range []struct {
		layer layer
		flags uintptr
	}{
		{layerProcesses, unix.CLONE_NEWPID},
		{layerFilesystem, unix.CLONE_NEWNS},
		{layerIPC, unix.CLONE_NEWIPC | unix.CLONE_NEWUTS},
		{layerNetwork, unix.CLONE_NEWNET},
	} {
		err := m.tryClone(space.flags)
		m.held[space.layer] = err == nil
		if err != nil {
			m.lacks(space.layer, m.whyNoNamespace(err))
		}
	}
	if !m.has(layerFilesystem) {
		m.lacks(layerProc, "needs a private root folder")
		m.withoutUser()
	} else if !m.has(layerProcesses) {
		m.lacks(layerProc, "needs a private list of processes")
	}
}

func (m *Machine) tryClone(flags uintptr) error {
	cmd := &exec.Cmd{Path: self, Args: []string{shim.Name}, Env: shim.HoldEnvironment(), SysProcAttr: &syscall.SysProcAttr{Cloneflags: flags}}
	if !m.root {
		userNamespace(cmd.SysProcAttr)
	}
	if err := startTied(cmd); err != nil {
		return err
	}
	return cmd.Wait() // it ends at once, because its input is empty
}

func (m *Machine) whyNoNamespace(err error) string {
	if m.root {
		return fmt.Sprintf("the kernel refuses a namespace: %v", err)
	}
	reasons := []string{fmt.Sprintf("the kernel refuses a namespace to this user: %v", err)}
	for _, setting := range []struct{ file, bad string }{
		{"/proc/sys/user/max_user_namespaces", "0"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"},
	} {
		if value, err := os.ReadFile(setting.file); err == nil && strings.TrimSpace(string(value)) == setting.bad {
			reasons = append(reasons, setting.file+" is "+setting.bad)
		}
	}
	return strings.Join(reasons, "; ")
}

// detectSteps enters a sandbox of all remaining layers, and drops the layer that
// fails until it succeeds.
func (m *Machine) detectSteps() {
	for range layers {
		err := m.try(Policy{}, nil)
		failed, ok := errors.AsType[*stepError](err)
		if err == nil {
			return
		}
		if !ok || !m.has(failed.layer) {
			// The failed step belongs to no layer that can be dropped: nothing works.
			for l := range layers {
				m.lacks(l, fmt.Sprintf("a trial failed: %v", err))
			}
			return
		}
		m.lacks(failed.layer, failed.Error())
		if failed.layer == layerFilesystem {
			m.withoutUser()
		}
	}
}

// withoutUser gives executions the user of the server: another user could not
// reach their folders, which are below those of the server.
func (m *Machine) withoutUser() {
	if m.has(layerUser) {
		m.lacks(layerUser, "needs a private root folder")
		m.lacks(layerOwners, "needs a private root folder")
	}
}

func (m *Machine) detectNetwork() {
	if m.has(layerNetwork) {
		if err := m.try(Policy{Network: NetworkLoopback}, nil); err != nil {
			m.lacks(layerNetwork, err.Error())
		}
	}
}

func (m *Machine) detectGroups() {
	h := &m.groups.h
	*h = findHierarchies(!m.has(layerProcesses))
	h.sweep()
	limits := Limits{Memory: 1 << 30, Processes: 64, CPU: 1}
	err := func() error {
		g, err := m.groups.take(limits)
		if err != nil {
			return err
		}
		defer m.groups.give(g, false)
		return m.try(Policy{Limits: limits}, g)
	}()
	if err != nil {
		m.groups.close()
		*h = hierarchies{why: map[string]string{}}
		for _, name := range controllers {
			h.why[name] = err.Error()
		}
	}
	for i, name := range []string{"memory", "pids", "cpu"} {
		l := layerMemory + layer(i)
		m.held[l], m.says[l] = h.has(name), h.why[name]
	}
}

// Layers are all layers and whether this machine has them, in the order for a
// reader.
func (m *Machine) Layers() []Layer {
	list := make([]Layer, 0, layers)
	for l := range layers {
		d := described[l]
		out := Layer{Name: d.name, Held: m.held[l], Says: m.says[l], Exposes: d.exposes, Optional: d.optional}
		switch {
		case out.Held:
			out.Says = d.held
		case l == layerUser:
			out.Says += fmt.Sprintf("; they run as the user %d, as the server", os.Geteuid())
			out.Optional = out.Optional || !m.root
		}
		list = append(list, out)
	}
	return list
}

// described names each layer, its guarantee, and the risk without it.
var described = [layers]struct {
	name, held, exposes string
	optional            bool
}{
	layerPrivileges: {name: "privileges", held: "no capabilities, no way to gain any, no core dumps", exposes: "a service can use set-user-ID programs"},
	layerUser:       {name: "user", held: "a separate user for each execution", exposes: "a service that gets round the other layers is the server's user"},
	layerOwners: {
		name: "owners", held: "files of the server's user are shown as the execution's own", optional: true,
		exposes: "folders of an execution are given to its user; code and interpreters only root can read cannot be run",
	},
	layerProcesses:  {name: "processes", held: "a private list of processes: it sees and signals no others, and none of its processes outlives it", exposes: "a service sees other processes and can signal those of its user; children that hide may outlive it"},
	layerFilesystem: {name: "filesystem", held: "a private read-only root folder, a private and bounded /tmp, /dev and /dev/shm", exposes: "a service can read what its user can, and fill the disk"},
	layerProc:       {name: "proc", held: "a private /proc", optional: true, exposes: "a service has an empty /proc, if it has a private root folder; else it reads that of the machine"},
	layerIPC:        {name: "ipc", held: "private shared memory, semaphores and message queues", exposes: "a service can leave shared memory to the next"},
	layerLandlock:   {name: "landlock", held: "a second layer around files; no signals and no abstract sockets to the outside", exposes: "a service with the full network reaches abstract sockets of this machine"},
	layerSyscalls:   {name: "syscalls", held: "a filter of system calls: no tracing, mounts, namespaces, keys, kernel modules, clock, leases, priorities of others", exposes: "more of the kernel is open to attack"},
	layerNetwork:    {name: "network", held: "a private network for a service without one", optional: true, exposes: "network none is held by the filter of system calls alone, loopback is not held"},
	layerMemory:     {name: "memory limit", held: "for all processes of an execution together", exposes: "a service can take all memory: only each of its processes is bounded"},
	layerCount:      {name: "process limit", held: "for all processes and threads of an execution together", exposes: "a service can start processes until the machine has no more, unless it has a separate user"},
	layerCPU:        {name: "cpu limit", held: "for all processes of an execution together", optional: true, exposes: "a service can take all processors"},
	layerServer:     {name: "server", held: "memory and descriptors of the server cannot be read by processes of its user", exposes: "a service of the same user can read the server's memory"},
}

// Network reports whether this machine can provide a policy's network.
func (m *Machine) Network(n Network) bool {
	return n == NetworkFull || m.has(layerNetwork) || n == NetworkNone && m.has(layerSyscalls)
}

// Names of all layers, in order.
func Names() []string {
	names := make([]string, 0, layers)
	for _, d := range slices.All(described[:]) {
		names = append(names, d.name)
	}
	return names
}
