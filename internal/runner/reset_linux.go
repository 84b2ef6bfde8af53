package runner

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The flags of a new folder on the file systems that have them, of linux/fs.h:
// it is kept in extents, or beside its inode.
const layoutFlags = 0x80000 | 0x10000000

// reset empties the folders, and reports whether all is then as it was when
// they were new: what an execution could leave to the next in a mode, an owner,
// an attribute or the size of a folder would be visible.
func (f Folder) reset() bool {
	root, err := openDir(unix.AT_FDCWD, f.root)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(root) }()
	if !isNew(root) {
		return false
	}
	names, err := namesIn(root)
	if err != nil || len(names) != len(f.parts()) {
		return false
	}
	for _, part := range f.parts() {
		if !resetDir(root, filepath.Base(part)) {
			return false
		}
	}
	return true
}

// resetDir empties a folder. Another one in it is a reason to remove all.
func resetDir(parent int, name string) bool {
	dir, err := openDir(parent, name)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(dir) }()
	if !isNew(dir) {
		return false
	}
	names, err := namesIn(dir)
	if err != nil {
		return false
	}
	for _, name := range names {
		if unix.Unlinkat(dir, name, 0) != nil {
			return false
		}
	}
	return true
}

// isEmpty reports whether a path is a folder with nothing in it.
func isEmpty(path string) bool {
	dir, err := openDir(unix.AT_FDCWD, path)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(dir) }()
	names, err := namesIn(dir)
	return err == nil && len(names) == 0
}

// openDir and namesIn are for folders that are looked at for each execution:
// what package os does besides takes longer than the looking.
func openDir(parent int, name string) (dir int, err error) {
	err = unix.EINTR
	for err == unix.EINTR { //nolint:errorlint // it is never wrapped
		dir, err = unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}
	return dir, err
}

func namesIn(dir int) (names []string, err error) {
	var buffer [2048]byte
	for {
		n, err := unix.ReadDirent(dir, buffer[:])
		switch {
		case err == unix.EINTR: //nolint:errorlint // it is never wrapped
			continue
		case err != nil || n <= 0:
			return names, err
		}
		_, _, names = unix.ParseDirent(buffer[:n], -1, names)
	}
}

// isNew tells whether a folder looks like one that was just made, whatever is
// in it.
func isNew(fd int) bool {
	var info unix.Stat_t
	if unix.Fstat(fd, &info) != nil {
		return false
	}
	if info.Mode != unix.S_IFDIR|0o700 || int(info.Uid) != ownUser || int(info.Gid) != ownGroup || info.Size > newDirSize {
		return false
	}
	if n, err := unix.Flistxattr(fd, nil); n > 0 || err != nil && err != unix.ENOTSUP {
		return false
	}
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	return err != nil || flags&^layoutFlags == 0
}

// ownUser and ownGroup are those of what this program makes.
var ownUser, ownGroup = os.Geteuid(), os.Getegid()

// newDirSize is how large an empty folder may be: file systems do not make one
// smaller again that has held many files.
const newDirSize = 4096
