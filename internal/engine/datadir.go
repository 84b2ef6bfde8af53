package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/qhubctl/qhubctl/internal/execution"
	"github.com/qhubctl/qhubctl/internal/runner"
)

// lockName is the file in an engine's work folder that the engine keeps locked
// while it lives.
const lockName = ".lock"

const lockPatience = 5 * time.Second

// scratchName is the folder in an engine's work folder that holds the folders of
// executions. The lock file is not inside it, because zygotes can write there.
const scratchName = "executions"

// ResultsDir is the folder of large results and result files in the data folder.
const ResultsDir = "results"

// dataDir is one engine's view of the data folder.
type dataDir struct {
	dir     string
	workDir string
	lock    *flock.Flock
	// scratch hands out the folders of executions.
	scratch *runner.DirPool
}

func openDataDir(ctx context.Context, dir, owner string) (*dataDir, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f := &dataDir{dir: dir, workDir: filepath.Join(dir, "work", owner)}
	f.scratch = runner.NewDirPool(f.scratchDir())
	for _, folder := range []string{f.workDir, filepath.Join(dir, ResultsDir)} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, err
		}
	}
	f.lock = flock.New(filepath.Join(f.workDir, lockName))
	// Another engine that looks for orphans may hold the lock for a moment.
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	if _, err := f.lock.TryLockContext(ctx, 10*time.Millisecond); err != nil {
		return nil, fmt.Errorf("cannot lock %s: %w", f.lock.Path(), err)
	}
	if err := os.Mkdir(f.scratchDir(), 0o700); err != nil {
		return nil, errors.Join(err, f.lock.Close())
	}
	return f, nil
}

// scratchDir is the parent of the folders of executions.
func (f *dataDir) scratchDir() string { return filepath.Join(f.workDir, scratchName) }

// close removes the work folder of this engine.
func (f *dataDir) close() error {
	return errors.Join(f.scratch.Close(), f.lock.Close(), runner.RemoveAll(f.workDir))
}

// orphanAge is the age from which a work folder without a lock is an orphan. An
// engine that starts makes its folder a moment before it locks it.
const orphanAge = time.Minute

// removeOrphans removes the work folders of engines that have died.
func (f *dataDir) removeOrphans() error {
	parent := filepath.Dir(f.workDir)
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if folder := filepath.Join(parent, entry.Name()); folder != f.workDir {
			errs = append(errs, removeOrphan(folder))
		}
	}
	return errors.Join(errs...)
}

func removeOrphan(folder string) error {
	info, err := os.Stat(filepath.Join(folder, lockName))
	if errors.Is(err, fs.ErrNotExist) {
		info, err = os.Stat(folder)
		if err == nil && time.Since(info.ModTime()) < orphanAge {
			return nil
		}
		return runner.RemoveAll(folder)
	}
	if err != nil {
		return err
	}
	lock := flock.New(filepath.Join(folder, lockName))
	locked, err := lock.TryLock()
	if err != nil || !locked {
		return err
	}
	// A starting engine may have made the lock file and not locked it yet.
	if time.Since(info.ModTime()) < orphanAge && isEmptyBut(folder, lockName) {
		return lock.Close()
	}
	return errors.Join(runner.RemoveAll(folder), lock.Close())
}

// InUse reports whether an engine uses a data folder.
func InUse(dir string) (bool, error) {
	locks, err := filepath.Glob(filepath.Join(dir, "work", "*", lockName))
	if err != nil {
		return false, err
	}
	for _, path := range locks {
		lock := flock.New(path)
		free, err := lock.TryLock()
		if err != nil {
			return false, fmt.Errorf("look at the engines of %s: %w", dir, err)
		}
		if !free {
			return true, nil
		}
		if err := lock.Close(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// isEmptyBut reports whether a folder holds the named file and nothing else.
func isEmptyBut(folder, name string) bool {
	entries, err := os.ReadDir(folder)
	return err == nil && len(entries) == 1 && entries[0].Name() == name
}

// results is the folder of an execution's large result and result files.
func (f *dataDir) results(id execution.ID) string {
	return filepath.Join(f.dir, ResultsDir, string(id))
}

// removeResults removes that folder. A missing folder is no error.
func (f *dataDir) removeResults(id execution.ID) error { return os.RemoveAll(f.results(id)) }
