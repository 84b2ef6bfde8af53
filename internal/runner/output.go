package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/qhubctl/qhubctl/internal/descriptors"
	"github.com/qhubctl/qhubctl/internal/redact"
)

// The files in which an SDK leaves the result.
const (
	ResultJSON = "output.json"
	ResultText = "output.txt"
)

// maxNesting is how deep in folders a result file may lie. Deeper files are not
// found, because each folder on the way costs time.
const maxNesting = 32

// An Output is an output folder after the end of its execution: [Artifacts] on this
// disk. It shows only regular files: a link could lead out of it, and a pipe would
// never end.
type Output struct {
	root    *os.Root
	sent    *SentFile
	skipped []string
}

// A SentFile is a file of the output that an execution has sent instead of writing it.
// It replaces a file of its name.
type SentFile struct {
	Name    string
	Content []byte
}

// sentContent is the content of a SentFile.
type sentContent struct{ *bytes.Reader }

func (sentContent) Close() error { return nil }

var _ Artifacts = (*Output)(nil)

// A File is a regular file that an execution has left. Its name is its path in the
// output folder, with slashes.
type File struct {
	Name string
	Size int64
}

// OpenOutput opens the output folder of f. If a service has removed or replaced it, the
// output is empty.
func (f Dir) OpenOutput() (*Output, error) {
	info, err := os.Lstat(f.Output())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return &Output{}, nil
	}
	root, err := openRoot(f.Output())
	if err != nil {
		return nil, fmt.Errorf("cannot read the result: %w", err)
	}
	return &Output{root: root}, nil
}

// openRoot opens a folder that a service may have made unreadable.
func openRoot(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrPermission) && os.Chmod(dir, 0o700) == nil { //nolint:gosec // a folder
		root, err = os.OpenRoot(dir)
	}
	return root, err
}

// Add adds a file that was sent, if there is one. The caller wipes it when no output
// needs it any more, because an output that could not be read is opened again.
func (o *Output) Add(sent *SentFile) { o.sent = sent }

// Close releases the folder.
func (o *Output) Close() error {
	if o.root == nil {
		return nil
	}
	return o.root.Close()
}

// Files are the regular files, by name, those of folders too. It lists at most
// [MaxEntries].
func (o *Output) Files() ([]File, error) {
	var files []File
	if o.root != nil {
		left := MaxEntries
		o.skipped = nil
		if err := o.list(".", maxNesting, &left, &files); err != nil {
			return nil, fmt.Errorf("cannot read the result: %w", err)
		}
	}
	if o.sent != nil {
		files = slices.DeleteFunc(files, func(f File) bool { return f.Name == o.sent.Name })
		files = append(files, File{o.sent.Name, int64(len(o.sent.Content))})
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(o.skipped)
	return files, nil
}

// Skipped are the entries that [Output.Files] has left out, by their paths: links, pipes
// and similar entries, and folders that lie too deep.
func (o *Output) Skipped() []string { return o.skipped }

// maxSkippedNames is how many names [SkippedText] lists.
const maxSkippedNames = 5

// SkippedText names the entries of an output that are not kept, masked; empty if all
// are kept.
func SkippedText(skipped []string, masker *redact.Masker) string {
	if len(skipped) == 0 {
		return ""
	}
	names := make([]string, min(len(skipped), maxSkippedNames))
	for i := range names {
		names[i] = strconv.Quote(masker.String(skipped[i]))
	}
	text := "not kept, as only files in at most " + strconv.Itoa(maxNesting) + " folders are results: " + strings.Join(names, ", ")
	if more := len(skipped) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// list appends the files of a folder, and of those in it, to files.
func (o *Output) list(folder string, depth int, left *int, files *[]File) error {
	entries, err := o.entries(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if *left--; *left < 0 {
			return nil
		}
		name := path.Join(folder, entry.Name())
		switch {
		case entry.IsDir() && depth > 0:
			// If it has become a link by now, the root keeps it in the folder.
			err = o.list(name, depth-1, left, files)
		case entry.Type().IsRegular():
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				*files = append(*files, File{name, info.Size()})
			}
		default:
			o.skipped = append(o.skipped, name)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (o *Output) entries(folder string) ([]fs.DirEntry, error) {
	dir, err := o.root.Open(folder)
	if errors.Is(err, fs.ErrPermission) && o.root.Chmod(folder, 0o700) == nil {
		// A service may have made it unreadable by mistake.
		dir, err = o.root.Open(folder)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	return dir.ReadDir(-1)
}

// Open opens a file that Files has named.
func (o *Output) Open(name string) (io.ReadSeekCloser, error) {
	if o.sent != nil && name == o.sent.Name {
		return sentContent{bytes.NewReader(o.sent.Content)}, nil
	}
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
	// If it has become a pipe by now, it must not block.
	file, err := o.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrPermission) && o.root.Chmod(name, 0o600) == nil {
		// A service may have made it unreadable by mistake.
		file, err = o.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read a result file: %w", err)
	}
	if opened, err := file.Stat(); err != nil || !os.SameFile(before, opened) {
		_ = file.Close()
		return nil, fs.ErrNotExist
	}
	return file, nil
}

// Exceeded is the limit of its folders that an execution has exceeded. An output that
// cannot be read counts as too much, because nothing else would bound it. In a private
// root folder temporary files are in memory, which bounds them; otherwise they are
// measured.
func (f Dir) Exceeded(limits Limits) Limit {
	if limit := exceeded(f.Output(), limits.Output, MaxEntries); limit != NoLimit {
		return limit
	}
	if limits.Temp <= 0 {
		return NoLimit
	}
	for _, dir := range []string{f.Temp(), f.Home()} {
		if !isEmpty(dir) && exceeded(dir, limits.Temp, int(max(minTempEntries, limits.Temp/4096))) != NoLimit {
			return TempLimit
		}
	}
	return NoLimit
}

// minTempEntries is how many temporary files there may be, even if the limit of their
// size is small.
const minTempEntries = 1024

// exceeded waits for a descriptor if there is none, since that is not a fault of the
// execution.
func exceeded(dir string, most int64, mostEntries int) (reached Limit) {
	_ = descriptors.Retry(context.Background(), func() (err error) {
		reached, err = measured(dir, most, mostEntries)
		return err
	})
	return reached
}

// measured fails only if there are no descriptors.
func measured(dir string, most int64, mostEntries int) (Limit, error) {
	var size int64
	entries, reached := 0, NoLimit
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = entry.Info()
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // it was removed meanwhile
			return nil
		case descriptors.Exhausted(err):
			return err
		case err != nil:
			if most > 0 {
				reached = OutputLimit
				return fs.SkipAll
			}
			return nil
		}
		if info.Mode().IsRegular() {
			size += info.Size()
		}
		if entries++; entries > mostEntries+1 { // the folder itself is the first
			reached = FilesLimit
		} else if most > 0 && size > most {
			reached = OutputLimit
		}
		if reached != NoLimit {
			return fs.SkipAll
		}
		return nil
	})
	return reached, err
}
