package runner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// The files in which a kit leaves the result.
const (
	ResultJSON = "output.json"
	ResultText = "output.txt"
)

// An Output is an output folder after the end of its execution. Whatever the
// service has put there, only regular files of the folder itself are seen: a
// link could lead out of it, and a pipe would never end.
type Output struct{ root *os.Root }

// A File is a regular file in an Output.
type File struct {
	Name string
	Size int64
}

// OpenOutput opens the output folder of f. A service may have removed it, or
// put something else in its place: that is an empty output.
func (f Folder) OpenOutput() (*Output, error) {
	info, err := os.Lstat(f.Output())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return &Output{}, nil
	}
	root, err := os.OpenRoot(f.Output())
	if err != nil {
		return nil, fmt.Errorf("cannot read the result: %w", err)
	}
	return &Output{root}, nil
}

// Close releases the folder.
func (o *Output) Close() error {
	if o.root == nil {
		return nil
	}
	return o.root.Close()
}

// Files are the regular files, by name.
func (o *Output) Files() ([]File, error) {
	if o.root == nil {
		return nil, nil
	}
	dir, err := o.root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("cannot read the result: %w", err)
	}
	defer func() { _ = dir.Close() }()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("cannot read the result: %w", err)
	}
	var files []File
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the result: %w", err)
		}
		files = append(files, File{entry.Name(), info.Size()})
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// Open opens a file that Files has named.
func (o *Output) Open(name string) (*os.File, error) {
	if o.root == nil {
		return nil, fs.ErrNotExist
	}
	before, err := o.root.Lstat(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read a result file: %w", err)
	}
	if !before.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	// Should it be something else by now, it must not block.
	file, err := o.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot read a result file: %w", err)
	}
	if opened, err := file.Stat(); err != nil || !os.SameFile(before, opened) {
		_ = file.Close()
		return nil, fs.ErrNotExist
	}
	return file, nil
}

// outputSize is how many bytes the files below the output folder hold.
func (f Folder) outputSize() int64 {
	var total int64
	_ = filepath.WalkDir(f.Output(), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what cannot be read now is measured next time
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return nil
	})
	return total
}

// ExceedsOutput reports whether the output folder holds more than limit bytes.
func (f Folder) ExceedsOutput(limit int64) bool { return limit > 0 && f.outputSize() > limit }
