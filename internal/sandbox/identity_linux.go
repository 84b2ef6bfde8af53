package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox/shim"
)

// identities hands out users, one to an execution at a time.
type identities struct {
	first, count uint32
	mapped       bool // mounts can show files as another user's

	mu     sync.Mutex
	used   map[uint32]bool
	spaces map[ownership]*os.File
	cannot map[uint64]bool // file systems whose mounts cannot
}

// ownership is a mapping: who has files on the disk, and whose they shall
// look like.
type ownership struct{ uid, gid, as uint32 }

func newIdentities(o Options) *identities {
	ids := &identities{
		first: o.FirstID, count: o.IDs,
		used: map[uint32]bool{}, spaces: map[ownership]*os.File{}, cannot: map[uint64]bool{},
	}
	if ids.first == 0 {
		ids.first = defaultFirstID
	}
	if ids.count == 0 {
		ids.count = defaultIDs
	}
	return ids
}

var errNoIdentity = errors.New("all users for executions are in use")

// take returns the lowest free user: what is prepared for it serves again.
func (ids *identities) take() (uint32, error) {
	ids.mu.Lock()
	defer ids.mu.Unlock()
	for id := ids.first; id < ids.first+ids.count; id++ {
		if !ids.used[id] {
			ids.used[id] = true
			return id, nil
		}
	}
	return 0, errNoIdentity
}

func (ids *identities) give(id uint32) {
	ids.mu.Lock()
	defer ids.mu.Unlock()
	delete(ids.used, id)
}

// space returns a user namespace in which the owner of path is the user id;
// nil where mounts of its file system cannot be mapped, or need not.
func (ids *identities) space(path string, id uint32) (*os.File, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	ids.mu.Lock()
	defer ids.mu.Unlock()
	if !ids.mapped || ids.cannot[stat.Dev] {
		return nil, nil
	}
	key := ownership{stat.Uid, stat.Gid, id}
	space := ids.spaces[key]
	if space == nil {
		var err error
		if space, err = newSpace(key); err != nil {
			return nil, err
		}
		ids.spaces[key] = space
	}
	able, known := ids.cannot[stat.Dev]
	if !known {
		able = tryMapping(path, space) == nil
		ids.cannot[stat.Dev] = !able
	} else {
		able = !able
	}
	if !able {
		return nil, nil
	}
	return space, nil
}

func (ids *identities) close() {
	ids.mu.Lock()
	defer ids.mu.Unlock()
	for _, space := range ids.spaces {
		_ = space.Close()
	}
	clear(ids.spaces)
}

// newSpace makes a user namespace. It takes a process that is started in it.
func newSpace(o ownership) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.Close() }()
	cmd := &exec.Cmd{
		Path: self, Args: []string{shim.Name}, Env: shim.HoldEnvironment(), Stdin: r,
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: int(o.uid), HostID: int(o.as), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: int(o.gid), HostID: int(o.as), Size: 1}},
		},
	}
	err = cmd.Start()
	_ = r.Close()
	if err != nil {
		return nil, fmt.Errorf("cannot make a user namespace: %w", err)
	}
	space, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid))
	_ = w.Close() // it ends
	_ = cmd.Wait()
	return space, err
}

// tryMapping mounts, for nobody to see, what is to be mounted later.
func tryMapping(path string, space *os.File) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(tree) }()
	return unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{
		Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(space.Fd()),
	})
}

// own gives a folder of the execution to its user, where it cannot be made to
// look so.
func own(path string, id uint32) error {
	return filepath.WalkDir(path, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(id), int(id)) //nolint:gosec // nobody else is in there yet
	})
}
