package datapool

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/blob"
)

const (
	copiesDir = "copies"
	// copyIdle is how long a copy is kept that no execution asks for.
	copyIdle = 15 * time.Minute
)

// copies are contents as plain files. Executions that only read a file share one copy of
// it, by hard links.
type copies struct {
	dir string

	mu   sync.Mutex
	used map[string]time.Time // by key
	busy map[string]*sync.Mutex
}

func (c *copies) init(dir string) {
	c.dir, c.used, c.busy = dir, map[string]time.Time{}, map[string]*sync.Mutex{}
}

// path is where the copy of a content is.
func (c *copies) path(key string) string {
	return filepath.Join(c.dir, strings.ReplaceAll(strings.TrimPrefix(key, filesPrefix), "/", "_"))
}

// link gives the content of a file a name. Any user may read it, and no user may write it.
func (c *copies) link(ctx context.Context, blobs blob.Store, file File, path string) error {
	key := file.Blob
	c.mu.Lock()
	busy := c.busy[key]
	if busy == nil {
		busy = &sync.Mutex{}
		c.busy[key] = busy
	}
	c.used[key] = time.Now()
	c.mu.Unlock()
	busy.Lock()
	defer busy.Unlock()
	shared := c.path(key)
	if !intact(shared, file) {
		part := shared + "." + uuid.NewString()
		err := write(ctx, blobs, file, part, 0o444)
		if err == nil {
			err = os.Rename(part, shared)
		}
		if err != nil {
			_ = os.Remove(part)
			return err
		}
	}
	if os.Link(shared, path) == nil {
		return nil
	}
	return write(ctx, blobs, file, path, 0o444) // too many links, or another file system
}

// intact reports whether a copy is there, and no service without a sandbox has written to
// it.
func intact(path string, file File) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Size() == file.Size && info.ModTime().Equal(file.CreatedAt)
}

// write writes a content to a new file, with the time of the file of the pool, and
// verifies its checksum.
func write(ctx context.Context, blobs blob.Store, f File, path string, mode fs.FileMode) error {
	object, err := blobs.Open(ctx, f.Blob)
	if err != nil {
		return err
	}
	defer func() { _ = object.Close() }()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, &contextReader{ctx, object})
	// The umask does not count.
	return errors.Join(err, file.Chmod(mode), file.Close(), os.Chtimes(path, f.CreatedAt, f.CreatedAt))
}

type contextReader struct {
	ctx  context.Context //nolint:containedctx // of one copy
	from io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// remove drops the copy of a content.
func (c *copies) remove(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.used, key)
	delete(c.busy, key)
	_ = os.Remove(c.path(key)) // there may be none; the rest goes at the next start
}

// sweep drops copies that were not asked for lately. Executions keep their links.
func (c *copies) sweep(now time.Time) {
	c.mu.Lock()
	var idle []string
	for key, used := range c.used {
		if now.Sub(used) > copyIdle {
			idle = append(idle, key)
		}
	}
	c.mu.Unlock()
	for _, key := range idle {
		c.remove(key)
	}
}
