package builder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// settle makes a folder that a sandbox has written the server's own: it gives the
// files to the server's user, and has every execution read them. It refuses links
// that lead elsewhere than into the folder or the installation of Python, and
// entries that are neither file, folder nor link: an execution may see what a path in the
// workspace leads to.
func settle(dir, python string, most int64) error {
	uid, gid := os.Getuid(), os.Getgid()
	var size int64
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := os.Lchown(path, uid, gid); err != nil { //nolint:gosec // no process of the build is left
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		mode := entry.Type()
		switch {
		case mode&fs.ModeSymlink != 0:
			return checkLink(dir, python, path, relative)
		case mode.IsDir():
			return os.Chmod(path, 0o755) //nolint:gosec // the folder of all revisions is private
		case !mode.IsRegular():
			return failure(fmt.Sprintf("%q is neither a file nor a folder", relative))
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if size += info.Size(); size > most {
			return failure(fmt.Sprintf("the workspace and its environment have more than %d MiB", most>>20))
		}
		permissions := fs.FileMode(0o644)
		if info.Mode().Perm()&0o111 != 0 {
			permissions = 0o755
		}
		return os.Chmod(path, permissions) //nolint:gosec // no process of the build is left
	})
}

// openUp lets the user of a sandbox write in a folder, as build backends do in the
// sources of packages. No other sandbox sees it, and [settle] takes it back.
func openUp(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		permissions := info.Mode().Perm() | 0o666
		if entry.IsDir() {
			permissions |= 0o777
		}
		return os.Chmod(path, permissions) //nolint:gosec // nothing of the archive has run yet
	})
}

// maxHops bounds a chain of links.
const maxHops = 16

// checkLink follows a link, step by step and without the system's help: a folder on
// the way may be a link too, and is checked where it is met.
func checkLink(dir, python, path, relative string) error {
	for range maxHops {
		target, err := os.Readlink(path)
		if err != nil {
			return nil //nolint:nilerr // it is no link, or leads nowhere: its folder was checked
		}
		if climbs(target) {
			return failure(fmt.Sprintf("the link %q has .. behind a name", relative))
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = filepath.Clean(target)
		if within(path, python) {
			return nil
		}
		if !within(path, dir) {
			return failure(fmt.Sprintf("the link %q leads out of the workspace", relative))
		}
	}
	return failure(fmt.Sprintf("the link %q is one of too many", relative))
}

// climbs reports whether a path has ".." behind a name. If that name is a link, the
// system goes elsewhere than the text of the path says.
func climbs(path string) bool {
	down := false
	for part := range strings.SplitSeq(path, "/") {
		if part == ".." && down {
			return true
		}
		down = down || part != "" && part != "." && part != ".."
	}
	return false
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// sizeInterval is how often the size of a workspace is looked at while it is
// prepared.
const sizeInterval = 2 * time.Second

// watchSize calls exceeded once when a folder is too large. The returned function
// ends it, and reports whether that was so.
func watchSize(dir string, most int64, exceeded func()) func() bool {
	var full atomic.Bool
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(sizeInterval)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			if sizeExceeds(dir, most) && full.CompareAndSwap(false, true) {
				exceeded()
			}
		}
	}()
	return func() bool {
		close(stop)
		<-stopped
		return full.Load()
	}
}

func sizeExceeds(dir string, most int64) bool {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // files come and go
		}
		if info, err := entry.Info(); err == nil {
			size += info.Size()
		}
		if size > most {
			return errFull
		}
		return nil
	})
	return errors.Is(err, errFull)
}
