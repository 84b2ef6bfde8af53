// Package backup copies the state of a platform, while it runs or not, to one file, and
// makes a data folder of such a file again:
//
//	contents, err := backup.Write(ctx, layout, dir, file, version)
//	contents, err := backup.Restore(ctx, layout, file, dir, nil)
//
// A backup is a tar archive: backup.json says what it is, then come the database as it
// was after one commit, and the files that it names. SHA256SUMS at the end has the
// checksum of each, in the form of sha256sum. A backup holds no key: secrets in it are
// sealed, and whoever has only the backup cannot open them.
package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// A Layout says what of a data folder is backed up.
type Layout struct {
	// Database is the file of the database. Copy copies the state after one commit to a
	// new file, while others use the database. Verify returns an error if a copy is
	// damaged, and changes nothing.
	Database string
	Copy     func(ctx context.Context, path, copyPath string) error
	Verify   func(ctx context.Context, path string) error
	// Trees are folders, with slashes, of files that are made before the database names
	// them, never change, and are removed after it has forgotten them.
	Trees []string
}

// Contents describe a backup.
type Contents struct {
	Program string    `json:"program"`
	Created time.Time `json:"created"`
	Files   int       `json:"files"`
	Bytes   int64     `json:"bytes"`
}

// description is the first file of a backup.
type description struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Program string    `json:"program"`
	Created time.Time `json:"created"`
}

const (
	format          = "qhubctl backup"
	version         = 1
	descriptionName = "backup.json"
	sumsName        = "SHA256SUMS"
	// scratchPrefix begins the names of folders in which a backup is collected.
	scratchPrefix = "backup-"
	lockName      = "lock"
)

// ErrNoPlatform says that a folder is not the data folder of a platform.
var ErrNoPlatform = errors.New("there is no platform in this folder")

// ErrFull says that there is no room for a backup, or for what it holds. Nothing is left
// of it.
var ErrFull = errors.New("there is no room left on the disk")

// Write writes a backup of a data folder, which a server may be using. Program is the
// version of the program that writes it.
//
// The files are collected as links: those that were there before the copy of the
// database, and those that have come until after it. So every file that the database
// names is among them.
func Write(ctx context.Context, l Layout, dir string, to io.Writer, program string) (Contents, error) {
	contents := Contents{Program: program, Created: time.Now().UTC().Truncate(time.Second)}
	if _, err := os.Stat(filepath.Join(dir, l.Database)); err != nil {
		return contents, fmt.Errorf("%w: %s", ErrNoPlatform, dir)
	}
	scratch, release, err := makeScratch(dir)
	if err != nil {
		return contents, asFull(fmt.Errorf("collect the backup: %w", err))
	}
	defer release()
	if err := collect(ctx, l, dir, scratch); err != nil {
		return contents, asFull(fmt.Errorf("collect the backup: %w", err))
	}
	w := &writer{tar: tar.NewWriter(to), contents: &contents}
	head, err := json.MarshalIndent(description{format, version, contents.Program, contents.Created}, "", "  ")
	if err == nil {
		err = w.add(descriptionName, int64(len(head))+1, bytes.NewReader(append(head, '\n')))
	}
	if err == nil {
		err = w.addTree(ctx, scratch, l.Database)
	}
	for _, tree := range l.Trees {
		if err == nil {
			err = w.addTree(ctx, scratch, tree)
		}
	}
	if err == nil {
		err = w.finish()
	}
	if err != nil {
		return contents, asFull(fmt.Errorf("write the backup: %w", err))
	}
	return contents, nil
}

// asFull has errors of a full disk match [ErrFull].
func asFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// makeScratch makes a private folder in the data folder, and removes those of backups
// that have died.
func makeScratch(dir string) (path string, release func(), err error) {
	former, err := filepath.Glob(filepath.Join(dir, scratchPrefix+"*"))
	if err != nil {
		return "", nil, err
	}
	for _, path := range former {
		lock := flock.New(filepath.Join(path, lockName))
		if held, err := lock.TryLock(); err == nil && held {
			_ = os.RemoveAll(path)
			_ = lock.Close()
		}
	}
	path, err = os.MkdirTemp(dir, scratchPrefix)
	if err != nil {
		return "", nil, err
	}
	lock := flock.New(filepath.Join(path, lockName))
	if _, err := lock.TryLock(); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(path))
	}
	return path, func() {
		_ = os.RemoveAll(path)
		_ = lock.Close()
	}, nil
}

func collect(ctx context.Context, l Layout, dir, scratch string) error {
	if err := linkTrees(ctx, l, dir, scratch); err != nil {
		return err
	}
	if err := l.Copy(ctx, filepath.Join(dir, l.Database), filepath.Join(scratch, l.Database)); err != nil {
		return err
	}
	return linkTrees(ctx, l, dir, scratch)
}

// linkTrees links the files of all trees that are not linked yet. Files and folders come
// and go meanwhile.
func linkTrees(ctx context.Context, l Layout, dir, scratch string) error {
	for _, tree := range l.Trees {
		err := filepath.WalkDir(filepath.Join(dir, filepath.FromSlash(tree)), func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err := errors.Join(err, ctx.Err()); err != nil {
				return err
			}
			relative, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			copied := filepath.Join(scratch, relative)
			switch {
			case entry.IsDir():
				return os.MkdirAll(copied, 0o700)
			case !entry.Type().IsRegular():
				return nil
			}
			err = os.Link(path, copied) //nolint:gosec // the data folder is private
			if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A writer writes the entries of a backup and their checksums.
type writer struct {
	tar      *tar.Writer
	sums     bytes.Buffer
	contents *Contents
}

// addTree adds a file, or all files of a folder in the order of their names.
func (w *writer) addTree(ctx context.Context, scratch, tree string) error {
	return filepath.WalkDir(filepath.Join(scratch, filepath.FromSlash(tree)), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && entry.IsDir() {
			return ctx.Err()
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		relative, err := filepath.Rel(scratch, path)
		if err != nil {
			return err
		}
		file, err := os.Open(path) //nolint:gosec // the data folder is private
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		info, err := file.Stat()
		if err != nil {
			return err
		}
		return w.add(filepath.ToSlash(relative), info.Size(), file)
	})
}

func (w *writer) add(name string, size int64, content io.Reader) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: w.contents.Created, Format: tar.FormatPAX}
	if err := w.tar.WriteHeader(header); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(w.tar, sum), content, size); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	w.contents.Files++
	w.contents.Bytes += size
	w.sums.WriteString(sumLine(sum, name) + "\n")
	return nil
}

func (w *writer) finish() error {
	text := w.sums.Bytes()
	header := &tar.Header{Typeflag: tar.TypeReg, Name: sumsName, Size: int64(len(text)), Mode: 0o600, ModTime: w.contents.Created, Format: tar.FormatPAX}
	if err := w.tar.WriteHeader(header); err != nil {
		return err
	}
	if _, err := w.tar.Write(text); err != nil {
		return err
	}
	return w.tar.Close()
}

// sumLine is the line of a file in SHA256SUMS.
func sumLine(sum hash.Hash, name string) string {
	return hex.EncodeToString(sum.Sum(nil)) + "  " + name
}

// within reports whether a layout has a file of this name.
func (l Layout) within(name string) bool {
	if name == l.Database {
		return true
	}
	for _, tree := range l.Trees {
		if strings.HasPrefix(name, tree+"/") {
			return true
		}
	}
	return false
}
