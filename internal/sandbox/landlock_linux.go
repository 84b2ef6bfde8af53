package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox/shim"
)

const (
	accessRead = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	// accessFile are those of a file, not of a folder.
	accessFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	accessDevices = accessRead | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	accessNodes   = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK
)

// fileAccesses are all accesses to files that a version of Landlock can forbid, as
// far as this program knows them.
func fileAccesses(abi int) uint64 {
	all := uint64(unix.LANDLOCK_ACCESS_FS_MAKE_SYM)<<1 - 1
	for _, since := range []struct {
		abi    int
		access uint64
	}{
		{2, unix.LANDLOCK_ACCESS_FS_REFER},
		{3, unix.LANDLOCK_ACCESS_FS_TRUNCATE},
		{5, unix.LANDLOCK_ACCESS_FS_IOCTL_DEV},
	} {
		if abi >= since.abi {
			all |= since.access
		}
	}
	return all
}

// The first versions that know networks and scopes.
const (
	abiNetwork = 4
	abiScopes  = 6
)

func landlockABI() (int, error) {
	abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, errno
	}
	return int(abi), nil
}

// handled are the accesses beside files that a ruleset forbids.
func (b *builder) handled() (network, scope uint64) {
	if b.machine.abi >= abiNetwork && b.policy.Network == NetworkNone {
		network = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if b.machine.abi >= abiScopes {
		scope = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	return network, scope
}

// scope adds the steps that forbid all accesses that are not about files. A process
// with file rules of Landlock cannot mount.
func (b *builder) scope() {
	if network, scope := b.handled(); network|scope != 0 {
		b.add(layerLandlock, shim.Step{Op: shim.OpRuleset, M: network, L: scope})
		b.add(layerLandlock, shim.Step{Op: shim.OpRestrict})
	}
}

// landlock adds the steps that forbid all but the places. It is the second layer
// in a private root folder, and else the only one.
func (b *builder) landlock(list []*place, ownRoot bool) {
	all := fileAccesses(b.machine.abi)
	network, scope := b.handled()
	b.add(layerLandlock, shim.Step{Op: shim.OpRuleset, N: all, M: network, L: scope})
	allow := func(path string, access uint64, file bool) {
		if file {
			access &= accessFile
		}
		b.add(layerLandlock, shim.Step{Op: shim.OpAllow, A: path, N: access & all})
	}
	writable := all &^ uint64(accessNodes)
	if ownRoot {
		allow("/", accessRead, false)
		for _, dir := range []string{"/tmp", "/var/tmp", "/dev/shm"} {
			allow(dir, writable, false)
		}
		if !b.byRoot() {
			// Files of its processes, such as /proc/self/mem: a service may want to
			// overwrite the secrets in its initial environment.
			allow("/proc", accessRead|unix.LANDLOCK_ACCESS_FS_WRITE_FILE, false)
		}
	}
	for _, pl := range list {
		switch {
		case pl.kind == placeWritable || pl.kind == placeScratch || pl.kind == placeDraft:
			allow(pl.path, writable, pl.file)
		case ownRoot || pl.kind == placeTemp || pl.kind == placeHidden:
		default:
			b.allowAround(pl, list, allow)
		}
	}
	if !ownRoot {
		allow("/proc", accessRead, false)
	}
	for _, device := range devices {
		allow("/dev/"+device, accessDevices, true)
	}
	for _, path := range gpuDevices(b.policy.GPUs) {
		allow("/dev/"+strings.TrimPrefix(path, devFolder+"/"), accessDevices, true)
	}
	b.add(layerLandlock, shim.Step{Op: shim.OpRestrict})
}

// allowAround allows a place except its hidden files. Rules can only allow, so a
// folder with hidden files is allowed entry by entry.
func (b *builder) allowAround(pl *place, list []*place, allow func(string, uint64, bool)) {
	var walk func(path string, file bool)
	walk = func(path string, file bool) {
		hides := func(other *place) bool { return other.kind == placeHidden && within(other.path, path) }
		switch {
		case !slices.ContainsFunc(list, hides):
			allow(path, accessRead, file)
		case slices.ContainsFunc(list, func(other *place) bool { return hides(other) && other.path == path }):
		default:
			entries, err := os.ReadDir(path)
			if err != nil {
				return
			}
			for _, entry := range entries {
				if entry.Type()&os.ModeSymlink == 0 { // its target has a rule, or none
					walk(filepath.Join(path, entry.Name()), !entry.IsDir())
				}
			}
		}
	}
	walk(pl.path, pl.file)
}
