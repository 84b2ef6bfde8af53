package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/qhubctl/qhubctl/internal/access"
	"github.com/qhubctl/qhubctl/internal/datapool"
	"github.com/qhubctl/qhubctl/internal/store"
)

func fileInto(f *datapool.File, created *int64) []any {
	return []any{&f.ID, &f.Pool, &f.Name, &f.ContentType, &f.Size, &f.SHA256, &f.Blob, &f.Version, created}
}

func scanFile(row scanner) (datapool.File, error) {
	var f datapool.File
	var created int64
	err := row.Scan(fileInto(&f, &created)...)
	f.CreatedAt = moment(created)
	return f, err
}

// Files implements [datapool.Files].
func (p poolStore) Files(ctx context.Context, pool string) ([]datapool.File, error) {
	files := []datapool.File{}
	err := p.s.read(ctx, selectFiles, []any{pool}, func(row scanner) error {
		f, err := scanFile(row)
		files = append(files, f)
		return err
	})
	return files, forAccess("list the files of a data pool", err)
}

// File implements [datapool.Files].
func (p poolStore) File(ctx context.Context, pool, id string) (datapool.File, error) {
	var f datapool.File
	var created int64
	err := p.s.readOne(ctx, selectFile, []any{pool, id}, fileInto(&f, &created)...)
	f.CreatedAt = moment(created)
	return f, forAccess("read a file of a data pool", err)
}

// BlobUsed implements [datapool.Files].
func (p poolStore) BlobUsed(ctx context.Context, key string) (bool, error) {
	return p.present(ctx, countBlob, key)
}

// Apply implements [datapool.Files].
func (p poolStore) Apply(ctx context.Context, changes datapool.Changes) (done []datapool.Applied, err error) {
	err = p.change(ctx, "change files of a data pool", func(t *tx) (err error) {
		done, err = t.applyAll(changes)
		return err
	})
	return done, err
}

// applyAll makes all changes. An error undoes those before.
func (t *tx) applyAll(changes datapool.Changes) ([]datapool.Applied, error) {
	var done []datapool.Applied
	for _, deletes := range []bool{true, false} { // a folder may take the name of a file that goes
		for _, c := range changes.List {
			if (c.File == nil) != deletes {
				continue
			}
			one, err := t.apply(c)
			if err != nil {
				return nil, err
			}
			done = append(done, one)
		}
	}
	return done, t.countFiles(changes.List, changes.Limit)
}

// asAccessError gives an error about a data pool the kind that its callers know.
func asAccessError(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return access.ErrNotFound
	}
	return err
}

// countFiles is an error if a pool has too many files.
func (t *tx) countFiles(changes []datapool.Change, limit int) error {
	counted := map[string]bool{}
	for _, c := range changes {
		if c.File == nil || counted[c.Pool] {
			continue
		}
		counted[c.Pool] = true
		n, err := t.count(countFiles, c.Pool)
		if err != nil {
			return err
		}
		if n > limit {
			return fmt.Errorf("%w: a data pool may have %d files", access.ErrConflict, limit)
		}
	}
	return nil
}

func (t *tx) fileNamed(pool, name string) (f datapool.File, err error) {
	var created int64
	err = t.row(selectFileNamed, []any{pool, name}, fileInto(&f, &created)...)
	f.CreatedAt = moment(created)
	return f, err
}

func (t *tx) apply(c datapool.Change) (datapool.Applied, error) {
	var r poolRow
	if err := t.row(selectPool, []any{c.Pool}, r.into()...); err != nil {
		return datapool.Applied{}, err
	}
	before, err := t.fileNamed(c.Pool, c.Name)
	isNew := errors.Is(err, store.ErrNotFound)
	if err != nil && !isNew {
		return datapool.Applied{}, err
	}
	if c.Based != nil && *c.Based != before.Version {
		return datapool.Applied{}, datapool.ErrStale
	}
	if c.File == nil {
		if isNew {
			return datapool.Applied{}, store.ErrNotFound
		}
		_, err := t.exec(deleteFile, before.ID)
		return datapool.Applied{File: before, Replaced: before.Blob}, err
	}
	if isNew {
		if err := t.fits(c.Pool, c.Name); err != nil {
			return datapool.Applied{}, err
		}
	}
	f := c.File
	_, err = t.exec(upsertFile, f.ID, c.Pool, c.Name, f.ContentType, f.Size, f.SHA256, f.Blob, stamp(f.CreatedAt))
	if err != nil {
		return datapool.Applied{}, err
	}
	after, err := t.fileNamed(c.Pool, c.Name)
	return datapool.Applied{File: after, Replaced: before.Blob}, err
}

// fits is an error if a new file has the name of a folder, or lies in a file.
func (t *tx) fits(pool, name string) error {
	inside, err := t.count(selectFileIn, pool, name+"/", name+"0")
	if err == nil && inside > 0 {
		err = fmt.Errorf("%w: the data pool has a folder of this name", access.ErrConflict)
	}
	if err != nil {
		return err
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		_, err := t.fileNamed(pool, dir)
		if err == nil {
			return fmt.Errorf("%w: the data pool has a file with the name of a folder", access.ErrConflict)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

func scanUpload(into *datapool.Upload, created, expires *int64) []any {
	return []any{&into.ID, &into.Pool, &into.Name, &into.ContentType, &into.Size, &into.SHA256, &into.File, created, expires}
}

// CreateUpload implements [datapool.Uploads].
func (p poolStore) CreateUpload(ctx context.Context, u datapool.Upload, limit int) (begun datapool.Upload, err error) {
	err = p.change(ctx, "begin an upload", func(t *tx) error {
		var r poolRow
		if err := t.row(selectPool, []any{u.Pool}, r.into()...); err != nil {
			return err
		}
		var created, expires int64
		begun = datapool.Upload{}
		err := t.row(selectSameUpload, []any{u.Pool, u.Name, u.Size, u.SHA256}, scanUpload(&begun, &created, &expires)...)
		begun.CreatedAt, begun.ExpiresAt = moment(created), moment(expires)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		begun = u
		if err := t.atMost(limit, "uploads", countUploads, u.Pool); err != nil {
			return err
		}
		_, err = t.exec(insertUpload, u.ID, u.Pool, u.Name, u.ContentType, u.Size, u.SHA256, u.File, stamp(u.CreatedAt), stamp(u.ExpiresAt))
		return err
	})
	return begun, err
}

// Upload implements [datapool.Uploads].
func (p poolStore) Upload(ctx context.Context, pool, id string) (datapool.Upload, error) {
	var u datapool.Upload
	var created, expires int64
	err := p.s.readOne(ctx, selectUpload, []any{pool, id}, scanUpload(&u, &created, &expires)...)
	u.CreatedAt, u.ExpiresAt = moment(created), moment(expires)
	return u, forAccess("read an upload", err)
}

// FinishUpload implements [datapool.Uploads].
func (p poolStore) FinishUpload(ctx context.Context, id string, change datapool.Change, limit int) (done datapool.Applied, err error) {
	err = p.change(ctx, "finish an upload", func(t *tx) error {
		if done, err = t.apply(change); err != nil {
			return err
		}
		if err := t.countFiles([]datapool.Change{change}, limit); err != nil {
			return err
		}
		return found(t.exec(completeUpload, done.File.ID, id, change.Pool))
	})
	return done, err
}

// DeleteUpload implements [datapool.Uploads].
func (p poolStore) DeleteUpload(ctx context.Context, pool, id string) error {
	return p.change(ctx, "end an upload", func(t *tx) error { return found(t.exec(deleteUpload, pool, id)) })
}

// Uploading implements [datapool.Uploads].
func (p poolStore) Uploading(ctx context.Context, id string) (bool, error) {
	return p.present(ctx, countUpload, id)
}

// ExpireUploads implements [datapool.Uploads].
func (p poolStore) ExpireUploads(ctx context.Context, now time.Time) error {
	return p.change(ctx, "end old uploads", func(t *tx) error {
		_, err := t.exec(expireUploads, stamp(now))
		return err
	})
}
