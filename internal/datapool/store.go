package datapool

import (
	"context"
	"time"
)

// A Store keeps what this package knows, except for contents. It is safe for concurrent
// use. Each change is durable when its method returns, and happens as a whole or not at
// all. A missing thing gives [access.ErrNotFound]. Package datapooltest is the suite
// that every store passes.
type Store interface {
	Pools
	Files
	Uploads
	Shares
}

// A Query selects pools.
type Query struct {
	// Tenant owns the pools, or has an active share in them at Now.
	Tenant string
	Now    time.Time
	// Limit and Offset select a page.
	Limit, Offset int
}

// Pools keeps pools.
type Pools interface {
	// CreatePool makes a pool unless its tenant has limit pools: [access.ErrConflict].
	// [access.ErrExists]: the name is taken.
	CreatePool(ctx context.Context, p Pool, limit int) error
	// Pool reads a pool of any tenant.
	Pool(ctx context.Context, id string) (Pool, error)
	// Reachable reads a pool that a tenant owns, or has an active share in. Role is
	// the one of the share; empty for an owner.
	Reachable(ctx context.Context, tenant, id string, now time.Time) (Pool, error)
	// List finds pools by name, with the Role of Reachable, and how many there are in
	// all.
	List(ctx context.Context, q Query) (pools []Pool, total int, err error)
	// UpdatePool changes name and texts.
	UpdatePool(ctx context.Context, p Pool) error
	// DeletePool deletes a pool with all that belongs to it. It returns the keys of
	// the contents, which nothing refers to any more.
	DeletePool(ctx context.Context, id string) (blobs []string, err error)
}

// A Change puts or deletes a file.
type Change struct {
	Pool, Name string
	// File is the new file; nil deletes. Its ID counts only if the name is new: a file
	// that is replaced keeps its id, and its version grows by one.
	File *File
	// Based, unless nil, is the version that the file must have now; 0: there must be
	// no file of this name. [ErrStale]: that is not so.
	Based *int64
}

// Changes are made all together, or not at all. The store of executions takes them with
// the end of an execution, as FinishParams.With.
type Changes struct {
	List []Change
	// Limit is how many files a pool may have.
	Limit int
}

// Applied is the outcome of a change.
type Applied struct {
	// File is the file that was put, or the one that was deleted.
	File File
	// Replaced is the key of the content that nothing refers to any more; empty: none.
	Replaced string
}

// Files keeps the files of pools.
type Files interface {
	// Files are those of a pool, by name.
	Files(ctx context.Context, pool string) ([]File, error)
	// File reads a file by its id.
	File(ctx context.Context, pool, id string) (File, error)
	// Apply makes all changes, or none. [access.ErrConflict]: a pool would have too many
	// files, or a file the name of a folder.
	Apply(ctx context.Context, changes Changes) ([]Applied, error)
	// BlobUsed reports whether a file has this content.
	BlobUsed(ctx context.Context, key string) (bool, error)
}

// Uploads keeps files that come in pieces.
type Uploads interface {
	// CreateUpload makes an upload unless its pool has limit ones that are not
	// complete: [access.ErrConflict]. One of the same name, size and checksum that is
	// not complete is returned instead.
	CreateUpload(ctx context.Context, u Upload, limit int) (Upload, error)
	// Upload reads an upload of a pool.
	Upload(ctx context.Context, pool, id string) (Upload, error)
	// FinishUpload makes the change of an upload, and notes the file in it.
	FinishUpload(ctx context.Context, id string, change Change, limit int) (Applied, error)
	// DeleteUpload deletes an upload.
	DeleteUpload(ctx context.Context, pool, id string) error
	// Uploading reports whether an upload exists.
	Uploading(ctx context.Context, id string) (bool, error)
	// ExpireUploads deletes the uploads whose time is over.
	ExpireUploads(ctx context.Context, now time.Time) error
}

// Shares keeps shares.
type Shares interface {
	// Share makes a share, or changes the role of the one that the tenant has, and its
	// time if s has one.
	Share(ctx context.Context, s Share) (Share, error)
	// Shares are those of a pool, the oldest first.
	Shares(ctx context.Context, pool string) ([]Share, error)
	// ChangeShare changes the role and the validity of a share.
	ChangeShare(ctx context.Context, pool, id string, change func(*Share) error) (Share, error)
	// Unshare deletes a share.
	Unshare(ctx context.Context, pool, id string) error
}
