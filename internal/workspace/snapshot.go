package workspace

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// smallFile is the size up to which a file is always copied.
	smallFile = 1 << 20
	// copyLimit bounds how many bytes of small files a snapshot copies, and how
	// many of large ones. It shares the others with the workspace.
	copyLimit = 64 << 20
	// maxFolder bounds the names in a folder at the top of the workspace that a
	// snapshot copies: a larger one is shown directly from the disk.
	maxFolder = 20_000
	// clockTick is longer than the resolution of file times. A younger file may
	// change again without a visible difference.
	clockTick = 100 * time.Millisecond
	// maxShared bounds the files that a snapshot has mounted because they cannot
	// be shared otherwise.
	maxShared = 100
)

// A Snapshot is a workspace as the executions of one revision see it, without
// the hidden files. It does not change when the workspace does.
type Snapshot struct {
	// Dir is the folder that stands for the workspace.
	Dir string
	// Live are folders and files of the workspace that executions see directly on
	// the disk: environments, data pools and folders of many files. Dir holds a mount point for each.
	Live []string
	// Linked are copies of code outside the workspace that its symbolic links lead
	// to, and of packages that its environment uses in place.
	Linked []Copy
	// Hidden are files in those folders that must not be shown.
	Hidden []string

	workspace string
	hidden    hiddenFiles
	copied    map[string]os.FileInfo // what files were copied from, by the relative names of the copies
}

// SnapshotOptions say what a snapshot holds.
type SnapshotOptions struct {
	// Needed are files and folders that the program needs to start. Those in the
	// workspace are shown, under any name.
	Needed []string
	// Linked are folders of code outside the workspace that it needs too.
	Linked []string
	// Hidden are files that are left out, under each of their names.
	Hidden []string
	// MountPoints are folders in the workspace that stay empty.
	MountPoints []string

	// before are files that were hidden in former snapshots, and last is the
	// newest of those, or nil.
	before []os.FileInfo
	last   *Snapshot
}

// TakeSnapshot copies the workspace into the new folder dir. It leaves out names
// that begin with a dot, and the hidden files: their other names, names that
// begin with theirs, and links to them. Where the file system can share the
// blocks of files it does; else large files are hard links once 64 MiB of them
// have been copied, and show later writes.
func (w *Workspace) TakeSnapshot(dir string, o SnapshotOptions) (*Snapshot, error) {
	s := &Snapshot{Dir: dir, workspace: w.Dir, copied: map[string]os.FileInfo{}}
	t := &snapshotter{
		Snapshot: s, last: o.last, hidden: newHiddenFiles(w.Dir, o.Hidden, o.before), small: copyLimit, large: copyLimit, clones: true,
	}
	err := t.take(w, o)
	if err != nil {
		return nil, errors.Join(&Error{Message: "cannot take a snapshot of " + w.Dir, Err: err}, s.Remove())
	}
	s.hidden = t.hidden
	return s, nil
}

// Remove deletes the snapshot from the disk.
func (s *Snapshot) Remove() error {
	return errors.Join(os.RemoveAll(s.Dir), os.RemoveAll(s.Dir+linkedSuffix))
}

// Show makes a mount point for a folder of the workspace that executions see
// directly on the disk, such as a data pool that was made after the snapshot. It
// reports whether the folder lies in the workspace.
func (s *Snapshot) Show(path string) (inside bool, err error) {
	relative, ok := Inside(s.workspace, path)
	if !ok || relative == "." {
		return false, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return true, err
	}
	at := filepath.Join(s.Dir, relative)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil { //nolint:gosec // others read it through a mount only
		return true, err
	}
	if info.IsDir() {
		err = os.Mkdir(at, 0o755) //nolint:gosec // as above
	} else {
		err = os.WriteFile(at, nil, 0o644) //nolint:gosec // as above
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return true, err
}

// Inside returns a path relative to a folder; false if it does not lie in it.
func Inside(dir, path string) (string, bool) {
	relative, err := filepath.Rel(dir, path)
	return relative, err == nil && filepath.IsLocal(relative)
}

// snapshotter takes a snapshot.
type snapshotter struct {
	*Snapshot

	last         *Snapshot
	hidden       hiddenFiles
	small, large int64       // bytes that may still be copied
	shared       int         // number of mounted files
	clones       bool        // files can share their blocks, as far as is known
	others       [][2]string // files with several names, from and to: one may be hidden
}

func (t *snapshotter) take(w *Workspace, o SnapshotOptions) error {
	info, err := os.Stat(w.Dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(t.Dir, 0o700); err != nil {
		return err
	}
	if err := t.folder(w.Dir, "."); err != nil {
		return err
	}
	for _, file := range t.others {
		if err := t.file(file[0], file[1]); err != nil && !gone(err) {
			return err
		}
	}
	for _, path := range o.MountPoints {
		if relative, ok := Inside(w.Dir, path); ok {
			if err := os.MkdirAll(filepath.Join(t.Dir, relative), 0o755); err != nil { //nolint:gosec // others read it through a mount only
				return err
			}
		}
	}
	for _, path := range o.Needed {
		if err := t.need(path); err != nil {
			return err
		}
	}
	for _, path := range o.Linked {
		if err := t.linked(path); err != nil {
			return err
		}
	}
	return t.like(t.Dir, info)
}

// need shows a file or folder that the walk has left out.
func (t *snapshotter) need(path string) error {
	relative, ok := Inside(t.workspace, path)
	if !ok || relative == "." || t.shows(path) {
		return nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	at := filepath.Join(t.Dir, relative)
	switch {
	case err != nil:
		return err
	case exists(at):
		return nil
	case info.IsDir():
		return t.live(path)
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil { //nolint:gosec // others read it through a mount only
		return err
	}
	return t.copy(path, at, false)
}

// shows reports whether a path lies in a folder of Live.
func (t *snapshotter) shows(path string) bool {
	return slices.ContainsFunc(t.Live, func(dir string) bool { _, ok := Inside(dir, path); return ok })
}

// live adds a folder or file of the workspace to Live.
func (t *snapshotter) live(path string) error {
	_, err := t.Show(path)
	t.Live = append(t.Live, path)
	return err
}

// folder copies the entries of a folder. It leaves out entries that vanish
// meanwhile, and those that this program's user may not read.
func (t *snapshotter) folder(dir, relative string) error {
	entries, err := os.ReadDir(dir)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		from := filepath.Join(dir, name)
		if strings.HasPrefix(name, ".") && !isEnvironment(from) || t.hidden.name(from) {
			t.hide(entry)
			continue
		}
		if err := t.entry(entry, from, filepath.Join(relative, name)); err != nil && !gone(err) {
			return err
		}
	}
	return nil
}

// hide keeps a hidden file from being copied under another of its names.
func (t *snapshotter) hide(entry fs.DirEntry) {
	if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && names(info) > 1 {
		t.hidden.infos = append(t.hidden.infos, info)
	}
}

func (t *snapshotter) entry(entry fs.DirEntry, from, relative string) error {
	to := filepath.Join(t.Dir, relative)
	switch {
	case entry.Type()&fs.ModeSymlink != 0:
		return t.link(from, to)
	case entry.Type().IsRegular():
		if info, err := entry.Info(); err == nil && names(info) > 1 {
			t.others = append(t.others, [2]string{from, to})
			return nil
		}
		return t.file(from, to)
	case !entry.IsDir():
		return nil // pipes, sockets, devices
	case isEnvironment(from) && beside(relative):
		return nil // of another project
	case isEnvironment(from):
		t.Hidden = append(t.Hidden, installerLock(from))
		return t.live(from)
	case isDataPool(relative), !strings.ContainsRune(relative, filepath.Separator) && isLarge(from):
		return t.pool(from)
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	if err := t.folder(from, relative); err != nil {
		return err
	}
	return t.like(to, info)
}

// isEnvironment reports whether a folder is a virtual environment: large, and not
// changed in place.
func isEnvironment(dir string) bool { return isFile(filepath.Join(dir, "pyvenv.cfg")) }

// installerLock is the file that uv locks while it installs into an environment. No
// execution may hold it.
func installerLock(environment string) string { return filepath.Join(environment, ".lock") }

// copyChanged copies a file. If the last snapshot has a copy of its current
// state, it makes a hard link to that, which is faster.
func (t *snapshotter) copyChanged(from, to string, info os.FileInfo) error {
	name := strings.TrimPrefix(to, t.Dir)
	if time.Since(info.ModTime()) > clockTick {
		t.copied[name] = info
	}
	if t.last != nil && unchanged(t.last.copied[name], info) && os.Link(t.last.Dir+name, to) == nil {
		return nil
	}
	return t.copy(from, to, false)
}

// isLarge reports whether a folder holds more than maxFolder names.
func isLarge(dir string) bool {
	names := 0
	_ = filepath.WalkDir(dir, func(string, fs.DirEntry, error) error {
		if names++; names > maxFolder {
			return fs.SkipAll
		}
		return nil
	})
	return names > maxFolder
}

// link copies a symbolic link, unless it leads to a hidden file. The sandbox
// decides whether executions see its target.
func (t *snapshotter) link(from, to string) error {
	if info, err := os.Stat(from); err == nil && t.hidden.file(info) {
		return nil
	}
	target, err := os.Readlink(from)
	if err != nil {
		return err
	}
	if err := os.Symlink(target, to); err != nil {
		return err
	}
	if source, ok := linkedSource(t.workspace, from); ok {
		return t.linked(source)
	}
	return nil
}

// file copies a file, or shares it if it is too large.
func (t *snapshotter) file(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil || t.hidden.file(info) {
		return err
	}
	budget := &t.large
	if info.Size() <= smallFile {
		budget = &t.small
	}
	if info.Size() <= *budget {
		*budget -= info.Size()
		return t.copyChanged(from, to, info)
	}
	if t.clones {
		if err := t.copy(from, to, true); err == nil || gone(err) {
			return err
		}
	}
	if os.Link(from, to) == nil {
		return nil
	}
	if t.shared++; t.shared > maxShared || strings.HasPrefix(to, t.Dir+linkedSuffix) {
		return t.copy(from, to, false)
	}
	return t.live(from)
}

// holdsSecrets reports whether tools keep secrets in files or folders of this
// name.
func holdsSecrets(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case ".netrc", ".pgpass", ".aws", ".ssh", ".kube", ".docker", ".git", stateDir:
		return true
	}
	return strings.HasPrefix(name, ".env")
}

// HiddenPaths are the files and folders of the workspace that executions must not
// see, for a sandbox that shows the workspace itself: names with a dot, except
// environments.
func (w *Workspace) HiddenPaths() []string {
	var hidden []string
	files := 0
	_ = filepath.WalkDir(w.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // gone, or not to be read by executions either
		}
		if files++; files > maxSources {
			return fs.SkipAll
		}
		switch environment := entry.IsDir() && isEnvironment(path); {
		case path == w.Dir:
		case strings.HasPrefix(entry.Name(), ".") && !environment:
			hidden = append(hidden, path)
			if entry.IsDir() {
				return fs.SkipDir
			}
		case environment:
			hidden = append(hidden, installerLock(path))
			return fs.SkipDir
		}
		return nil
	})
	return hidden
}

// gone reports whether an error says that a file does not exist, or may not be
// read.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ELOOP)
}

// like gives the copy of a folder the mode and, if possible, the owner of the
// original.
func (t *snapshotter) like(path string, info os.FileInfo) error {
	if err := giveOwner(path, info); err != nil {
		return err
	}
	return os.Chmod(path, shownMode(info)|0o700) // so that it can be removed
}

// shownMode is the mode of a copy. If executions may be users without a name in
// it, all may do what its owner may. On the disk a snapshot lies in a closed
// folder, and executions write into drafts only.
func shownMode(info os.FileInfo) os.FileMode {
	mode := info.Mode().Perm()
	if os.Geteuid() == 0 {
		mode |= mode>>3&0o070 | mode>>6&0o007
	}
	return mode
}
