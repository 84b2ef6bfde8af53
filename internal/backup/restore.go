package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

var (
	// ErrNotBackup says that a file is no backup of a platform.
	ErrNotBackup = errors.New("this is no backup of a platform")
	// ErrDamaged says that a backup was cut short or changed.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrNotEmpty says that a data folder has something in it.
	ErrNotEmpty = errors.New("the data folder is not empty")
)

// maxSmall bounds the description, in bytes.
const maxSmall = 64 << 10

// Restore makes a data folder of a backup. The folder must not exist, or must be empty.
// It appears when all of it is there, checked and durable; after an error there is none.
// Check may refuse the folder before it gets its name; nil: all are accepted.
func Restore(ctx context.Context, l Layout, from io.Reader, dir string, check func(dir string) error) (contents Contents, err error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return contents, fmt.Errorf("%w: %s", ErrNotEmpty, dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return contents, fmt.Errorf("look at the data folder: %w", err)
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return contents, fmt.Errorf("make the data folder: %w", err)
	}
	partial, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+"-restoring-")
	if err != nil {
		return contents, asFull(fmt.Errorf("make the data folder: %w", err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(partial))
		}
	}()
	r := &reader{layout: l, tar: tar.NewReader(from), dir: partial, contents: &contents, made: map[string]bool{}}
	if err := r.read(ctx); err != nil {
		return contents, asFull(err)
	}
	if err := l.Verify(ctx, filepath.Join(partial, l.Database)); err != nil {
		return contents, err
	}
	if check != nil {
		if err := check(partial); err != nil {
			return contents, err
		}
	}
	if err := syncTree(partial); err != nil {
		return contents, fmt.Errorf("restore: %w", err)
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return contents, fmt.Errorf("%w: %s", ErrNotEmpty, dir)
	}
	if err := os.Rename(partial, dir); err != nil {
		return contents, fmt.Errorf("restore: %w", err)
	}
	return contents, syncDir(parent)
}

// A reader unpacks a backup and checks it.
type reader struct {
	layout   Layout
	tar      *tar.Reader
	dir      string
	contents *Contents
	sums     strings.Builder
	// made are the folders and files that exist.
	made map[string]bool
}

func (r *reader) read(ctx context.Context) error {
	if err := r.readDescription(); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		header, err := r.tar.Next()
		if err != nil {
			return fmt.Errorf("%w: it ends before its list of checksums", ErrDamaged)
		}
		if header.Name == sumsName {
			return r.checkSums(header)
		}
		if err := r.unpack(header); err != nil {
			return err
		}
	}
}

func (r *reader) readDescription() error {
	header, err := r.tar.Next()
	if err != nil || header.Name != descriptionName || header.Size > maxSmall {
		return ErrNotBackup
	}
	sum := sha256.New()
	text, err := io.ReadAll(io.TeeReader(r.tar, sum))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	var d description
	if json.Unmarshal(text, &d) != nil || d.Format != format {
		return ErrNotBackup
	}
	if d.Version > version {
		return fmt.Errorf("the backup has form %d, and this qhubctl reads %d at most; use a newer qhubctl (it was made by %s)", d.Version, version, d.Program)
	}
	r.contents.Program, r.contents.Created = d.Program, d.Created
	r.count(sumLine(sum, descriptionName), int64(len(text)))
	return nil
}

func (r *reader) count(line string, size int64) {
	r.sums.WriteString(line + "\n")
	r.contents.Files++
	r.contents.Bytes += size
}

// unpack writes one file. Names are of this layout, and come once each.
func (r *reader) unpack(header *tar.Header) error {
	name := header.Name
	if header.Typeflag != tar.TypeReg || !filepath.IsLocal(filepath.FromSlash(name)) || filepath.ToSlash(filepath.Clean(name)) != name || !r.layout.within(name) || r.made[name] {
		return fmt.Errorf("%w: it has the entry %.200q", ErrDamaged, name)
	}
	r.made[name] = true
	path := filepath.Join(r.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(file, sum), r.tar)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: it ends in the middle of %s", ErrDamaged, name)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	r.count(sumLine(sum, name), size)
	return nil
}

// checkSums compares the checksums of the files with the list at the end.
func (r *reader) checkSums(header *tar.Header) error {
	if header.Size != int64(r.sums.Len()) {
		return fmt.Errorf("%w: its files are not those of its list of checksums", ErrDamaged)
	}
	text, err := io.ReadAll(r.tar)
	if err != nil {
		return fmt.Errorf("%w: it ends before its list of checksums does", ErrDamaged)
	}
	read := strings.Split(r.sums.String(), "\n")
	for i, line := range strings.Split(string(text), "\n") {
		if i >= len(read) || line != read[i] {
			_, name, _ := strings.Cut(line, "  ")
			return fmt.Errorf("%w: %.200q is not as it was", ErrDamaged, name)
		}
	}
	if !r.made[r.layout.Database] {
		return fmt.Errorf("%w: it has no database", ErrDamaged)
	}
	return nil
}

// syncTree has the names of all files survive a power failure.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return syncDir(path)
	})
}

func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
