package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox/shim"
)

const (
	// foldersAt is the place of the folders of all executions, for forks that must
	// mount their folder themselves, until emptyAt covers it.
	foldersAt = "/run/executions"
	emptyAt   = "/run/empty"
)

// forkCapabilities are those of a zygote in its user namespace, to make those
// namespaces and mount in them.
const forkCapabilities = 1 << unix.CAP_SYS_ADMIN

// userCapabilities are added if forks become other users. With CAP_KILL the zygote
// ends the processes that they leave.
const userCapabilities = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_KILL

// draftCapabilities are added if forks write drafts: to write to a file, an overlay
// copies it, with its owner, by a folder without any permission.
const draftCapabilities = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FOWNER

// RequireForks returns an error if this machine does not keep forked executions
// apart as it keeps those in separate sandboxes.
func (m *Machine) RequireForks() error {
	if m.root && !m.has(layerUser) {
		return errors.New("forks of one process would run as root, all of them")
	}
	for _, l := range []layer{layerPrivileges, layerProcesses, layerFilesystem, layerProc, layerIPC, layerSyscalls, layerServer} {
		if !m.has(l) {
			return fmt.Errorf("forks of one process are not kept apart without the layer %q: %s", described[l].name, m.says[l])
		}
	}
	if !m.has(layerUser) && m.abi < abiScopes {
		return errors.New("forks of one process can signal each other: that takes root, or Landlock as of Linux 6.12")
	}
	return nil
}

// Home is the place at which an execution sees its home, a folder outside.
func (m *Machine) Home(outside string) string {
	if m.has(layerFilesystem) {
		return HomeAt
	}
	return outside
}

// A Separation keeps the executions apart that a command with [Policy].Forks
// forks. Each makes namespaces and a private view and becomes another user,
// by a [SeparationPlan], before it does anything else. It is safe for concurrent
// use.
type Separation struct {
	machine *Machine
	policy  Policy
	inTemp  []TempPlace
	drafts  *Drafts

	mu    sync.Mutex
	users *block // nil where all are one user
}

func (m *Machine) separate(p Policy) (*Separation, error) {
	if err := m.RequireForks(); err != nil {
		return nil, err
	}
	s := &Separation{machine: m, policy: p}
	if !m.has(layerUser) {
		return s, nil
	}
	if info, err := os.Stat(p.Forks); err != nil {
		return nil, err
	} else if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("other users may enter the folder of executions %s", p.Forks)
	}
	var err error
	if s.users, err = m.ids.users.take(); err != nil {
		return nil, err
	}
	s.users.used[0], s.users.used[blockSize-1] = true, true // the command itself, and a trial
	return s, nil
}

// start prepares a program that starts in a user namespace.
func (s *Separation) start(p *shim.Program) {
	// With CAP_SETPCAP it drops all ways to get other capabilities, and then that one.
	p.Users, p.Caps = 1, s.capabilities()|1<<unix.CAP_SETPCAP
	if s.users != nil {
		p.UID, p.GID, p.Users = s.users.first, s.users.first, blockSize
	}
}

func (s *Separation) capabilities() uint64 {
	caps := uint64(forkCapabilities)
	if s.users != nil {
		caps |= userCapabilities
	}
	if slices.ContainsFunc(s.policy.Shown, func(shown Shown) bool { return shown.Drafts }) {
		caps |= draftCapabilities
	}
	if s.network() != 0 {
		caps |= 1 << unix.CAP_NET_ADMIN
	}
	return caps
}

// network is the flag of a network namespace where executions have one each.
func (s *Separation) network() int {
	if s.policy.Network == NetworkFull || !s.machine.has(layerNetwork) {
		return 0
	}
	return unix.CLONE_NEWNET
}

func (s *Separation) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users != nil {
		s.machine.ids.users.give(s.users)
	}
	s.users = nil
}

// TakeUser returns a user that no other execution has; 0 if all are one user.
func (s *Separation) TakeUser() (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == nil {
		return 0, nil
	}
	if id, ok := s.users.turn(); ok {
		return id, nil
	}
	return 0, errors.New("all users of the process that is forked are in use")
}

// GiveUser takes back a user that has no process left.
func (s *Separation) GiveUser(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users != nil && id != 0 {
		s.users.give(id)
	}
}

// maxPrivate is how many files and folders Private checks.
const maxPrivate = 20_000

// Private returns a file or folder at or below a path that only its owner may read,
// so that executions with other users cannot. It is empty if it finds none, or if
// all are one user. Files that the policy hides do not count.
func (s *Separation) Private(path string) string {
	if s.users == nil {
		return ""
	}
	var found string
	looked := 0
	_ = filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if looked++; err != nil || looked > maxPrivate {
			return fs.SkipAll
		}
		if slices.Contains(s.policy.Hidden, path) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		needed := fs.FileMode(0o004)
		if entry.IsDir() {
			needed = 0o005
		}
		info, err := entry.Info()
		if err == nil && (info.Mode().IsRegular() || info.IsDir()) && info.Mode()&needed != needed {
			found = path
			return fs.SkipAll
		}
		return nil
	})
	return found
}

// A SeparationPlan lists the steps by which a fork separates, in this order.
type SeparationPlan struct {
	// Unshare are the namespaces it makes, Loopback whether it brings a
	// loopback interface up in them.
	Unshare  int  `json:"unshare"`
	Loopback bool `json:"loopback"`
	// Mounts are empty file systems in memory, as large as Temp says: paths
	// and options.
	Mounts [][2]string `json:"mounts"`
	Temp   string      `json:"temp"`
	// InTemp lists the mounts in /tmp that stay there.
	InTemp []TempPlace `json:"in_temp"`
	// Drafts is a folder to write in; nil if there is none.
	Drafts *Drafts `json:"drafts"`
	// Folder is where it mounts the folder of its execution: one that it gets as
	// a descriptor, or one in Folders, which Empty covers then.
	Folder  string `json:"folder"`
	Folders string `json:"folders"`
	Empty   string `json:"empty"`
	// Trial is the user of a fork that only tries all of it; 0 if all are one
	// user.
	Trial uint32 `json:"trial"`
	// Handled are the accesses that a Landlock ruleset without rules forbids, of
	// files, network and scopes; none without Landlock.
	Handled []uint64 `json:"handled"`
	// ZygoteFilter is the filter of system calls of the command, which has
	// Capabilities, and Filter the one that a fork adds.
	Filter       []byte `json:"filter"`
	ZygoteFilter []byte `json:"zygote_filter"`
	Capabilities uint64 `json:"capabilities"`
}

// A TempPlace is a folder or a file in /tmp that an execution sees there.
type TempPlace struct {
	Path string `json:"path"`
	File bool   `json:"file"`
}

// Scratch lists the folders that are private to each fork, and empty at first.
func (p SeparationPlan) Scratch() []string {
	var folders []string
	for _, mount := range p.Mounts {
		folders = append(folders, mount[0])
	}
	return folders
}

// Plan returns the steps by which forks separate.
func (s *Separation) Plan() SeparationPlan {
	m := s.machine
	p := SeparationPlan{
		Unshare:  unix.CLONE_NEWNS | unix.CLONE_NEWIPC | s.network(),
		Loopback: s.policy.Network == NetworkLoopback,
		Mounts:   [][2]string{{TempAt, "mode=1777"}, {HomeAt, "mode=700"}},
		Temp:     TempOptions(s.policy.Limits.Temp),
		InTemp:   s.inTemp,
		Drafts:   s.drafts,
		Folder:   FolderAt, Empty: emptyAt,
		Filter:       m.filter(forkProfile),
		ZygoteFilter: m.filter(m.zygoteProfile(s.policy)),
		Capabilities: s.capabilities(),
	}
	if s.users != nil {
		p.Trial = s.users.first + blockSize - 1
	}
	if !m.root {
		p.Folders = foldersAt
	}
	if m.has(layerLandlock) {
		// This ruleset only keeps forks from each other: the zygote has the same one
		// for all of them. Neither is about files. With such rules the zygote could
		// not mount. A ruleset about files beside one that is not refuses to rename a
		// file into another folder (seen on Linux 6.18).
		_, scope := (&builder{machine: m, policy: s.policy}).handled()
		p.Handled = []uint64{0, 0, scope}
	}
	return p
}

// TempOptions are the mount options of a folder in memory for temporary files
// with a limit, as [Limits].Temp.
func TempOptions(limit int64) string {
	size := cmp.Or(limit, defaultTemp)
	return fmt.Sprintf("size=%d,nr_inodes=%d", size, max(1024, size/4096)) // inodes take memory, too
}

// Hand gives a user access to a folder: to read it and the contents of the folders
// in it that are named readable, and to own those that are named writable, with their contents. It
// returns the descriptors from which a fork mounts the folder; none if forks find
// it themselves.
func (s *Separation) Hand(folder string, readable, writable []string, user uint32) ([]*os.File, error) {
	if !s.machine.root {
		return nil, nil
	}
	// On the disk the folder lies in one that is closed; see separate.
	if err := letRead(folder, readable); err != nil {
		return nil, err
	}
	for _, name := range writable {
		if err := own(filepath.Join(folder, name), user); err != nil {
			return nil, err
		}
	}
	tree, err := detached(folder, attrWritable)
	if err != nil {
		return nil, err
	}
	return []*os.File{tree}, nil
}

// letRead lets all users read a folder, and the files in some of the folders in it.
// Most of the folders allow it already.
func letRead(folder string, names []string) error {
	paths := []string{folder}
	for _, name := range names {
		dir := filepath.Join(folder, name)
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		paths = append(paths, dir)
		for _, entry := range entries {
			if entry.Type().IsRegular() {
				paths = append(paths, filepath.Join(dir, entry.Name()))
			}
		}
	}
	for _, path := range paths {
		var info unix.Stat_t
		if err := unix.Lstat(path, &info); err != nil {
			return &os.PathError{Op: "lstat", Path: path, Err: err}
		}
		mode := info.Mode & 0o777
		if needed := mode | mode>>6&0o5; needed != mode {
			if err := unix.Chmod(path, needed); err != nil {
				return &os.PathError{Op: "chmod", Path: path, Err: err}
			}
		}
	}
	return nil
}

// detached is a mount that no process can see.
func detached(path string, attr uint64) (*os.File, error) {
	tree, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return nil, &os.PathError{Op: "open_tree", Path: path, Err: err}
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: attr}); err != nil {
		_ = unix.Close(tree)
		return nil, &os.PathError{Op: "mount_setattr", Path: path, Err: err}
	}
	return os.NewFile(uintptr(tree), path), nil
}
