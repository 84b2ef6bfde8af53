package workspace

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// hiddenFiles are files that are known by their paths and by their inodes.
type hiddenFiles struct {
	paths []string
	infos []os.FileInfo
	// before were hidden once. Another file may have taken the path of one, and
	// left it under its other names.
	before []os.FileInfo
}

// newHiddenFiles takes paths, and in dir also those that lead there by way of a
// symbolic link.
func newHiddenFiles(dir string, paths []string, before []os.FileInfo) hiddenFiles {
	h := hiddenFiles{before: before}
	behind, err := filepath.EvalSymlinks(dir)
	if err != nil {
		behind = dir
	}
	for _, path := range paths {
		h.paths = append(h.paths, path)
		if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
			h.paths = append(h.paths, target)
		}
		if relative, ok := relativeTo(behind, path); ok {
			h.paths = append(h.paths, filepath.Join(dir, relative))
		}
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			h.infos = append(h.infos, info)
		}
	}
	return h
}

// name tells whether a path is that of a hidden file, or of what editors and
// tools leave beside one: token~, token.bak, #token#.
func (h hiddenFiles) name(path string) bool {
	return slices.ContainsFunc(h.paths, func(hidden string) bool {
		dir, name := filepath.Split(hidden)
		inside, ok := strings.CutPrefix(path, dir)
		return ok && !strings.ContainsRune(inside, filepath.Separator) &&
			(strings.HasPrefix(inside, name) || strings.HasPrefix(inside, "#"+name))
	})
}

// file tells whether a file is a hidden one by another name.
func (h hiddenFiles) file(info os.FileInfo) bool {
	if slices.ContainsFunc(h.infos, func(hidden os.FileInfo) bool { return os.SameFile(hidden, info) }) {
		return true
	}
	// A number is given to another file when nothing is left of the one that had it.
	return slices.ContainsFunc(h.before, func(hidden os.FileInfo) bool {
		return os.SameFile(hidden, info) && hidden.ModTime().Equal(info.ModTime()) && hidden.Size() == info.Size()
	})
}
