package runner

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/descriptors"
)

// maxDepth is how deep nested folders may be for a plain removal, which keeps a
// descriptor open for each on the way down.
const maxDepth = 32

// RemoveAll deletes a folder that services have written to, of any depth and with any
// permissions.
func RemoveAll(dir string) error {
	return descriptors.RetryBriefly(func() error { return removeAll(dir) })
}

func removeAll(dir string) error {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrPermission) && os.Chmod(dir, 0o700) == nil { //nolint:gosec // a folder
		root, err = os.OpenRoot(dir)
	}
	switch {
	case err == nil:
		flatten(root)
		_ = root.Close()
	case descriptors.Exhausted(err):
		return err
	}
	return os.RemoveAll(dir)
}

// flatten makes folders writable, and moves those that lie too deep up to the root. Its
// errors show in the removal.
func flatten(root *os.Root) {
	f := flattener{root: root, name: ".moved-" + uuid.NewString() + "-"}
	f.walk(".", 0)
	for next := 0; next < f.moved; {
		f.walk(f.name+strconv.Itoa(next), 1) // it may move more
		next++
	}
}

type flattener struct {
	root  *os.Root
	name  string // of moved folders, without their number
	moved int
}

func (f *flattener) walk(dir string, depth int) {
	for _, entry := range f.entries(dir) {
		if !entry.IsDir() {
			continue
		}
		inner := filepath.Join(dir, entry.Name())
		if depth < maxDepth {
			f.walk(inner, depth+1)
			continue
		}
		_ = f.root.Chmod(inner, 0o700) // a read-only folder cannot be moved
		if f.root.Rename(inner, f.name+strconv.Itoa(f.moved)) == nil {
			f.moved++
		}
	}
}

func (f *flattener) entries(dir string) []fs.DirEntry {
	folder, err := f.root.Open(dir)
	if err != nil && f.root.Chmod(dir, 0o700) == nil {
		folder, err = f.root.Open(dir)
	}
	if err != nil {
		return nil
	}
	defer func() { _ = folder.Close() }()
	if info, err := folder.Stat(); err == nil && info.Mode().Perm()&0o700 != 0o700 {
		_ = folder.Chmod(0o700) // so that its entries can be removed
	}
	entries, _ := folder.ReadDir(-1) // as many as can be read
	return entries
}
