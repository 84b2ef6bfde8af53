// Package filestore keeps blobs in a folder.
//
// Each blob is a file with the content and, after it, a footer with the size and
// the checksum. It is written under a temporary name, synced, and linked to its
// key, so that a crash leaves either the whole blob or a temporary file. The
// writer holds a lock on that file; Open removes those without one.
package filestore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"github.com/qhubctl/qhubctl/internal/blob"
)

// ObjectsDir is the folder of all blobs in that of a store.
const ObjectsDir = "objects"

const (
	pendingDir = "pending"
	// suffix keeps the file of a key apart from the folder of keys below it.
	suffix = ".blob"
	magic  = "qhblob01"
	// footer is a checksum, a size and the magic.
	footer = sha256.Size + 8 + len(magic)
)

// Store is a [blob.Store] in a folder. Several processes may share it.
type Store struct{ dir string }

var _ blob.Store = (*Store)(nil)

// Open makes the folder if need be, and removes what writers that have died have
// left of unfinished blobs. Only the owner can read the folder.
func Open(dir string) (*Store, error) {
	s := &Store{dir}
	for _, sub := range []string{ObjectsDir, pendingDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("open the blob store: %w", err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(dir, pendingDir))
	if err != nil {
		return nil, fmt.Errorf("open the blob store: %w", err)
	}
	for _, entry := range entries {
		if err := removeAbandoned(filepath.Join(dir, pendingDir, entry.Name())); err != nil {
			return nil, fmt.Errorf("remove an unfinished blob: %w", err)
		}
	}
	return s, nil
}

// removeAbandoned removes a temporary file that no writer holds.
func removeAbandoned(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) { // its writer is done
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if !tryLock(file) {
		return nil
	}
	return ignoreMissing(os.Remove(path))
}

func (s *Store) path(key string) string {
	return filepath.Join(s.dir, ObjectsDir, filepath.FromSlash(key)+suffix)
}

// Put implements [blob.Store].
func (s *Store) Put(ctx context.Context, key string, content io.Reader, o blob.PutOptions) (blob.Info, error) {
	if err := blob.CheckKey(key); err != nil {
		return blob.Info{}, err
	}
	if _, err := os.Lstat(s.path(key)); err == nil {
		return blob.Info{}, fmt.Errorf("%w: %s", blob.ErrExists, key)
	}
	pending := filepath.Join(s.dir, pendingDir, uuid.NewString())
	file, err := os.OpenFile(pending, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return blob.Info{}, storeError("make", key, err)
	}
	defer func() {
		_ = file.Close()
		_ = os.Remove(pending) // its content has the name of the key by now, or is not wanted
	}()
	if !tryLock(file) {
		return blob.Info{}, fmt.Errorf("store blob %s: cannot lock its file", key)
	}
	sum, size, err := write(ctx, file, content, o)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = s.publish(pending, s.path(key))
	}
	if err != nil {
		return blob.Info{}, storeError("store", key, err)
	}
	return blob.Info{Key: key, Size: size, SHA256: sum, Created: modified(file)}, nil
}

// write writes the content and the footer.
func write(ctx context.Context, file *os.File, content io.Reader, o blob.PutOptions) (sum string, size int64, err error) {
	hashed := sha256.New()
	if o.Limit > 0 {
		content = io.LimitReader(content, o.Limit+1)
	}
	size, err = io.Copy(io.MultiWriter(file, hashed), &contextReader{ctx, content})
	if err != nil {
		return "", 0, err
	}
	if o.Limit > 0 && size > o.Limit {
		return "", 0, fmt.Errorf("%w: it has more than %d bytes", blob.ErrTooLarge, o.Limit)
	}
	end := hashed.Sum(nil)
	sum = hex.EncodeToString(end)
	if o.SHA256 != "" && !strings.EqualFold(o.SHA256, sum) {
		return "", 0, fmt.Errorf("%w: it has %s, not %s", blob.ErrChecksum, sum, o.SHA256)
	}
	end = binary.BigEndian.AppendUint64(end, uint64(size))
	_, err = file.Write(append(end, magic...))
	return sum, size, err
}

// contextReader ends a copy with its context.
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

// publish gives a whole file the name of its key, unless another has it. A link,
// unlike a rename, replaces nothing.
func (s *Store) publish(pending, path string) error {
	made, err := makeDirs(filepath.Join(s.dir, ObjectsDir), filepath.Dir(path))
	if err != nil {
		return err
	}
	if err := os.Link(pending, path); err != nil {
		return err
	}
	for _, dir := range append(made, filepath.Dir(path)) {
		if err := syncDir(dir); err != nil {
			return errors.Join(err, os.Remove(path))
		}
	}
	return nil
}

// makeDirs makes the folders from root down to dir. It returns those that must
// be synced for the new ones to last.
func makeDirs(root, dir string) (changed []string, err error) {
	relative, err := filepath.Rel(root, dir)
	if err != nil || relative == "." {
		return nil, err
	}
	at := root
	for part := range strings.SplitSeq(filepath.ToSlash(relative), "/") {
		next := filepath.Join(at, part)
		err := os.Mkdir(next, 0o700)
		switch {
		case err == nil:
			changed = append(changed, at)
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		}
		at = next
	}
	return changed, nil
}

// Delete implements [blob.Store]. Empty folders stay: another Put may be about to
// use them.
func (s *Store) Delete(_ context.Context, key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	path := s.path(key)
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return storeError("delete", key, err)
}

// Stat implements [blob.Store].
func (s *Store) Stat(ctx context.Context, key string) (blob.Info, error) {
	object, err := s.Open(ctx, key)
	if err != nil {
		return blob.Info{}, err
	}
	return object.Info(), object.Close()
}

// Open implements [blob.Store].
func (s *Store) Open(_ context.Context, key string) (blob.Object, error) {
	if err := blob.CheckKey(key); err != nil {
		return nil, err
	}
	file, err := os.Open(s.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", blob.ErrNotFound, key)
	}
	if err != nil {
		return nil, storeError("open", key, err)
	}
	info, err := readFooter(file, key)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &object{SectionReader: io.NewSectionReader(file, 0, info.Size), file: file, info: info, hashed: sha256.New()}, nil
}

func readFooter(file *os.File, key string) (blob.Info, error) {
	stat, err := file.Stat()
	if err != nil {
		return blob.Info{}, storeError("open", key, err)
	}
	size := stat.Size() - int64(footer)
	end := make([]byte, footer)
	if size < 0 {
		return blob.Info{}, fmt.Errorf("%w: %s is cut short", blob.ErrChecksum, key)
	}
	if _, err := file.ReadAt(end, size); err != nil {
		return blob.Info{}, storeError("open", key, err)
	}
	rest := end[sha256.Size:]
	if string(rest[8:]) != magic || binary.BigEndian.Uint64(rest) != uint64(size) {
		return blob.Info{}, fmt.Errorf("%w: the end of %s is damaged", blob.ErrChecksum, key)
	}
	return blob.Info{Key: key, Size: size, SHA256: hex.EncodeToString(end[:sha256.Size]), Created: stat.ModTime()}, nil
}

// List implements [blob.Store].
func (s *Store) List(ctx context.Context, prefix string, each func(blob.Info) error) error {
	root := filepath.Join(s.dir, ObjectsDir)
	// Only the folder that all such keys lie in is walked.
	at := root
	if i := strings.LastIndexByte(prefix, '/'); i > 0 {
		if err := blob.CheckKey(prefix[:i]); err != nil {
			return err
		}
		at = filepath.Join(root, filepath.FromSlash(prefix[:i]))
	}
	var keys []string
	err := filepath.WalkDir(at, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && entry.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		key, ok := strings.CutSuffix(filepath.ToSlash(relative), suffix)
		if err == nil && ok && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	return s.inOrder(ctx, keys, each)
}

// object is a blob that is read.
type object struct {
	*io.SectionReader
	file *os.File
	info blob.Info
	// hashed has seen the first seen bytes; -1: they were not read in order.
	hashed hash.Hash
	seen   int64
}

// Info implements [blob.Object].
func (o *object) Info() blob.Info { return o.info }

// Close implements [io.Closer].
func (o *object) Close() error { return o.file.Close() }

// Seek implements [io.Seeker].
func (o *object) Seek(offset int64, whence int) (int64, error) {
	at, err := o.SectionReader.Seek(offset, whence)
	if o.seen = -1; at == 0 && err == nil {
		o.seen = 0
		o.hashed.Reset()
	}
	return at, err
}

// Read implements [io.Reader].
func (o *object) Read(p []byte) (int, error) {
	n, err := o.SectionReader.Read(p)
	if o.seen >= 0 {
		o.hashed.Write(p[:n])
		o.seen += int64(n)
	}
	if errors.Is(err, io.EOF) && o.seen == o.info.Size && hex.EncodeToString(o.hashed.Sum(nil)) != o.info.SHA256 {
		return n, fmt.Errorf("%w: the content of %s has changed", blob.ErrChecksum, o.info.Key)
	}
	return n, err
}
