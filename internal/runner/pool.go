package runner

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A Pool is a data pool whose files are placed for one execution.
type Pool struct {
	// Place puts the files into a folder, which is empty. All users may read them.
	Place func(dir string) error
	// Writable: the execution may change the files, and [Run].Pool returns them.
	Writable bool
	// Size is the length of all files. An execution may add Limits.Output to it.
	Size int64
}

// Pools holds the writable data pools, if there are any.
func (f Dir) Pools() string { return filepath.Join(f.root, "pools") }

// PlacePool makes the data pool of a parameter. A writable one lies in another folder, to
// which a link leads: the folder of all data pools is read-only.
func (f Dir) PlacePool(parameter string, pool Pool) error {
	target := filepath.Join(f.DataPools(), parameter)
	if pool.Writable {
		err := os.Symlink(filepath.Join("..", filepath.Base(f.Pools()), parameter), target)
		if err == nil {
			err = os.MkdirAll(f.Pools(), 0o700)
		}
		if err != nil {
			return fmt.Errorf("cannot provide the data pool %s: %w", parameter, err)
		}
		target = filepath.Join(f.Pools(), parameter)
	}
	err := os.Mkdir(target, 0o700)
	if err == nil {
		err = pool.Place(target)
	}
	if err != nil {
		return fmt.Errorf("cannot provide the data pool %s: %w", parameter, err)
	}
	return nil
}

// OpenPool opens what an execution has left of a writable data pool.
func (f Dir) OpenPool(parameter string) (*Output, error) {
	return openFolder(filepath.Join(f.Pools(), parameter))
}

// openFolder opens a folder, but no link to one. [fs.ErrNotExist]: it is none.
func openFolder(path string) (*Output, error) {
	info, err := os.Lstat(path)
	if err == nil && !info.IsDir() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	root, err := openRoot(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the data pool: %w", err)
	}
	return &Output{root: root}, nil
}

// PoolsExceeded is the limit that the writable data pools exceed together: so many bytes
// unless most is 0, or [MaxEntries].
func (f Dir) PoolsExceeded(most int64) Limit { return exceeded(f.Pools(), most, MaxEntries) }
