// Package datapool gives a service the files of a data pool: a folder that the
// platform provides beside the request, for data too large to travel in it.
//
// A service declares a pool as a field of its input, and finds the files by
// name:
//
//	type Input struct {
//		Models datapool.Pool  `json:"models"`
//		Extra  *datapool.Pool `json:"extra"` // may be missing: nil
//	}
//
//	file, err := in.Models.Open("weights.bin")
//
// In the contract's terms the pool of the field models is the folder
// $DATAPOOL_DIRECTORY/models; for a run on one's own machine that is
// ./input/models.
//
// Nothing leads out of a pool: neither "..", nor an absolute path, nor a symbolic link
// inside it. So a service can pass a name from the request to [Pool.Open] unchanged.
package datapool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A Pool is a folder of files, for reading. Copies are the same pool. The zero
// Pool has no files and opens none.
type Pool struct{ dir *dir }

type dir struct {
	path string
	root *os.Root
}

var errNoPool = errors.New("this data pool was not opened; declare it as a field of the service's input")

// Open makes the folder at path a pool. It follows path if it is a link. Links inside the
// folder are followed only if they lead to a place inside.
func Open(path string) (Pool, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return Pool{}, fmt.Errorf("open data pool %q: %w", filepath.Base(path), err)
	}
	return Pool{&dir{path: path, root: root}}, nil
}

// Name is the name of the pool: that of its folder, and of the parameter.
func (p Pool) Name() string {
	if p.dir == nil {
		return ""
	}
	return filepath.Base(p.dir.path)
}

// Path is the folder of the pool, for programs that want a path. Joining it with a name
// from a request loses the protection of [Pool.Open].
func (p Pool) Path() string {
	if p.dir == nil {
		return ""
	}
	return p.dir.path
}

// List returns the names of the files, sorted. Files of folders inside the
// pool are not listed; [Pool.FS] reaches them.
func (p Pool) List() ([]string, error) {
	if p.dir == nil {
		return nil, errNoPool
	}
	entries, err := fs.ReadDir(p.dir.root.FS(), ".")
	if err != nil {
		return nil, p.failed("list", err)
	}
	var names []string
	for _, entry := range entries {
		if p.isFile(entry) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// isFile treats a link as a file if it leads to one inside the pool.
func (p Pool) isFile(entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return entry.Type().IsRegular()
	}
	info, err := p.dir.root.Stat(entry.Name())
	return err == nil && info.Mode().IsRegular()
}

// Open opens a file for reading. The name may have slashes. The error for a missing file
// matches fs.ErrNotExist.
func (p Pool) Open(name string) (*os.File, error) {
	if p.dir == nil {
		return nil, errNoPool
	}
	file, err := p.dir.root.Open(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &notFoundError{name, p.Name()}
	}
	if err != nil {
		return nil, p.failed("open a file of", err)
	}
	return file, nil
}

// ReadFile reads all of a file.
func (p Pool) ReadFile(name string) ([]byte, error) {
	if p.dir == nil {
		return nil, errNoPool
	}
	content, err := p.dir.root.ReadFile(filepath.FromSlash(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &notFoundError{name, p.Name()}
	}
	if err != nil {
		return nil, p.failed("read a file of", err)
	}
	return content, nil
}

// FS is the pool as a file system, folders included.
func (p Pool) FS() fs.FS {
	if p.dir == nil {
		return closedFS{}
	}
	return p.dir.root.FS()
}

// String is the name of the pool.
func (p Pool) String() string { return p.Name() }

func (p Pool) failed(what string, err error) error {
	return fmt.Errorf("%s data pool %q: %w", what, p.Name(), err)
}

// notFoundError leaves out the path of the folder, which is of no use to a caller of the
// service.
type notFoundError struct{ file, pool string }

func (e *notFoundError) Error() string {
	return fmt.Sprintf("file %q not found in data pool %q", e.file, e.pool)
}

func (e *notFoundError) Unwrap() error { return fs.ErrNotExist }

type closedFS struct{}

func (closedFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errNoPool}
}
