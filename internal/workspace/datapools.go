package workspace

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// poolFolders hold a folder for each data pool. If both have it, the first counts.
var poolFolders = []string{"input", "datapool"}

// DataPool is the folder that holds the data pool of a parameter on this
// machine; empty if there is none.
func (w *Workspace) DataPool(parameter string) string {
	for _, folder := range poolFolders {
		candidate := w.path(folder, parameter)
		if info, err := os.Stat(candidate); err == nil && info.IsDir() {
			return candidate
		}
	}
	return ""
}

// LinkedPools are the targets of links that stand in the place of a data pool.
func (w *Workspace) LinkedPools() []string {
	var found []string
	for _, folder := range poolFolders {
		entries, err := os.ReadDir(w.path(folder))
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if entry.Type()&fs.ModeSymlink == 0 {
				continue
			}
			target, err := filepath.EvalSymlinks(w.path(folder, entry.Name()))
			if err != nil {
				continue
			}
			if info, err := os.Stat(target); err == nil && info.IsDir() {
				found = append(found, target)
			}
		}
	}
	return found
}

// isDataPool reports whether DataPool may find a folder: executions see its state
// at their start.
func isDataPool(relative string) bool { return slices.Contains(poolFolders, filepath.Dir(relative)) }

// pool shows a data pool, or a large folder, directly from the disk, except
// files whose names say that they hold secrets.
func (t *snapshotter) pool(dir string) error {
	t.Hidden = append(t.Hidden, t.hidden.in(dir)...)
	return t.live(dir)
}

// HiddenIn returns the files and folders in a folder that must not be shown with it, if
// the snapshot does not know the folder: hidden files, and those whose names say that
// they hold secrets.
func (s *Snapshot) HiddenIn(dir string) []string { return s.hidden.in(dir) }

// Hides reports whether a folder must not be shown, by its name.
func (s *Snapshot) Hides(dir string) bool {
	return holdsSecrets(filepath.Base(dir)) || s.hidden.name(dir)
}

// in returns the hidden files of a folder that is shown directly from the disk, and
// files and folders that hold secrets by their names.
func (h hiddenFiles) in(dir string) (found []string) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // gone, or not to be read by executions either
		}
		if holdsSecrets(entry.Name()) || h.name(path) || h.isOther(entry) {
			found = append(found, path)
			if entry.IsDir() {
				return fs.SkipDir
			}
		}
		return nil
	})
	return found
}

// isOther reports whether a file is another name of a hidden one.
func (h hiddenFiles) isOther(entry fs.DirEntry) bool {
	if !entry.Type().IsRegular() || len(h.infos) == 0 {
		return false
	}
	info, err := entry.Info()
	return err == nil && names(info) > 1 && h.file(info)
}
