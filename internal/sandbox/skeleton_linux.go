package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qhubctl/qhubctl/internal/sandbox/shim"
)

// A mount that covers a file is gone as soon as a process renames another file
// over it, and moves away with a folder that is renamed. So a hidden file is not
// covered: the folders around it are built from their other entries.

// maxSkeleton bounds the entries of a folder that holds a hidden file: each of
// them is a mount.
const maxSkeleton = 1000

// skeletons replaces each hidden file or folder in a folder that shows the
// disk by skeletons of the folders around it.
func skeletons(byPath map[string]*place) error {
	for _, hidden := range sorted(byPath) {
		if hidden.kind != placeHidden || holdsPlaces(byPath, hidden.path) {
			continue
		}
		top := shownAbove(byPath, hidden.path)
		if top == nil {
			continue
		}
		from, kind := top.path, top.kind
		for dir := filepath.Dir(hidden.path); within(dir, from); dir = filepath.Dir(dir) {
			if err := skeleton(byPath, dir, kind); err != nil {
				return err
			}
		}
	}
	return nil
}

// holdsPlaces reports whether a hidden folder has a place that must be visible: then
// the folder must exist, with nothing else in it.
func holdsPlaces(byPath map[string]*place, path string) bool {
	for other := range byPath {
		if other != path && within(other, path) {
			return true
		}
	}
	return false
}

// shownAbove is the place around a hidden file that shows the disk; nil
// if there is none, so that the file cannot be seen, or can be covered.
func shownAbove(byPath map[string]*place, path string) *place {
	for dir := filepath.Dir(path); dir != "/"; dir = filepath.Dir(dir) {
		pl := byPath[dir]
		switch {
		case pl == nil || pl.kind == placeSkeleton:
			continue
		case pl.live() && (pl.kind == placeSystem || pl.kind == placeReadable):
			return pl
		default:
			return nil
		}
	}
	return nil
}

// skeleton turns a folder into a skeleton. Its entries become places of a kind.
func skeleton(byPath map[string]*place, dir string, kind placeKind) error {
	if old := byPath[dir]; old != nil && old.kind == placeSkeleton {
		return nil
	}
	if isLink(dir) {
		return nil // the target of the link is one
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil // nothing to hide; executions do not see later files
	}
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if len(entries) > maxSkeleton {
		return fmt.Errorf("sandbox: %s holds a secret file among more than %d others; move the file into a folder of few", dir, maxSkeleton)
	}
	pl := &place{path: dir, kind: placeSkeleton, links: map[string]string{}}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		switch {
		case byPath[path] != nil:
		case entry.Type()&os.ModeSymlink != 0:
			if target, err := os.Readlink(path); err == nil {
				pl.links[path] = target
			}
		case entry.IsDir() || entry.Type().IsRegular():
			byPath[path] = &place{path: path, kind: kind}
		}
	}
	byPath[dir] = pl
	return nil
}

// skeleton mounts an empty folder with mount points for its visible entries.
func (b *builder) skeleton(pl *place, list []*place) {
	at := inRoot(pl.path)
	data := fmt.Sprintf("size=4m,nr_inodes=%d,mode=755", 2*maxSkeleton)
	b.add(layerFilesystem, shim.Step{Op: shim.OpMount, A: "tmpfs", B: at, C: "tmpfs", D: data, N: noTricks})
	for _, other := range list {
		if other.parent == pl {
			b.mountPoint(other)
		}
	}
	for _, link := range slices.Sorted(maps.Keys(pl.links)) {
		b.add(layerFilesystem, shim.Step{Op: shim.OpSymlink, A: pl.links[link], B: inRoot(link)})
	}
	b.add(layerFilesystem, shim.Step{Op: shim.OpAttr, A: strings.TrimSuffix(at, "/"), N: attrReadOnly})
}
