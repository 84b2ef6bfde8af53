package datapool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/audit"
	"github.com/qhubctl/qhubctl/internal/blob"
)

// The prefixes of the keys of contents, and of the pieces of uploads.
const (
	filesPrefix  = "datapools/"
	piecesPrefix = "datapool-uploads/"
)

// sweepAge is how old a content without a file is at least when it is removed.
const sweepAge = time.Minute

// newBlob is a key for a content of a pool. It is pinned until the caller unpins it.
func (s *Service) newBlob(pool string) string {
	key := filesPrefix + pool + "/" + uuid.NewString()
	s.pin(key)
	return key
}

func (s *Service) pin(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		s.pins[key]++
	}
}

func (s *Service) unpin(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		if s.pins[key]--; s.pins[key] <= 0 {
			delete(s.pins, key)
		}
	}
}

// discard removes a content that no file has. One that is being mounted is removed by
// the next sweep.
func (s *Service) discard(ctx context.Context, key string) {
	s.mu.Lock()
	pinned := s.pins[key] > 0
	s.mu.Unlock()
	if key == "" || pinned {
		return
	}
	s.copies.remove(key)
	if err := s.Blobs.Delete(context.WithoutCancel(ctx), key); err != nil {
		s.Log.Warn("cannot remove a file of a data pool; trying again later", "blob", key, "error", err)
	}
}

// contentType is the type of a file: the given one if it is valid, or one by its name.
func contentType(name, given string) string {
	if kind, _, err := mime.ParseMediaType(given); err == nil && len(given) <= maxContentType && kind != "application/octet-stream" {
		return given
	}
	return cmp.Or(mime.TypeByExtension(path.Ext(name)), "application/octet-stream")
}

// Put stores a file of a pool. A file of its name is replaced. sha256 is the checksum
// that it must have; empty: any. The content is read as a stream. [blob.ErrTooLarge],
// [blob.ErrChecksum], [blob.ErrFull], or the error of the reader.
func (s *Service) Put(ctx context.Context, p access.Principal, pool, name, kind, sha256 string, content io.Reader) (File, error) {
	if _, err := s.reach(ctx, p, pool, access.WritePools); err != nil {
		return File{}, err
	}
	if err := CheckFileName(name); err != nil {
		return File{}, err
	}
	key := s.newBlob(pool)
	defer s.unpin(key)
	info, err := s.Blobs.Put(ctx, key, content, blob.PutOptions{Limit: s.MaxFile, SHA256: sha256})
	if err != nil {
		return File{}, err
	}
	audit.Note(ctx, "file", name)
	done, err := s.Store.Apply(ctx, Changes{[]Change{s.change(pool, name, kind, info)}, s.MaxFiles})
	return s.applied(ctx, key, done, err)
}

// change puts a content into a pool.
func (s *Service) change(pool, name, kind string, info blob.Info) Change {
	return Change{Pool: pool, Name: name, File: &File{
		ID: uuid.NewString(), Pool: pool, Name: name, ContentType: contentType(name, kind),
		Size: info.Size, SHA256: info.SHA256, Blob: info.Key, CreatedAt: s.Now(),
	}}
}

// applied returns the file of one change, and removes the content that it has replaced,
// or the new one if it failed.
func (s *Service) applied(ctx context.Context, key string, done []Applied, err error) (File, error) {
	if err != nil {
		return File{}, errors.Join(err, s.Blobs.Delete(context.WithoutCancel(ctx), key))
	}
	s.discard(ctx, done[0].Replaced)
	return done[0].File, nil
}

// Files lists the files of a pool by name.
func (s *Service) Files(ctx context.Context, p access.Principal, pool string) ([]File, error) {
	if _, err := s.reach(ctx, p, pool, access.ReadPools); err != nil {
		return nil, err
	}
	return s.Store.Files(ctx, pool)
}

// Open opens a file of a pool. The caller closes it.
func (s *Service) Open(ctx context.Context, p access.Principal, pool, id string) (File, blob.Object, error) {
	if _, err := s.reach(ctx, p, pool, access.ReadPools); err != nil {
		return File{}, nil, err
	}
	const attempts = 3 // a file may be replaced between the two steps
	var file File
	var err error
	for range attempts {
		if file, err = s.Store.File(ctx, pool, id); err != nil {
			return File{}, nil, err
		}
		var object blob.Object
		if object, err = s.Blobs.Open(ctx, file.Blob); !errors.Is(err, blob.ErrNotFound) {
			return file, object, err
		}
	}
	return file, nil, fmt.Errorf("open file %s of data pool %s: %w", id, pool, err)
}

// DeleteFile deletes a file of a pool.
func (s *Service) DeleteFile(ctx context.Context, p access.Principal, pool, id string) error {
	if _, err := s.reach(ctx, p, pool, access.WritePools); err != nil {
		return err
	}
	file, err := s.Store.File(ctx, pool, id)
	if err != nil {
		return err
	}
	audit.Note(ctx, "file", file.Name)
	done, err := s.Store.Apply(ctx, Changes{[]Change{{Pool: pool, Name: file.Name}}, s.MaxFiles})
	if err != nil {
		return err
	}
	s.discard(ctx, done[0].Replaced)
	return nil
}

func (s *Service) sweepLoop(ctx context.Context) {
	defer close(s.done)
	ticker := time.NewTicker(sweeps)
	defer ticker.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("cannot remove old files of data pools; trying again later", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Sweep removes contents that no file has, and uploads whose time is over.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.Now()
	s.copies.sweep(now)
	err := s.Store.ExpireUploads(ctx, now)
	before := time.Now().Add(-sweepAge) // by the clock of the blob store
	files := func(ctx context.Context, i blob.Info) (bool, error) {
		s.mu.Lock()
		pinned := s.pins[i.Key] > 0
		s.mu.Unlock()
		if pinned {
			return true, nil
		}
		return s.Store.BlobUsed(ctx, i.Key)
	}
	pieces := func(ctx context.Context, i blob.Info) (bool, error) {
		id, _, _ := strings.Cut(strings.TrimPrefix(i.Key, piecesPrefix), "/")
		return s.Store.Uploading(ctx, id)
	}
	_, swept := blob.Sweep(ctx, s.Blobs, filesPrefix, before, files)
	_, cut := blob.Sweep(ctx, s.Blobs, piecesPrefix, before, pieces)
	return errors.Join(err, swept, cut)
}
