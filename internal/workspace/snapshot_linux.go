package workspace

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

var errNotRegular = fmt.Errorf("no regular file any more: %w", fs.ErrNotExist)

// copy copies a file, with its mode, its time and, if possible, its owner. It
// shares the blocks if the file system can; with cloneOnly it copies no others. It
// reads the attributes of the open file: another one may have taken its name.
func (t *snapshotter) copy(from, to string, cloneOnly bool) (err error) {
	source, err := os.OpenFile(from, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || t.hidden.file(info) {
		return errNotRegular
	}
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm()|0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, target.Close())
		if err != nil {
			_ = os.Remove(to)
		}
	}()
	if err := t.content(source, target, info.Size(), cloneOnly); err != nil {
		return err
	}
	return likeFile(target, info)
}

func (t *snapshotter) content(source, target *os.File, size int64, cloneOnly bool) error {
	if size == 0 {
		return nil
	}
	if t.clones {
		err := unix.IoctlFileClone(int(target.Fd()), int(source.Fd()))
		if err == nil {
			return nil
		}
		t.clones = false
	}
	if cloneOnly {
		return errors.ErrUnsupported
	}
	_, err := io.Copy(target, source) // by copy_file_range, if possible
	return err
}

// likeFile gives a copy the time, the owner and, for its owner, the mode of a file.
// By the time Python decides whether the bytecode beside a source belongs to it.
func likeFile(target *os.File, info os.FileInfo) error {
	if uid, gid, ok := owner(info); ok {
		if err := target.Chown(uid, gid); err != nil {
			return err
		}
	}
	// Both only where they differ: a workspace has many files.
	if now, err := target.Stat(); err != nil || now.Mode() != shownMode(info) {
		if err := target.Chmod(shownMode(info)); err != nil {
			return err
		}
	}
	modified := unix.NsecToTimespec(info.ModTime().UnixNano())
	return futimens(int(target.Fd()), modified)
}

// futimens sets the time of an open file.
func futimens(fd int, modified unix.Timespec) error {
	return os.NewSyscallError("utimensat", unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), []unix.Timespec{{Nsec: unix.UTIME_OMIT}, modified}, 0))
}

// owner is the owner of a file, if that is not this program's user, and this
// program can give files to others.
func owner(info os.FileInfo) (uid, gid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || stat.Uid == 0 && stat.Gid == 0 {
		return 0, 0, false
	}
	return int(stat.Uid), int(stat.Gid), true
}

func giveOwner(path string, info os.FileInfo) error {
	if uid, gid, ok := owner(info); ok {
		return os.Lchown(path, uid, gid)
	}
	return nil
}

// unchanged reports whether the system shows the same state of a file as before.
func unchanged(before, now os.FileInfo) bool {
	if before == nil || !os.SameFile(before, now) || before.Size() != now.Size() || !before.ModTime().Equal(now.ModTime()) {
		return false
	}
	old, ok := before.Sys().(*syscall.Stat_t)
	stat, okNow := now.Sys().(*syscall.Stat_t)
	return ok && okNow && old.Ctim == stat.Ctim
}

// names is how many names a file has.
func names(info os.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Nlink)
	}
	return 1
}
