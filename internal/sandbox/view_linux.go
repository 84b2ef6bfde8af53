package sandbox

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox/shim"
)

// systemFolders are folders that programs of the system need, and that hold no data of
// the platform or of people.
var systemFolders = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/gnu", "/sys",
	// Certificates, on some systems.
	"/var/lib/ca-certificates",
	// The configuration of name resolution.
	"/run/systemd/resolve",
}

// SystemFolders are folders of the system that every execution can read.
func SystemFolders() []string { return slices.Clone(systemFolders) }

// systemFiles are in /etc, but often links to elsewhere.
var systemFiles = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/localtime", "/etc/hostname"}

// rootOnly are files that root can read in the folders of the system: hidden if
// root runs executions.
var rootOnly = []string{
	"/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/security/opasswd", "/etc/sudoers", "/etc/sudoers.d",
	"/etc/ssl/private", "/etc/ssh", "/etc/krb5.keytab", "/etc/docker", "/etc/kubernetes", "/etc/wireguard",
	"/etc/NetworkManager/system-connections", "/etc/letsencrypt",
}

var devices = []string{"null", "zero", "full", "random", "urandom"}

// A placeKind decides what an execution sees at a path. If several kinds apply to
// the same path, the later one here counts.
type placeKind int

const (
	placeSystem placeKind = iota
	placeTemp
	// placeSkeleton is a folder that is built from the entries on the disk, one by
	// one, so that its hidden files have no name in it.
	placeSkeleton
	placeReadable
	// placeDraft is like placeReadable, and takes the writes of the execution, for
	// that execution alone.
	placeDraft
	placeInput
	placeScratch
	placeWritable
	placeHidden
)

// A place is a path and the content that it shows.
type place struct {
	path   string
	from   string // the source on the disk, if not path
	kind   placeKind
	file   bool
	parent *place
	links  map[string]string // in a skeleton, by their names
	// late places are mounted after the former mounts became read-only.
	late bool
}

func (pl *place) source() string { return cmp.Or(pl.from, pl.path) }

// underlying is the path on the disk of what the parent of a place shows at its path.
func (pl *place) underlying() string {
	if pl.parent == nil || pl.parent.from == "" {
		return pl.path
	}
	return filepath.Join(pl.parent.from, strings.TrimPrefix(pl.path, pl.parent.path))
}

// live reports whether a place shows the file at its path on the disk.
func (pl *place) live() bool { return pl.source() == pl.path }

// A system lists the parts that every sandbox on this machine shows, detected once.
type system struct {
	folders []string          // and files
	links   map[string]string // such as /bin → usr/bin
	devices map[string]uint64 // their numbers
}

func findSystem() system {
	s := system{links: map[string]string{}, devices: map[string]uint64{}}
	for _, name := range devices {
		if info, err := os.Stat("/dev/" + name); err == nil {
			if stat, ok := info.Sys().(*syscall.Stat_t); ok {
				s.devices[name] = stat.Rdev
			}
		}
	}
	for _, dir := range systemFolders {
		info, err := os.Lstat(dir)
		if err != nil {
			continue
		}
		if info.Mode()&os.ModeSymlink == 0 {
			s.folders = append(s.folders, dir)
		} else if target, err := os.Readlink(dir); err == nil {
			s.links[dir] = target
		}
	}
	for _, file := range systemFiles {
		target, err := filepath.EvalSymlinks(file)
		if err == nil && !slices.ContainsFunc(s.folders, func(dir string) bool { return within(target, dir) }) {
			s.folders = append(s.folders, target)
		}
	}
	return s
}

// places lists the parts that a policy shows, parents before children. It leaves out
// hidden files in folders that are not visible. In a private root folder, an execution
// sees skeletons in place of folders with hidden files.
func places(s system, p Policy, ownRoot bool) ([]*place, error) {
	byPath := named(s, p)
	if ownRoot {
		if err := skeletons(byPath); err != nil {
			return nil, err
		}
	}
	var kept []*place
	for _, pl := range sorted(byPath) {
		pl.parent = above(kept, pl.path)
		pl.late = pl.kind == placeTemp || pl.kind == placeDraft || pl.kind == placeScratch || pl.kind == placeWritable || pl.parent != nil && pl.parent.late
		needed, err := pl.needed()
		if err != nil {
			return nil, err
		}
		if needed {
			kept = append(kept, pl)
		}
	}
	return kept, nil
}

// named are the places that a system and a policy name, by their paths.
func named(s system, p Policy) map[string]*place {
	byPath := map[string]*place{}
	add := func(path string, kind placeKind) {
		if kind == placeReadable && (slices.Contains(s.folders, path) || p.showsOther(path)) {
			return // all can read it already, or its replacement
		}
		if old := byPath[path]; old == nil || old.kind < kind {
			byPath[path] = &place{path: path, kind: kind}
		}
	}
	for _, path := range s.folders {
		add(path, placeSystem)
	}
	add("/tmp", placeTemp)
	for _, shown := range p.Shown {
		kind := placeReadable
		if shown.Drafts {
			kind = placeDraft
		}
		byPath[shown.At] = &place{path: shown.At, from: shown.From, kind: kind}
	}
	for kind, paths := range map[placeKind][]string{
		placeReadable: p.Readable, placeInput: p.Inputs, placeScratch: p.Scratch, placeWritable: p.Writable, placeHidden: p.Hidden,
	} {
		for _, path := range paths {
			add(path, kind)
			if kind != placeHidden {
				continue
			}
			// A secret is hidden under each of its names.
			if target, err := filepath.EvalSymlinks(path); err == nil {
				add(target, kind)
			}
		}
	}
	return byPath
}

// sorted are places, parents before children.
func sorted(byPath map[string]*place) []*place {
	return slices.SortedFunc(maps.Values(byPath), func(a, b *place) int { return cmp.Compare(a.path, b.path) })
}

// above is the deepest place of a sorted list in which a path lies; nil if there
// is none.
func above(list []*place, path string) *place {
	for _, pl := range slices.Backward(list) {
		if within(path, pl.path) {
			return pl
		}
	}
	return nil
}

// needed reports whether a place that knows its parent needs a step, and finds out
// its type.
func (pl *place) needed() (bool, error) {
	switch {
	case pl.kind == placeTemp, pl.kind == placeScratch && pl.path == HomeAt:
		return true, nil
	case pl.kind == placeHidden && !pl.shown():
		return false, nil
	case pl.kind == placeSkeleton:
		return true, nil
	case pl.shown() && isLink(pl.underlying()):
		// It is visible already. Its target has a separate place, or must not
		// be visible.
		return false, nil
	}
	at := pl.source()
	if pl.kind == placeHidden {
		at = pl.underlying()
	}
	info, err := os.Stat(at)
	if err != nil {
		if pl.kind == placeHidden || pl.parent != nil && pl.parent.kind == placeSkeleton {
			return false, nil // nothing to hide, or it vanished meanwhile
		}
		return false, fmt.Errorf("sandbox: %w", err)
	}
	pl.file = !info.IsDir()
	return !seen(pl, info) && !pl.doubled(info), nil
}

// doubled reports whether the parent of a place shows it already: each mount costs
// every fork that has a copy of it.
func (pl *place) doubled(info os.FileInfo) bool {
	if pl.kind != placeReadable || !pl.live() || pl.parent == nil || pl.parent.kind != placeReadable || !pl.parent.live() {
		return false
	}
	parent, err := os.Stat(pl.parent.path)
	return err == nil && deviceOf(parent) == deviceOf(info)
}

func deviceOf(info os.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Dev
	}
	return 0
}

// shown reports whether the parent of a place shows the disk at its path.
func (pl *place) shown() bool {
	return pl.parent != nil && pl.parent.kind != placeTemp && pl.parent.kind != placeHidden && pl.parent.kind != placeSkeleton
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}

// seen reports whether all may read a place already, in a folder of the system.
func seen(pl *place, info os.FileInfo) bool {
	needed := os.FileMode(0o005)
	if pl.file {
		needed = 0o004
	}
	return pl.kind == placeReadable && pl.parent != nil && pl.parent.kind == placeSystem && info.Mode()&needed == needed
}

// mountPoint makes the mount point of a place in a folder that was made empty. Other
// folders have it already.
func (b *builder) mountPoint(pl *place) {
	if pl.shown() {
		return
	}
	op := shim.OpMkdir
	if pl.file {
		op = shim.OpTouch
	}
	b.add(layerFilesystem, shim.Step{Op: op, A: inRoot(pl.path), N: 0o755})
}

// inRoot is a path relative to the new root, which is the current folder.
func inRoot(path string) string {
	if path == "/" {
		return "."
	}
	return path[1:]
}

// stagingDir is where the new root is built; any existing folder will do.
const stagingDir = "/proc"

const (
	attrReadOnly = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	attrWritable = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	noTricks     = unix.MS_NOSUID | unix.MS_NODEV
)

// filesystem adds the steps that build the private root folder.
func (b *builder) filesystem(list []*place) error {
	add := func(s shim.Step) { b.add(layerFilesystem, s) }
	add(shim.Step{Op: shim.OpMount, B: "/", N: unix.MS_REC | unix.MS_PRIVATE})
	add(shim.Step{Op: shim.OpMount, A: "tmpfs", B: stagingDir, C: "tmpfs", D: "mode=755,size=1m,nr_inodes=4k", N: noTricks})
	add(shim.Step{Op: shim.OpChdir, A: stagingDir})
	for _, pl := range list {
		if pl.parent == nil {
			b.mountPoint(pl)
		}
	}
	for _, dir := range b.emptyFolders() {
		add(shim.Step{Op: shim.OpMkdir, A: dir, N: 0o755})
	}
	if b.policy.Forks != "" {
		add(shim.Step{Op: shim.OpSymlink, A: "/tmp", B: "var/tmp"})
	}
	for _, link := range slices.Sorted(maps.Keys(b.machine.system.links)) {
		add(shim.Step{Op: shim.OpSymlink, A: b.machine.system.links[link], B: inRoot(link)})
	}
	for _, late := range []bool{false, true} {
		for _, pl := range list {
			if pl.late != late {
				continue
			}
			if err := b.show(pl, list); err != nil {
				return err
			}
		}
		if !late {
			b.accounts(list)
			// All in one call, with the mounts below the system's folders.
			add(shim.Step{Op: shim.OpAttr, A: ".", N: attrReadOnly})
			b.devices()
		}
	}
	if b.machine.has(layerProc) {
		flags := uint64(noTricks | unix.MS_NOEXEC)
		if b.byRoot() {
			flags |= unix.MS_RDONLY
		}
		var data string
		if b.policy.Forks != "" {
			data = "hidepid=ptraceable" // hides forked executions from each other
		}
		// The kernel requires that the former /proc is visible.
		b.add(layerProc, shim.Step{Op: shim.OpMount, A: "proc", B: "proc", C: "proc", D: data, N: flags})
	}
	add(shim.Step{Op: shim.OpRoot})
	return nil
}

// emptyFolders are mount points, also those of a fork's private places.
func (b *builder) emptyFolders() []string {
	if b.policy.Forks != "" {
		return []string{"dev", "proc", "run", "var", inRoot(FolderAt), inRoot(emptyAt)}
	}
	return []string{"dev", "proc", "run", "var/tmp", inRoot(FolderAt)}
}

// show adds the steps that make one place visible.
func (b *builder) show(pl *place, list []*place) error {
	if pl.parent != nil && pl.parent.kind == placeTemp {
		b.mountPoint(pl)
	}
	at := inRoot(pl.path)
	switch pl.kind {
	case placeHidden:
		if pl.file {
			// A device cannot even be opened on a mount without devices.
			b.add(layerFilesystem, shim.Step{Op: shim.OpBind, A: "/dev/null", B: at, N: attrReadOnly})
			return nil
		}
		b.hide(pl, list)
	case placeSkeleton:
		b.skeleton(pl, list)
	case placeTemp:
		b.temporary(at, "mode=1777")
		if b.policy.Forks != "" {
			break // the others are links to it: each mount costs a fork
		}
		// One bound for all three.
		b.add(layerFilesystem, shim.Step{Op: shim.OpBind, A: at, B: "var/tmp", N: attrWritable})
		b.add(layerFilesystem, shim.Step{Op: shim.OpBind, A: at, B: "dev/shm", N: attrWritable})
	case placeSystem:
		b.add(layerFilesystem, shim.Step{Op: shim.OpBind, A: pl.path, B: at})
	case placeScratch:
		b.temporary(at, "mode=700"+b.owner())
	case placeDraft:
		return b.draft(pl)
	case placeReadable, placeInput, placeWritable:
		attr := uint64(attrReadOnly)
		if pl.kind == placeWritable {
			attr = attrWritable
		}
		space, err := b.ownedBy(pl)
		if err != nil {
			return err
		}
		b.add(layerFilesystem, shim.Step{Op: shim.OpBind, A: pl.source(), B: at, N: attr, M: space})
	}
	return nil
}

// temporary mounts an empty file system in memory, which ends with the sandbox.
func (b *builder) temporary(at, mode string) {
	data := mode + "," + TempOptions(b.policy.Limits.Temp)
	b.add(layerFilesystem, shim.Step{Op: shim.OpMount, A: "tmpfs", B: at, C: "tmpfs", D: data, N: noTricks})
}

// hide covers a folder by an empty one. Its mode allows passage if a place in it must
// be visible, such as the folder of this execution among those of all.
func (b *builder) hide(pl *place, list []*place) {
	at, mode := inRoot(pl.path), "000"
	inside := func(other *place) bool { return other.parent == pl }
	if slices.ContainsFunc(list, inside) {
		mode = "711"
	}
	b.add(layerFilesystem, shim.Step{Op: shim.OpMount, A: "tmpfs", B: at, C: "tmpfs", D: "size=64k,mode=" + mode, N: noTricks})
	for _, other := range list {
		if inside(other) {
			b.mountPoint(other)
		}
	}
	b.add(layerFilesystem, shim.Step{Op: shim.OpAttr, A: at, N: attrReadOnly})
}

// ownedBy returns the descriptor, in the shim, of the namespace that makes the
// files of a place those of the execution's user; 0 for none.
func (b *builder) ownedBy(pl *place) (uint64, error) {
	if b.program.UID == 0 {
		return 0, nil
	}
	// Change the owner on the disk: a mount that only maps it would let the
	// execution do more to a file than its owner allows.
	if pl.kind == placeWritable || pl.kind == placeInput {
		return 0, own(pl.path, b.program.UID)
	}
	space, err := b.machine.ids.space(pl.source(), b.program.UID)
	if err != nil {
		return 0, err
	}
	if space == nil {
		return 0, nil
	}
	return b.pass(space), nil
}
