package runner

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The flags of new files on the file systems that have them, of linux/fs.h: a file is kept in extents, or beside its inode.
const layoutFlags = 0x80000 | 0x10000000

// reset empties the folders, and reports whether they then equal new ones: otherwise an
// execution could leave data to the next in a mode, an owner, an attribute or the size of
// a folder. The files of inputs are kept, blank, for the next execution to write to. A
// file system takes longer to make and remove a file than all other work on a folder
// takes, and some search longer for space the more was removed before.
func (f Dir) reset() (inputs []string, ok bool) {
	root, err := openDir(unix.AT_FDCWD, f.root)
	if err != nil {
		return nil, false
	}
	defer func() { _ = unix.Close(root) }()
	if !isNewDir(root, letRead) {
		return nil, false
	}
	names, err := namesIn(root)
	if err != nil || len(names) != len(f.parts()) {
		return nil, false
	}
	for _, part := range f.parts() {
		let := uint32(0)
		if part == f.Input() || part == f.DataPools() {
			let = letRead
		}
		kept, ok := resetDir(root, filepath.Base(part), part == f.Input(), let)
		if !ok {
			return nil, false
		}
		inputs = append(inputs, kept...)
	}
	return inputs, true
}

// resetDir empties a folder, except for files to keep. It fails if there is another
// folder in it.
func resetDir(parent int, name string, keep bool, let uint32) (kept []string, ok bool) {
	dir, err := openDir(parent, name)
	if err != nil {
		return nil, false
	}
	defer func() { _ = unix.Close(dir) }()
	if !isNewDir(dir, let) {
		return nil, false
	}
	names, err := namesIn(dir)
	if err != nil {
		return nil, false
	}
	for _, name := range names {
		if keep && blank(dir, name) {
			kept = append(kept, name)
		} else if unix.Unlinkat(dir, name, 0) != nil {
			return nil, false
		}
	}
	return kept, true
}

// blank makes a file equal to a new one, if it can. One byte stays: some file systems put
// a file on the disk at once if it was emptied and is written again, for programs that
// replace its content.
func blank(dir int, name string) bool {
	var info unix.Stat_t
	// No process is left that could change it meanwhile. It is not opened, because
	// that may affect a device.
	if unix.Fstatat(dir, name, &info, unix.AT_SYMLINK_NOFOLLOW) != nil || info.Nlink != 1 || !isOwn(&info, unix.S_IFREG|0o600, letRead) {
		return false
	}
	file, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(file) }()
	if !isPlain(file) || !isAlone(file) {
		return false
	}
	n, err := unix.Pwrite(file, []byte{' '}, 0)
	return err == nil && n == 1 && unix.Ftruncate(file, 1) == nil
}

// isAlone reports whether no other process has a file open that is open for writing. An
// execution may have passed its descriptor to one that still runs, which would read the
// next input there. The kernel grants a lease only if there is no other.
func isAlone(file int) bool {
	if _, err := unix.FcntlInt(uintptr(file), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		return false
	}
	_, err := unix.FcntlInt(uintptr(file), unix.F_SETLEASE, unix.F_UNLCK)
	return err == nil
}

// overwrite writes to a kept file.
func overwrite(path string, content []byte) error {
	if len(content) == 0 {
		return os.Truncate(path, 0)
	}
	file, err := unix.Open(path, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	for len(content) > 0 {
		n, err := unix.Write(file, content)
		if err != nil && err != unix.EINTR {
			return errors.Join(&os.PathError{Op: "write", Path: path, Err: err}, unix.Close(file))
		}
		content = content[max(0, n):]
	}
	return unix.Close(file)
}

// isEmpty reports whether a path is an empty folder.
func isEmpty(path string) bool {
	dir, err := openDir(unix.AT_FDCWD, path)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(dir) }()
	names, err := namesIn(dir)
	return err == nil && len(names) == 0
}

// openDir and namesIn are for folders that are read for each execution: the extra work of
// package os takes longer than the reading.
func openDir(parent int, name string) (dir int, err error) {
	err = unix.EINTR
	for err == unix.EINTR {
		dir, err = unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}
	return dir, err
}

func namesIn(dir int) (names []string, err error) {
	var buffer [2048]byte
	for {
		n, err := unix.ReadDirent(dir, buffer[:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || n <= 0:
			return names, err
		}
		_, _, names = unix.ParseDirent(buffer[:n], -1, names)
	}
}

// letRead are the permissions of others for the inputs of an execution that has another
// user. That user cannot change them.
const letRead = 0o005

// isNewDir reports whether a folder, with any content, has the attributes of a new one,
// and gives others the permissions let.
func isNewDir(dir int, let uint32) bool {
	var info unix.Stat_t
	return unix.Fstat(dir, &info) == nil && isOwn(&info, unix.S_IFDIR|0o700, let) && info.Size <= newDirSize && isPlain(dir)
}

// isOwn reports whether a file belongs to this program, or to the user of an earlier
// execution, which cannot have given it to another user.
func isOwn(info *unix.Stat_t, mode, let uint32) bool {
	own := int(info.Uid) == ownUser && int(info.Gid) == ownGroup
	return info.Mode&^let == mode && (own || ownUser == 0 && info.Uid == info.Gid)
}

// isPlain reports whether a file or a folder has no attributes.
func isPlain(fd int) bool {
	if n, err := unix.Flistxattr(fd, nil); n > 0 || err != nil && err != unix.ENOTSUP {
		return false
	}
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	return err != nil || flags&^layoutFlags == 0
}

// ownUser and ownGroup own the files that this program makes.
var ownUser, ownGroup = os.Geteuid(), os.Getegid()

// newDirSize is how large an empty folder may be: file systems do not shrink a folder
// that has held many files.
const newDirSize = 4096
