package runner

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// The flags of a new folder on the file systems that have them, of linux/fs.h:
// it is kept in extents, or beside its inode.
const layoutFlags = 0x80000 | 0x10000000

// reset empties the folders, and reports whether all is then as it was when
// they were new: what an execution could leave to the next in a mode, an owner,
// an attribute or the size of a folder would be visible.
func (f Folder) reset() bool {
	parts := f.parts()
	names, ok := resetDir(f.root, nil)
	if !ok || len(names) != len(parts) {
		return false
	}
	for _, dir := range parts {
		if _, ok := resetDir(dir, unlinkAll); !ok {
			return false
		}
	}
	return true
}

// resetDir looks at a folder, and lets clear deal with what is in it.
func resetDir(path string, empty func(dir *os.File, names []string) bool) ([]string, bool) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false
	}
	dir := os.NewFile(uintptr(fd), path)
	defer func() { _ = dir.Close() }()
	if !isNew(fd) {
		return nil, false
	}
	names, err := dir.Readdirnames(-1)
	if err != nil && err != io.EOF { //nolint:errorlint // it is never wrapped
		return nil, false
	}
	return names, empty == nil || empty(dir, names)
}

// unlinkAll removes what is no folder. A folder is a reason to remove all.
func unlinkAll(dir *os.File, names []string) bool {
	for _, name := range names {
		if unix.Unlinkat(int(dir.Fd()), name, 0) != nil {
			return false
		}
	}
	return true
}

// isNew tells whether a folder looks like one that was just made, whatever is
// in it.
func isNew(fd int) bool {
	var info unix.Stat_t
	if unix.Fstat(fd, &info) != nil {
		return false
	}
	if info.Mode != unix.S_IFDIR|0o700 || int(info.Uid) != os.Geteuid() || int(info.Gid) != os.Getegid() || info.Size > newDirSize {
		return false
	}
	if n, err := unix.Flistxattr(fd, nil); n > 0 || err != nil && err != unix.ENOTSUP {
		return false
	}
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	return err != nil || flags&^layoutFlags == 0
}

// newDirSize is how large an empty folder may be: file systems do not make one
// smaller again that has held many files.
const newDirSize = 4096
