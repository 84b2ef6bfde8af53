package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/qhubctl/qhubctl/internal/blob"
)

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// storeError says what failed, and knows a full disk.
func storeError(verb, key string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %s", blob.ErrExists, key)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%s blob %s: %w", verb, key, blob.ErrFull)
	}
	return fmt.Errorf("%s blob %s: %w", verb, key, err)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func modified(file *os.File) time.Time {
	info, err := file.Stat()
	if err != nil {
		return time.Now()
	}
	return info.ModTime()
}

// inOrder describes the blobs of keys, and leaves out those that were deleted
// meanwhile, and damaged ones.
func (s *Store) inOrder(ctx context.Context, keys []string, each func(blob.Info) error) error {
	slices.Sort(keys)
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := s.Stat(ctx, key)
		if errors.Is(err, blob.ErrNotFound) {
			continue
		}
		if errors.Is(err, blob.ErrChecksum) { // it counts as a blob, so that it can be removed
			info = blob.Info{Key: key}
			err = nil
		}
		if err != nil {
			return err
		}
		if err := each(info); err != nil {
			return err
		}
	}
	return nil
}
