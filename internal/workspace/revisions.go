package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
)

const (
	revisionsName = "revisions"
	ownedName     = ".lock"
	// lockTime is how long another server may hold the lock while it checks
	// whether the owner of a folder is dead.
	lockTime = 5 * time.Second
)

// Revisions are the snapshots of one server. Its methods are not safe for
// concurrent use.
type Revisions struct {
	dir    string
	lock   *flock.Flock
	last   int
	hidden []os.FileInfo // in any snapshot
	newest *Snapshot     // may be removed already
}

// OpenRevisions makes a folder for the snapshots of one server in the data folder
// dir, and removes those of servers that have died.
func OpenRevisions(ctx context.Context, dir string) (*Revisions, error) {
	parent := filepath.Join(dir, revisionsName)
	r := &Revisions{dir: filepath.Join(parent, uuid.NewString())}
	// Lock it before it gets its name: a name without a lock is that of a dead server.
	making := r.dir + ".new"
	if err := os.MkdirAll(making, 0o700); err != nil {
		return nil, &Error{Message: "cannot keep snapshots in " + parent, Err: err}
	}
	r.lock = flock.New(filepath.Join(making, ownedName))
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	if _, err := r.lock.TryLockContext(ctx, 10*time.Millisecond); err != nil {
		return nil, &Error{Message: "cannot lock " + making, Err: err}
	}
	if err := os.Rename(making, r.dir); err != nil {
		return nil, &Error{Message: "cannot keep snapshots in " + parent, Err: errors.Join(err, r.lock.Close())}
	}
	return r, removeDead(parent, r.dir)
}

// removeDead removes the folders of servers that have died.
func removeDead(parent, own string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		folder := filepath.Join(parent, entry.Name())
		info, err := entry.Info()
		if folder == own || err != nil {
			continue
		}
		if filepath.Ext(folder) == ".new" && time.Since(info.ModTime()) < time.Minute {
			continue // about to be locked
		}
		lock := flock.New(filepath.Join(folder, ownedName))
		if locked, err := lock.TryLock(); err != nil || !locked {
			continue // another server's, or just gone
		}
		errs = append(errs, os.RemoveAll(folder), lock.Close())
	}
	return errors.Join(errs...)
}

// Take takes a snapshot of the workspace. A file that was hidden in an earlier one
// stays hidden.
func (r *Revisions) Take(w *Workspace, o SnapshotOptions) (*Snapshot, error) {
	r.last++
	o.before, o.last = r.hidden, r.newest
	s, err := w.TakeSnapshot(filepath.Join(r.dir, strconv.Itoa(r.last)), o)
	if err != nil {
		return nil, err
	}
	r.newest = s
	for _, info := range s.hidden.infos {
		if !slices.ContainsFunc(r.hidden, func(known os.FileInfo) bool {
			return os.SameFile(known, info) && known.ModTime().Equal(info.ModTime())
		}) {
			r.hidden = append(r.hidden, info)
		}
	}
	return s, nil
}

// Close removes all snapshots.
func (r *Revisions) Close() error {
	if err := errors.Join(os.RemoveAll(r.dir), r.lock.Close()); err != nil {
		return fmt.Errorf("cannot remove the snapshots: %w", err)
	}
	return nil
}
