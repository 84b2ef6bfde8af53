package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox/shim"
)

// identities hands out users. Each execution that starts cold has one, and a
// process that is forked for executions has a block of them.
type identities struct {
	users  *userRange
	mapped bool // mounts can show files as another user's

	mu     sync.Mutex
	blocks []*block // for executions that start cold
	spaces map[ownership]*os.File
	cannot map[uint64]bool // file systems whose mounts cannot
}

// ownership is a mapping: the user who owns files on the disk, and the user who
// seems to own them.
type ownership struct{ uid, gid, as uint32 }

func newIdentities(o Options) *identities {
	return &identities{users: newUserRange(o), spaces: map[ownership]*os.File{}, cannot: map[uint64]bool{}}
}

// take returns a free user: the lowest one, which may be prepared already.
func (ids *identities) take() (uint32, error) {
	ids.mu.Lock()
	defer ids.mu.Unlock()
	for _, b := range ids.blocks {
		if id, ok := b.lowest(); ok {
			return id, nil
		}
	}
	b, err := ids.users.take()
	if err != nil {
		return 0, err
	}
	ids.blocks = append(ids.blocks, b)
	id, _ := b.lowest()
	return id, nil
}

func (ids *identities) give(id uint32) {
	ids.mu.Lock()
	defer ids.mu.Unlock()
	for _, b := range ids.blocks {
		if b.has(id) {
			b.give(id)
		}
	}
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
	ids.blocks = nil
	ids.users.close()
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

// tryMapping makes, invisibly, the mount that the sandbox needs later.
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

// own gives a folder of the execution to its user, if a mapping cannot make it
// look so. A file with several names stays unchanged: other executions share it.
func own(path string, id uint32) error {
	return filepath.WalkDir(path, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Type().IsRegular() {
			var info unix.Stat_t
			if err := unix.Lstat(path, &info); err != nil {
				return &os.PathError{Op: "lstat", Path: path, Err: err}
			}
			if info.Nlink > 1 {
				return nil
			}
		}
		return os.Lchown(path, int(id), int(id)) //nolint:gosec // no other process uses it yet
	})
}

// IsExecution reports whether processes of this user belong to an execution. It
// knows none if executions run as the server's user.
func (m *Machine) IsExecution(uid uint32) bool {
	if !m.HasUsers() {
		return false
	}
	users := m.ids.users
	return uid >= users.first && uid-users.first < users.count
}

// HasUsers reports whether executions run as separate users.
func (m *Machine) HasUsers() bool { return m != nil && m.has(layerUser) }

// HasOwnRoot reports whether executions have a private root folder, which can
// show another folder at a path than the disk.
func (m *Machine) HasOwnRoot() bool { return m != nil && m.has(layerFilesystem) }
