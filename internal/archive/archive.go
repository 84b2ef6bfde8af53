// Package archive packs the sources of a service into a zip archive, and unpacks
// archives that strangers have made. Nothing is written before the whole archive was
// checked: its paths, kinds of entries, number, sizes, and overlaps.
package archive

import (
	"archive/zip"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits bound an archive. Zero values take the defaults.
type Limits struct {
	// Entries is how many files and folders it may have, Size how many bytes they
	// have together when they are unpacked.
	Entries int
	Size    int64
}

// The default limits.
const (
	DefaultEntries = 20_000
	DefaultSize    = 1 << 30
)

const (
	maxPath = 1024
	maxName = 255
	// maxDepth is the number of folders above a file.
	maxDepth = 64
)

// An Error says why an archive is refused, in words for its sender.
type Error struct {
	// Entry is the name of an entry; empty if the whole archive is meant.
	Entry  string
	Reason string
}

func (e *Error) Error() string {
	if e.Entry == "" {
		return "the archive " + e.Reason
	}
	return fmt.Sprintf("the entry %.120q of the archive %s", e.Entry, e.Reason)
}

func refused(entry, format string, args ...any) error {
	return &Error{entry, fmt.Sprintf(format, args...)}
}

// An Archive is one that was checked.
type Archive struct {
	files []*zip.File // folders, too
	// LeftOut are the names of entries that are not unpacked, each once: see
	// [Excluded].
	LeftOut []string
	limit   int64
}

// excluded are names of files and folders that no deployed service has: state of
// tools, environments, and files of secrets.
var excluded = []string{".git", ".venv", ".qhub", "__pycache__", ".DS_Store", "__MACOSX"}

// Excluded reports whether a name in a workspace is never deployed, wherever it
// stands: .git, .venv, .qhub, __pycache__, and .env with all its variants.
func Excluded(name string) bool {
	return slices.Contains(excluded, name) || name == ".env" || strings.HasPrefix(name, ".env.")
}

// Open checks a zip archive. An error about the archive itself is an [*Error].
func Open(r io.ReaderAt, size int64, l Limits) (*Archive, error) {
	if l.Entries == 0 {
		l.Entries = DefaultEntries
	}
	if l.Size == 0 {
		l.Size = DefaultSize
	}
	if err := checkDirectory(r, size); err != nil {
		return nil, err
	}
	z, err := zip.NewReader(r, size)
	switch {
	case errors.Is(err, zip.ErrInsecurePath): // checkName finds it
	case errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrAlgorithm), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return nil, refused("", "is no zip archive, or is damaged")
	case err != nil:
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	a := &Archive{limit: l.Size}
	if err := a.check(z.File, size); err != nil {
		return nil, err
	}
	if len(a.files) > l.Entries {
		return nil, refused("", "has %d entries; %d are the most", len(a.files), l.Entries)
	}
	if len(a.files) == 0 {
		return nil, refused("", "is empty")
	}
	return a, nil
}

// check goes through all entries. Of those that are left out only the name counts:
// clients that pack a whole folder send an environment with links.
func (a *Archive) check(files []*zip.File, size int64) error {
	kinds := map[string]bool{} // true: a folder
	var total uint64
	spans := make([]span, 0, len(files))
	for _, f := range files {
		if err := checkName(f.Name); err != nil {
			return err
		}
		if name, left := leftOut(f.Name); left {
			if !slices.Contains(a.LeftOut, name) {
				a.LeftOut = append(a.LeftOut, name)
			}
			continue
		}
		if err := checkEntry(f); err != nil {
			return err
		}
		if total += f.UncompressedSize64; f.UncompressedSize64 > uint64(a.limit) || total > uint64(a.limit) {
			return refused("", "has more than %d MiB when it is unpacked", a.limit>>20)
		}
		begin, err := f.DataOffset()
		if err != nil || f.CompressedSize64 > uint64(size) || uint64(begin)+f.CompressedSize64 > uint64(size) {
			return refused(f.Name, "is damaged")
		}
		if f.CompressedSize64 > 0 {
			spans = append(spans, span{begin, begin + int64(f.CompressedSize64), f.Name})
		}
		if err := addPath(kinds, f); err != nil {
			return err
		}
		a.files = append(a.files, f)
	}
	return checkSpans(spans)
}

// leftOut is the part of a name that is excluded.
func leftOut(name string) (string, bool) {
	at := ""
	for part := range strings.SplitSeq(strings.TrimSuffix(name, "/"), "/") {
		at = path.Join(at, part)
		if Excluded(part) {
			return at, true
		}
	}
	return "", false
}

// checkEntry looks at one entry.
func checkEntry(f *zip.File) error {
	mode := f.Mode()
	folder := strings.HasSuffix(f.Name, "/")
	switch {
	case mode&fs.ModeSymlink != 0:
		return refused(f.Name, "is a symbolic link; only files and folders are taken")
	case mode.IsDir() != folder, mode&(fs.ModeType&^fs.ModeDir) != 0:
		return refused(f.Name, "is neither a file nor a folder")
	case folder && f.UncompressedSize64 > 0:
		return refused(f.Name, "is a folder with content")
	case f.Flags&1 != 0:
		return refused(f.Name, "is encrypted")
	case f.Method != zip.Store && f.Method != zip.Deflate:
		return refused(f.Name, "is compressed by method %d; only deflate is taken", f.Method)
	case f.Method == zip.Store && f.CompressedSize64 != f.UncompressedSize64:
		return refused(f.Name, "is damaged")
	}
	return nil
}

// checkName takes names that mean the same, inside the folder, on each system.
func checkName(name string) error {
	clean := strings.TrimSuffix(name, "/")
	switch {
	case clean == "" || len(name) > maxPath:
		return refused(name, "has no name, or one of more than %d bytes", maxPath)
	case !utf8.ValidString(name):
		return refused(name, "has a name that is not UTF-8")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`\:*?"<>|`, r) }):
		return refused(name, "has a name with a character that not every system allows")
	case clean != path.Clean(clean) || path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") || clean == ".":
		return refused(name, "has a path that leaves the folder, or is not in its shortest form")
	}
	parts := strings.Split(clean, "/")
	if len(parts) > maxDepth {
		return refused(name, "lies in more than %d folders", maxDepth)
	}
	for _, part := range parts {
		if len(part) > maxName {
			return refused(name, "has a name of more than %d bytes", maxName)
		}
	}
	return nil
}

// addPath notes a path and the folders above it. It refuses a path that
// stands there twice, and one of a file that is also a folder.
func addPath(kinds map[string]bool, f *zip.File) error {
	name := strings.TrimSuffix(f.Name, "/")
	folder := name != f.Name
	if before, known := kinds[name]; known && (!folder || !before) {
		return refused(f.Name, "is there twice")
	}
	kinds[name] = folder
	for at := path.Dir(name); at != "."; at = path.Dir(at) {
		before, known := kinds[at]
		if known && !before {
			return refused(f.Name, "lies in %.120q, which is a file", at)
		}
		if known {
			break
		}
		kinds[at] = true
	}
	return nil
}

// span is where the data of an entry lies.
type span struct {
	begin, end int64
	name       string
}

// checkSpans refuses entries that share data: few bytes could stand for many files.
func checkSpans(spans []span) error {
	slices.SortFunc(spans, func(a, b span) int { return int(min(1, max(-1, a.begin-b.begin))) })
	for i := 1; i < len(spans); i++ {
		if spans[i].begin < spans[i-1].end {
			return refused(spans[i].name, "shares its data with another one")
		}
	}
	return nil
}

// Names are the paths of the files that Unpack writes, in the order of the archive.
func (a *Archive) Names() []string {
	var names []string
	for _, f := range a.files {
		if !strings.HasSuffix(f.Name, "/") {
			names = append(names, f.Name)
		}
	}
	return names
}

// Unpack writes the files into an empty folder. Only the owner may write them; a
// file is executable where the archive says so.
func (a *Archive) Unpack(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack the archive: %w", err)
	}
	defer func() { _ = root.Close() }()
	left := a.limit
	for _, f := range a.files {
		name := filepath.FromSlash(strings.TrimSuffix(f.Name, "/"))
		if strings.HasSuffix(f.Name, "/") {
			err = root.MkdirAll(name, 0o755)
		} else if err = root.MkdirAll(filepath.Dir(name), 0o755); err == nil {
			err = unpackFile(root, name, f, &left)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unpackFile writes one file, and no more bytes than it claims to have.
func unpackFile(root *os.Root, name string, f *zip.File, left *int64) error {
	mode := fs.FileMode(0o644)
	if f.Mode().Perm()&0o100 != 0 {
		mode = 0o755
	}
	content, err := f.Open()
	if err != nil {
		return refused(f.Name, "is damaged")
	}
	defer func() { _ = content.Close() }()
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("unpack the archive: %w", err)
	}
	n, err := io.Copy(file, io.LimitReader(content, *left+1))
	*left -= n
	closed := file.Close()
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrFormat), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &corrupt):
		return refused(f.Name, "is damaged")
	case err != nil:
		return fmt.Errorf("unpack the archive: %w", err)
	case *left < 0 || uint64(n) != f.UncompressedSize64:
		return refused(f.Name, "has another size than it claims")
	case closed != nil:
		return fmt.Errorf("unpack the archive: %w", closed)
	}
	return nil
}
