// Package blob stores large immutable values by their key: the sources of
// services, the files of data pools, results. A value is written once, as a
// stream, and is visible only when all of it is durable.
//
//	info, err := blobs.Put(ctx, "sources/4f2c", body, blob.PutOptions{})
//	object, err := blobs.Open(ctx, "sources/4f2c")
//
// The package has the interface; filestore keeps blobs in a folder, and blobtest
// is the suite that every store passes.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

var (
	// ErrNotFound says that no blob has this key.
	ErrNotFound = errors.New("no such blob")
	// ErrExists says that a blob has this key already. Nothing was changed.
	ErrExists = errors.New("a blob with this key exists already")
	// ErrKey says that the key is not valid; see [CheckKey].
	ErrKey = errors.New("invalid blob key")
	// ErrTooLarge says that a stream is longer than [PutOptions].Limit. Nothing
	// was stored.
	ErrTooLarge = errors.New("the blob is too large")
	// ErrChecksum says that the content does not have the checksum that it must
	// have: in a Put that of the options, in a read that of the Put.
	ErrChecksum = errors.New("the blob does not have its checksum")
	// ErrFull says that the storage is full. Nothing was stored.
	ErrFull = errors.New("the blob storage is full")
)

// A Store keeps blobs. It is safe for concurrent use, also by several processes.
type Store interface {
	// Put stores the content under a new key. It returns when the blob would
	// survive a power failure; after an error there is none. ErrExists,
	// ErrTooLarge, ErrChecksum, ErrFull, ErrKey, or the error of the reader.
	Put(ctx context.Context, key string, content io.Reader, o PutOptions) (Info, error)
	// Open opens a blob. The caller closes it.
	Open(ctx context.Context, key string) (Object, error)
	// Stat describes a blob.
	Stat(ctx context.Context, key string) (Info, error)
	// Delete removes a blob. It is no error if there is none. An opened Object
	// stays readable.
	Delete(ctx context.Context, key string) error
	// List calls each for the blobs whose keys begin with prefix, in the order of
	// their keys, until that returns an error, which List returns.
	List(ctx context.Context, prefix string, each func(Info) error) error
}

// PutOptions adjust a Put. The zero value asks for nothing.
type PutOptions struct {
	// Limit is the most bytes that the content may have. Zero: any number.
	Limit int64
	// SHA256 is the checksum that the content must have, in hexadecimal. Empty: any.
	SHA256 string
}

// Info describes a blob.
type Info struct {
	Key  string
	Size int64
	// SHA256 is the checksum of the content, in hexadecimal.
	SHA256 string
	// Created is when the blob was stored.
	Created time.Time
}

// An Object is an opened blob. Any part of it can be read. A reader that reads all
// of it, from the beginning to the end, gets [ErrChecksum] instead of [io.EOF] if
// the content has changed on the disk.
type Object interface {
	io.Reader
	io.Seeker
	io.ReaderAt
	io.Closer
	Info() Info
}

const (
	maxKey  = 512
	maxPart = 128
)

// CheckKey returns an error that matches [ErrKey] unless key is made of parts of
// 1 to 128 of the characters A-Z a-z 0-9 . _ - with slashes between them, none of
// which begins with a point, and is at most 512 long.
func CheckKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("%w: it is longer than %d characters", ErrKey, maxKey)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || len(part) > maxPart || part[0] == '.' || strings.ContainsFunc(part, notKey) {
			return fmt.Errorf("%w: %.80q", ErrKey, key)
		}
	}
	return nil
}

const keyCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

func notKey(r rune) bool { return !strings.ContainsRune(keyCharacters, r) }

// Sweep deletes the blobs below a prefix that are older than a time and not in use,
// and returns how many. A blob is stored before the record that names it, so
// before must leave the longest such gap.
func Sweep(ctx context.Context, s Store, prefix string, before time.Time, inUse func(context.Context, Info) (bool, error)) (deleted int, err error) {
	var garbage []string
	err = s.List(ctx, prefix, func(i Info) error {
		if !i.Created.Before(before) {
			return nil
		}
		used, err := inUse(ctx, i)
		if err == nil && !used {
			garbage = append(garbage, i.Key)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, key := range garbage {
		if err := s.Delete(ctx, key); err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, nil
}
