package sandbox

import (
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox/shim"
)

// A layer is a part of the sandbox. Each step of a shim belongs to one.
type layer uint8

const (
	layerPrivileges layer = iota
	layerUser
	layerOwners
	layerProcesses
	layerFilesystem
	layerProc
	layerIPC
	layerLandlock
	layerSyscalls
	layerNetwork
	layerMemory
	layerCount
	layerCPU
	layerServer
	layers // the number of layers
)

// A builder puts the program of a shim together.
type builder struct {
	machine *Machine
	policy  Policy
	program shim.Program
	flags   uintptr // of clone
	files   []*os.File
	inTemp  []TempPlace
	drafts  *Drafts
}

func (b *builder) add(l layer, s shim.Step) {
	s.Layer = uint8(l)
	b.program.Steps = append(b.program.Steps, s)
}

// pass hands a file to the shim and returns its descriptor there.
func (b *builder) pass(f *os.File) uint64 {
	b.files = append(b.files, f)
	return uint64(shim.ControlFD + len(b.files))
}

// build lists the steps in their order: those that need privileges before these are
// dropped, mounts before Landlock, which forbids them, and the filter last.
func (b *builder) build(g *group) error {
	has := b.machine.has
	if g != nil {
		for _, tasks := range g.joined(b.policy.Limits) {
			b.add(layerMemory, shim.Step{Op: shim.OpJoin, N: b.pass(tasks)})
		}
	}
	b.namespaces()
	if b.policy.Network == NetworkLoopback && has(layerNetwork) {
		b.add(layerNetwork, shim.Step{Op: shim.OpLoopback})
	}
	if b.byRoot() {
		b.policy.Hidden = slices.Concat(b.policy.Hidden, rootOnly)
	}
	b.ownPlaces()
	list, err := places(b.machine.system, b.policy, has(layerFilesystem))
	if err != nil {
		return err
	}
	if has(layerFilesystem) {
		if err := b.filesystem(b.withFolders(list)); err != nil {
			return err
		}
		b.inTemp, b.drafts = tempPlaces(list), draftsOf(list)
	}
	b.limits()
	if !has(layerProcesses) {
		b.add(layerProcesses, shim.Step{Op: shim.OpSubreaper})
	}
	if b.policy.Forks == "" {
		b.add(layerServer, shim.Step{Op: shim.OpUndumpable})
	}
	b.add(layerPrivileges, shim.Step{Op: shim.OpNoPrivileges})
	switch {
	case !has(layerLandlock):
	case b.policy.Forks != "":
		b.scope()
	default:
		b.landlock(list, has(layerFilesystem))
	}
	if has(layerSyscalls) {
		program, err := b.machine.profile(b.policy).Native()
		if err != nil {
			return err
		}
		b.add(layerSyscalls, shim.Step{Op: shim.OpFilter, N: unix.SYS_SECCOMP, A: string(program)})
	}
	return nil
}

// ownPlaces puts the private folders of executions at their paths in a private root
// folder.
func (b *builder) ownPlaces() {
	p := &b.policy
	switch {
	case !b.machine.has(layerFilesystem):
	case p.Forks != "":
		p.Scratch = slices.Concat(p.Scratch, []string{HomeAt})
	case p.Home != "":
		p.Scratch = slices.Clone(p.Scratch)
		for i, path := range p.Scratch {
			if path == p.Home {
				p.Scratch[i] = HomeAt
			}
		}
	}
}

// tempPlaces are the mounts in /tmp.
func tempPlaces(list []*place) []TempPlace {
	var found []TempPlace
	for _, pl := range list {
		if pl.parent != nil && pl.parent.kind == placeTemp {
			found = append(found, TempPlace{pl.path, pl.file})
		}
	}
	return found
}

// withFolders adds the folders of forked executions at the place from which forks
// mount them. Only root can pass them on as descriptors instead.
func (b *builder) withFolders(list []*place) []*place {
	if b.policy.Forks == "" || b.machine.root {
		return list
	}
	return append(list, &place{path: foldersAt, from: b.policy.Forks, kind: placeWritable, late: true})
}

// DefaultLimits are limits that a service reaches only if it takes what the rest of
// this machine needs.
func DefaultLimits() Limits {
	memory := MachineMemory()
	return Limits{Memory: memory / 4 * 3, Processes: defaultProcesses, Temp: min(memory/8, maxDefaultTemp)}
}

// MachineMemory is how many bytes of memory this machine has; zero if that is
// not known.
func MachineMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}

const (
	defaultProcesses = 1024
	maxDefaultTemp   = 1 << 30
)

// maxQueuedSignals bounds the timers, and the signals that wait, of an execution.
const maxQueuedSignals = 1024

// CPUSeconds is a time in the form of the system's limit of each process, which gets
// SIGXCPU then. The engine watches the whole of an execution.
func CPUSeconds(d time.Duration) uint64 {
	return uint64((max(d, 0) + time.Second - 1) / time.Second)
}

// PatienceCPU is how many seconds a process may go on after SIGXCPU.
const PatienceCPU = 2

// ownData is the memory that the runtime of a shim maps, which is under the same limit.
const ownData = 128 << 20

// byRoot reports whether the service runs as root, though without its capabilities.
// Root can write much that others cannot, above all below /proc, as its owner.
func (b *builder) byRoot() bool { return os.Geteuid() == 0 && b.program.UID == 0 }

func (b *builder) namespaces() {
	for _, space := range []struct {
		layer layer
		flag  uintptr
	}{
		{layerProcesses, unix.CLONE_NEWPID},
		{layerFilesystem, unix.CLONE_NEWNS},
		{layerIPC, unix.CLONE_NEWIPC | unix.CLONE_NEWUTS},
	} {
		if b.machine.has(space.layer) {
			b.flags |= space.flag
		}
	}
	if b.policy.Network != NetworkFull && b.machine.has(layerNetwork) {
		b.flags |= unix.CLONE_NEWNET
	}
	if b.flags != 0 && !b.machine.root {
		b.flags |= unix.CLONE_NEWUSER
	}
}

// limits adds limits of each process. They bound, as far as they can, the resources
// that the cgroups of this machine do not bound as a whole.
func (b *builder) limits() {
	l := b.policy.Limits
	limit := func(resource int, value uint64) {
		b.add(layerPrivileges, shim.Step{Op: shim.OpLimit, N: uint64(resource), M: value})
	}
	limit(unix.RLIMIT_CORE, 0)
	// The kernel counts timers and queued signals of all users in a user namespace
	// for the user that has made it, too.
	limit(unix.RLIMIT_SIGPENDING, maxQueuedSignals)
	if l.OpenFiles > 0 {
		limit(unix.RLIMIT_NOFILE, uint64(l.OpenFiles))
	}
	if l.CPUTime > 0 {
		soft := CPUSeconds(l.CPUTime)
		b.add(layerPrivileges, shim.Step{Op: shim.OpLimit, N: unix.RLIMIT_CPU, M: soft, L: soft + PatienceCPU})
	}
	if l.FileSize > 0 {
		limit(unix.RLIMIT_FSIZE, uint64(l.FileSize))
	}
	if l.Memory > 0 && !b.machine.has(layerMemory) {
		limit(unix.RLIMIT_DATA, uint64(l.Memory+ownData))
	}
	// The kernel counts by user. The limit is for this execution alone if it has a
	// separate user, or is at least counted apart in a user namespace. The kernel
	// does not report that it was reached, so it must exceed that of a cgroup.
	if l.Processes > 0 && !b.machine.has(layerCount) && (b.program.UID != 0 || b.flags&unix.CLONE_NEWUSER != 0) {
		limit(unix.RLIMIT_NPROC, uint64(l.Processes+ownTasks))
	}
}
