package archive

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A File is one file to pack.
type File struct {
	// Name is the path in the archive, with slashes.
	Name string
	// Path is the file on the disk.
	Path string
	// Executable says that its owner may run it.
	Executable bool
}

// packed is the time of all files in an archive, so that equal sources make equal
// archives.
var packed = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// Pack writes a zip archive of files. It is the same for the same files.
func Pack(w io.Writer, files []File) error {
	z := zip.NewWriter(w)
	for _, f := range files {
		if err := packFile(z, f); err != nil {
			return fmt.Errorf("pack %s: %w", f.Name, err)
		}
	}
	return z.Close()
}

func packFile(z *zip.Writer, f File) error {
	content, err := os.Open(filepath.Clean(f.Path))
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	header := &zip.FileHeader{Name: f.Name, Method: zip.Deflate, Modified: packed}
	header.SetMode(0o644)
	if f.Executable {
		header.SetMode(0o755)
	}
	entry, err := z.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = io.Copy(entry, content)
	return err
}
